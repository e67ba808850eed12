"""A scenario kind of a third party: its own parameters, its own evidence, its own metric."""

from __future__ import annotations

import numpy as np
import pytest

BURST = '[[scenario]]\nname = "burst"\nkind = "burst"\nrequests = 4\nbursts = 100\n'
ONE = '[[scenario]]\nname = "one"\nkind = "single_stream"\nmax_samples = 1000\n'


def test_the_child_executes_it_and_its_evidence_becomes_metrics(bench, fake) -> None:
    objectives = (
        "[policy.limits]\n'burst.latency_p99_ms' = { max = 10 }\n[policy.objectives]\n"
        "latency_p50_ms = { weight = 1, target = 0.01, limit = 1000 }\n"
        "'burst.latency_p99_ms' = { weight = 1, target = 0.01, limit = 1000 }\n"
        "'burst.first_of_burst_ms' = { weight = 1, target = 0.01, limit = 1000 }\n"
    )
    done = bench.run({"m.fake.toml": f"{fake}sigma = 0.2\n"}, scenario=ONE + BURST, policy=objectives, trials=2)
    assert done.status == 0, done.text
    trial = done.run / "cells/m@place/trial-01"
    window = done.read("cells/m@place/trial-01/outcome.json")["windows"][1]
    assert [window[key] for key in ("name", "scenario", "samples", "rounds")] == ["burst", "burst", 400, 100]
    requests = trial / "requests" / "burst"
    assert {path.stem for path in requests.iterdir()} == {"start", "latency", "group"}
    latency = np.load(requests / "latency.npy")
    assert (np.load(requests / "group.npy") == np.repeat(np.arange(100), 4)).all()
    metrics = done.row("m")["metrics"]
    assert metrics["burst.latency_p99_ms"]["unit"] == "ms" and metrics["latency_p99_ms"]["n"] == 2000
    first = metrics["burst.first_of_burst_ms"]
    assert (first["n"], first["trials"], first["unit"], first["basis"]) == (200, 2, "ms", "between")
    second = np.load(trial.with_name("trial-02") / "requests" / "burst" / "latency.npy")
    expected = np.exp(np.mean([np.log(each[::4].mean() / 1e6) for each in (latency, second)]))
    assert first["value"] == pytest.approx(expected)
    assert set(done.row("m")["utilities"]) == {"latency_p50_ms", "burst.latency_p99_ms", "burst.first_of_burst_ms"}


def test_as_the_first_scenario_its_metrics_have_no_prefix(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake}, scenario=BURST)
    assert done.status == 0, done.text
    metrics = done.row("m")["metrics"]
    assert metrics["latency_p99_ms"]["value"] == metrics["first_of_burst_ms"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("line", "what", "mend"),
    [
        ("burst = 3", "scenario[1].burst: unknown key", "did you mean 'bursts'?"),
        ("requests = 0", "scenario[1].requests: must be >= 1, is 0", ""),
        ("requests = 1", "scenario[1].requests: a burst has two or more", ""),
        ("requests = 'many'", "scenario[1].requests: expected 'int', got 'str'", ""),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_path(bench, fake, line: str, what: str, mend: str) -> None:
    done = bench.run({"m.fake.toml": fake}, scenario=f'{ONE}[[scenario]]\nname = "b"\nkind = "burst"\n{line}\n')
    assert (done.status, done.run) == (2, None)
    assert f"suite.toml: {what}" in done.text and mend in done.text


def test_an_unknown_kind_is_refused_with_the_nearest(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake}, scenario='[[scenario]]\nname = "b"\nkind = "brust"\n')
    assert (done.status, done.run) == (2, None)
    assert "scenario[0].kind: 'brust' is not one of the values" in done.text and "did you mean 'burst'?" in done.text
