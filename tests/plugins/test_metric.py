"""A row-wise metric of a third party in limits and objectives, compared in pairs of rows."""

from __future__ import annotations

import numpy as np
import pytest

TOP2 = "[policy.limits]\ntop2 = { min = 0.6 }\n[policy.objectives]\ntop2 = { weight = 1, target = 1, limit = 0 }\n"


def hits(done, name: str) -> np.ndarray:
    """Which rows `top2` counts, worked out by another way than the plug-in's."""
    scores = np.load(done.run / f"cells/{name}@place/cold-01/predictions.npy")
    labels = np.load(done.run / "prepare/dataset/evaluation/labels.npy")
    ranked = [sorted(range(len(row)), key=lambda c: (-row[c], c))[:2] for row in scores.tolist()]
    return np.array([label in two for label, two in zip(labels.tolist(), ranked, strict=True)])


def test_it_limits_and_decides_and_equal_rows_may_both_be_the_best(bench, fake) -> None:
    models = {
        "slow.fake.toml": fake.replace("0.5", "9") + "accuracy = 0.8\n",
        "quick.fake.toml": f"{fake}accuracy = 0.8\n",
        "bad.fake.toml": f"{fake}accuracy = 0.1\n",
    }
    done = bench.run(models, policy=TOP2, trials=2)
    assert done.status == 0, done.text
    found = done.row("quick")["metrics"]["top2"]
    expected = hits(done, "quick")
    assert found["value"] == pytest.approx(expected.mean()) and 0.6 < found["value"] < 1
    assert found["value"] > done.row("quick")["metrics"]["accuracy"]["value"]
    assert (found["n"], found["basis"], found["unit"]) == (120, "rows", "")
    assert found["low"] < found["value"] < found["high"]
    assert (hits(done, "slow") == expected).all()
    rows = [done.row("slow"), done.row("quick")]
    assert all(row["may_be_best"] and (row["rank_low"], row["rank_high"]) == (1, 2) for row in rows)
    assert all((row["gap_low"], row["gap_high"]) in ((0, 0), (None, None)) for row in rows)
    bad = done.row("bad")
    assert (bad["eligible"], bad["place"]) == (False, None)
    assert bad["limits"]["top2"] < 0.05
    assert [reason["code"] for reason in bad["reasons"] if reason["severity"] == "error"] == ["limit_broken"]


def test_its_name_is_known_to_the_policy(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake}, policy=TOP2.replace("top2", "top3"))
    assert (done.status, done.run) == (2, None)
    assert "unknown metric 'top3'" in done.text and "did you mean 'top2'?" in done.text
