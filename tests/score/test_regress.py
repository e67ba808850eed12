"""Verdicts on metrics of rows: worse, better, same, ambiguous; where their noise is known from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.score.changes import Stated, paired, unpaired
from harness.score.records import Entry
from harness.score.regress import judge, judged_metrics, margin_of
from harness.score.verdicts import Comparison, RowChange
from harness.spec.policy import Objective, Policy

P50, P99, RATE = "latency_p50_ms", "latency_p99_ms", "throughput_per_s"
QUIET = Stated(0.001)


def run_of(make, values, key=P50, name="a") -> dict[str, Entry]:
    return {f"{name}@cpu": make.entry(name, trials={key: values})}


def told(base, new, key=P50, stated=QUIET, margins=None, alpha=0.05):
    changes = unpaired([base] if isinstance(base, dict) else base, new, key, stated)
    found = judge({(row, key): change for row, change in changes.items()}, margins or {}, alpha)
    assert len(found) == 1
    return found[0]


STEADY = [1.0, 1.004, 0.997, 1.002, 0.999]


def times(factor):
    return [factor * value for value in STEADY]


def test_slower_is_worse_and_faster_better(make):
    worse = told(run_of(make, STEADY), run_of(make, times(1.05)))
    assert worse.verdict == "worse" and worse.change == pytest.approx(0.05) and worse.low < 0.05 < worse.high
    assert worse.relative and worse.p_adjusted < 0.05 and worse.suspect
    assert told(run_of(make, STEADY), run_of(make, times(0.95))).verdict == "better"
    assert told(run_of(make, STEADY, RATE), run_of(make, times(0.95), RATE), RATE).verdict == "worse"


def test_within_the_margin_is_the_same_even_if_it_is_certain(make):
    found = told(run_of(make, STEADY), run_of(make, times(1.01)), margins={P50: 0.02})
    assert found.verdict == "same" and found.p < 0.05 and not found.suspect
    assert told(run_of(make, STEADY), run_of(make, times(1.03)), margins={P50: 0.10}).verdict == "same"


def test_beyond_the_margin_but_not_certain_is_ambiguous(make):
    found = told(run_of(make, [1.0, 1.2, 0.8]), run_of(make, [1.3, 1.0, 1.1]))
    assert found.verdict == "ambiguous" and found.suspect and found.why == "neither a change nor sameness is shown"


def test_certain_but_perhaps_within_the_margin_is_ambiguous(make):
    found = told(run_of(make, STEADY), run_of(make, times(1.0195)), margins={P50: 0.02})
    assert (found.verdict, found.why) == ("ambiguous", "changed, but perhaps by less than the margin")


def test_noise_between_runs_counts_though_no_trial_shows_it(make):
    assert told(run_of(make, STEADY), run_of(make, times(1.05)), stated=Stated()).verdict == "ambiguous"
    assert told(run_of(make, STEADY), run_of(make, times(1.30)), stated=Stated()).verdict == "worse"
    calibrated = told(run_of(make, STEADY), run_of(make, times(1.30)), stated=Stated(None, 0.3))
    assert calibrated.verdict == "ambiguous" and calibrated.basis == "assumed"


def test_one_process_tells_nothing(make):
    found = told(run_of(make, [1.0]), run_of(make, times(2.0)))
    assert (found.verdict, found.why, found.low) == ("ambiguous", "one process only", None)
    assert found.change == pytest.approx(1.0, rel=0.01) and not found.suspect


def test_base_runs_tell_how_runs_differ(make):
    offsets = np.array([-1.2, 0.3, 1.1, -0.4, 0.9, -0.7, 0.2, -0.2])
    bases = [run_of(make, times(np.exp(0.002 * offset))) for offset in offsets]
    found = told(bases, run_of(make, times(1.05)), stated=Stated())
    assert (found.verdict, found.basis) == ("worse", "runs")
    bases = [run_of(make, times(np.exp(0.04 * offset))) for offset in offsets]
    assert told(bases, run_of(make, times(1.05)), stated=Stated()).verdict == "ambiguous"


def test_single_processes_are_enough_where_base_runs_tell_the_noise(make):
    bases = [run_of(make, [100.0 + offset], "load_ms") for offset in (-0.2, 0.1, 0.0, 0.2, -0.1, 0.1)]
    assert told(bases, run_of(make, [130.0], "load_ms"), "load_ms", stated=Stated()).verdict == "worse"


def test_sizes_are_exact(make):
    base, new = ({"a@cpu": make.entry("a", exact={"artefact_mib": size})} for size in (10.0, 10.5))
    found = told(base, new, "artefact_mib")
    assert (found.verdict, found.basis, found.p) == ("worse", "exact", 0.0)
    assert told(base, base, "artefact_mib").verdict == "same"


def test_accuracy_is_paired_by_row(make):
    """Ten more wrong of 1,000 is within the sampling of rows; paired, where nothing else changed, it is certain."""
    base = {"a@cpu": make.entry("a", correct=make.right(1000, range(50)))}
    new = {"a@cpu": make.entry("a", correct=make.right(1000, range(75)))}
    found = told(base, new, "accuracy")
    assert (found.verdict, found.basis, found.relative) == ("worse", "rows", False)
    assert found.change == pytest.approx(-0.025) and -0.04 < found.low < found.high < -0.01
    assert told(base, base, "accuracy").verdict == "same"


def test_side_by_side_what_blocks_share_cancels(make):
    rng = np.random.default_rng(2)
    drift = np.exp(rng.normal(0, 0.3, 10))
    entries = {
        "a@cpu": make.entry("a", trials={P50: 1.05 * drift * np.exp(rng.normal(0, 0.01, 10))}),
        "a.baseline@cpu.baseline": make.entry("a.baseline", trials={P50: drift * np.exp(rng.normal(0, 0.01, 10))}),
    }
    (change,) = paired(entries, {"a@cpu": "a.baseline@cpu.baseline"}, P50).values()
    found = judge({("a@cpu", P50): change}, {}, 0.01)[0]
    assert (found.verdict, found.basis, found.n) == ("worse", "paired", 10)
    assert found.low < 0.05 < found.high and found.high - found.low < 0.03


def test_one_shared_block_is_not_known(make):
    entries = {name: make.entry(name, trials={P50: [1.0]}) for name in ("a", "b")}
    (change,) = paired(entries, {"a": "b"}, P50).values()
    found = judge({("a", P50): change}, {}, 0.05)[0]
    assert (found.verdict, found.why, found.change) == ("ambiguous", "fewer than two blocks shared", None)
    assert paired({}, {"a": "b"}, P50) == {}


def test_a_family_of_verdicts_is_judged_as_one(make):
    """p = 0.01 on its own is worse; among twenty it is nothing."""
    alone = told(run_of(make, STEADY), run_of(make, times(1.05)), stated=Stated(0.0135))
    assert 0.005 < alone.p < 0.02 and alone.verdict == "worse"
    base = {f"r{i}@cpu": make.entry(f"r{i}", trials={P50: STEADY}) for i in range(20)}
    new = {f"r{i}@cpu": make.entry(f"r{i}", trials={P50: times(1.05 if i == 0 else 1.0)}) for i in range(20)}
    found = judge({(r, P50): c for r, c in unpaired([base], new, P50, Stated(0.0135)).items()}, {}, 0.05)
    assert {each.verdict for each in found} == {"ambiguous"} and found[0].suspect


def test_metrics_and_margins(make):
    entry = make.entry(
        "a", trials={P50: STEADY, "latency_p90_ms": STEADY, "best_batch_size": STEADY, f"o.{RATE}": STEADY}
    )
    policy = Policy(objectives={"latency_p90_ms": Objective(target=1, limit=2, weight=1)})
    assert judged_metrics(policy, [entry]) == (P50, "latency_p90_ms", f"o.{RATE}")
    assert judged_metrics(policy, [entry], ["latency_p90_ms"]) == ("latency_p90_ms",)
    assert margin_of(f"o.{RATE}", {}) == 0.02 and margin_of(P99, {P99: 0.2}) == 0.2
    assert margin_of(f"o.{RATE}", {RATE: 0.3}) == 0.3 and margin_of(f"o.{RATE}", {RATE: 0.3, f"o.{RATE}": 0.4}) == 0.4


def test_what_counts_as_a_regression(make):
    worse = told(run_of(make, STEADY), run_of(make, times(1.5)))

    def of(*verdicts, rows=()):
        return Comparison(suite="s", base=("b",), new="n", alpha=0.05, verdicts=verdicts, rows=rows)

    assert of(worse).regressions and of(msgspec.structs.replace(worse, confirmed=True)).regressions
    assert not of(msgspec.structs.replace(worse, confirmed=False)).regressions
    broken = RowChange(row="a@cpu", base="measured", new="failed")
    skipped, before = (
        RowChange(row="a@cpu", base=base, new=new) for base, new in (("measured", "skipped"), ("failed", "failed"))
    )
    assert of(rows=(broken, skipped, before)).broken == (broken,)
