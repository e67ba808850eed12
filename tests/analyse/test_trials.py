"""One trial folder: what its telemetry flags, and what is refused as damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.reader import open_run
from harness.analyse.trials import HostFractions, host_fractions, read_trial
from harness.errors import EvidenceError, SpecError
from harness.evidence.folder import TelemetryLog, request_file
from harness.scenarios.single_stream import SingleStream

COLUMNS = ("process.cpu_s", "host.steal_s", "host.idle_s", "host.total_s")
SCENARIOS = (SingleStream(name="interactive"),)
LATENCY = request_file("interactive", "latency")


@pytest.fixture
def trial(recorded):
    return recorded / "cells" / "quick@box" / "trial-01"


def telemetry(folder, *looks):
    """Write looks of (child, steal, idle, total) seconds; None stays empty."""
    log = TelemetryLog(folder, COLUMNS)
    for number, look in enumerate(looks):
        log.add((number, *look))
    log.close()


def test_fractions_of_the_host_in_literal_numbers(tmp_path):
    telemetry(tmp_path, (0, 0.05, 1.0, 10.0), (0.3, 0.07, 1.2, 11.0), (0.5, 0.15, 1.5, 12.0))
    found = host_fractions(tmp_path)
    assert found == pytest.approx(HostFractions(steal=10 / 200, others=(200 - 50 - 10 - 50) / 200))


@pytest.mark.parametrize(
    "looks",
    [
        [],
        [(0, 0, 0, 1.0)],
        [(0, 0, 0, 1.0), (0.01, 0, 0, 1.19)],  # too short to tell
        [(0, 0, 0, None), (0.01, 0, 0, None)],
        [(0, None, 0, 1.0), (0.01, None, 0, 2.0)],  # a host that does not say what is stolen
        [(0, 0, 0, "1oo"), (0.01, 0, 0, 2.0)],
    ],
)
def test_what_the_host_did_not_say_is_not_known(tmp_path, looks):
    telemetry(tmp_path, *looks)
    assert host_fractions(tmp_path) is None


@given(st.binary(max_size=300))
def test_damaged_telemetry_never_stops_the_analysis(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("t")
    (folder / "telemetry.csv").write_bytes(",".join(("t_ns", *COLUMNS)).encode() + b"\n" + data)
    found = host_fractions(folder)
    assert found is None or isinstance(found.steal, float)


def test_telemetry_cut_off_in_its_last_line_is_still_read(trial):
    before = host_fractions(trial)
    path = trial / "telemetry.csv"
    path.write_text(path.read_text() + "2000000000,5000")
    assert host_fractions(trial) == before


def test_what_else_used_the_machine_is_no_warning_of_a_trial(trial):
    telemetry(trial, (0, 0, 0, 10.0), (0.2, 0.4, 0, 12.0))
    assert read_trial(trial, 0, SCENARIOS).warnings == ()


def test_a_warm_up_that_did_not_become_steady_is_a_warning(trial):
    edited(trial, steady=False)
    assert [each.code for each in read_trial(trial, 0, SCENARIOS).warnings] == ["not_steady"]


def edited(trial, **fields):
    outcome = json.loads((trial / "outcome.json").read_text())
    outcome["windows"][0] |= fields
    outcome["files"] = {}
    (trial / "outcome.json").write_text(json.dumps(outcome))


@pytest.mark.parametrize(
    "harm",
    [
        lambda trial: edited(trial, samples=39),
        lambda trial: edited(trial, elapsed_ns=0),
        lambda trial: (edited(trial, samples=0), np.save(trial / LATENCY, np.zeros(0, np.int64))),
        lambda trial: (edited(trial), np.save(trial / LATENCY, np.ones(40))),
        lambda trial: (edited(trial), np.save(trial / LATENCY, np.ones((40, 2), np.int64))),
        lambda trial: (edited(trial), (trial / LATENCY).unlink()),
        lambda trial: (trial / LATENCY).unlink(),
        lambda trial: (trial / "outcome.json").write_text("{"),
    ],
)
def test_damaged_samples_are_refused_by_name(trial, harm):
    harm(trial)
    with pytest.raises(EvidenceError, match=r"interactive/latency\.npy|window interactive|outcome\.json"):
        read_trial(trial, 0, SCENARIOS)


def test_a_metric_of_a_scenario_that_nobody_registered_is_named(recorded, monkeypatch):
    monkeypatch.setattr("harness.analyse.trials.metric_names", lambda: ("latency_p50_ms",))
    with pytest.raises(SpecError, match=r"scenario kind 'single_stream': gives the metric 'best_batch_size', which is"):
        open_run(recorded)
