"""The reader of a run that goes on: what it has, what it reads again, how long blocks took."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.analyse import reader as reading
from harness.analyse.reader import open_run
from harness.errors import EvidenceError
from harness.evidence.run import block_file
from harness.spec.policy import Policy

from .handwritten import block, cold, run_folder, trial

WINDOW = {"interactive": [1.0, 2.0, 3.0] * 20}


@pytest.fixture
def run(tmp_path):
    made = run_folder(tmp_path, "a")
    cold(made, "a", 1)
    trial(made, "a", 0, WINDOW, fresh=False)
    return made


def test_there_is_evidence_of_a_trial_when_it_has_ended_and_is_whole(run):
    reader = open_run(run)
    assert reader.has_evidence("a@box", 0)
    assert not reader.has_evidence("a@box", 1)
    folder = trial(run, "a", 1, WINDOW, fresh=False)
    (folder / "requests" / "interactive" / "latency.npy").write_bytes(b"cut")
    assert not reader.has_evidence("a@box", 1)
    trial(run, "a", 1, WINDOW, fresh=False)
    assert reader.has_evidence("a@box", 1)  # without a refresh
    assert [note.code for note in reader.notes()] == []  # what was damaged has been measured again


def test_a_failed_trial_is_evidence(run):
    trial(run, "a", 1, {}, status="failed", failure="crash")
    assert open_run(run).has_evidence("a@box", 1)


def test_a_refresh_reads_only_what_is_new(run, monkeypatch):
    reader, read = open_run(run), []
    plain = reading.read_trial

    def noted(folder, *rest):
        read.append(folder.name)
        return plain(folder, *rest)

    monkeypatch.setattr(reading, "read_trial", noted)
    monkeypatch.setattr(reading, "read_cold", lambda folder, *rest: read.append(folder.name))
    trial(run, "a", 1, WINDOW, fresh=False)
    reader.refresh()
    reader.refresh()
    assert read == ["trial-02"]


def test_a_block_has_seconds_when_it_has_ended_and_a_resumed_one_has_more(run):
    reader = open_run(run)
    assert reader.block_seconds(0) is None
    block(run, 0, 4.5)
    assert reader.block_seconds(0) == 4.5
    block(run, 0, 6.5)
    assert reader.block_seconds(0) == 6.5
    block_file(run, 0).write_text("{")
    with pytest.raises(EvidenceError, match=r"01\.json"):
        reader.block_seconds(0)


def test_a_stalled_process_is_not_averaged_away(tmp_path):
    """Three of twelve processes take eight times as long for 5 % of their requests: the p99 of all requests is 8 ms."""
    run = run_folder(tmp_path, "a")
    for number in range(12):
        values = np.ones(1000)
        values[:50] = 8.0 if number < 3 else 1.0
        trial(run, "a", number, {"interactive": values}, fresh=False)
    (entry,) = open_run(run).entries(Policy())
    measure = entry.metrics["latency_p99_ms"]
    assert (measure.value, measure.n) == (8.0, 12_000)  # not the 1.7 of a geometric mean
    assert math.exp(np.log(entry.trials["latency_p99_ms"]).mean()) < 2
