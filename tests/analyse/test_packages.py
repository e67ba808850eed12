"""Energy on the CPU from cold trials, written by hand: what it is, what is said of it, and when it is not known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.analyse.notes import notes_of
from harness.analyse.reader import open_run
from harness.analyse.remarks import remarked
from harness.evidence.files import save_array
from harness.evidence.folder import (
    LATENCY,
    START,
    TelemetryLog,
    request_file,
    telemetry_file,
    write_outcome,
)
from harness.evidence.run import RaceRecord, cold_folder, trial_folder
from harness.spec.outcome import Event, Launched, Outcome, ProbeRecord, Window
from harness.spec.policy import Objective, Policy

from .handwritten import run_folder

S = 1_000_000_000
BEGIN_S, WATTS, REQUEST_MS = 100.0, 40.0, 2.0
ENERGY = "energy_per_inference_mj"
ASKED = Policy(objectives={ENERGY: Objective(weight=1, target=1, limit=1000)})


def trial(folder, seconds=1.5, dram_w=None, why="", batch=1, begin=0.0, others=0.0):
    """Write a trial of 2 ms requests; its packages take 40 W, read 50 times a second, also 0.5 s before and after."""
    t = np.arange(round((seconds + 1) * 50)) / 50 + BEGIN_S - 0.5
    n = round(seconds * 1e3 / REQUEST_MS)
    folder.mkdir(parents=True)
    if not why:
        log = TelemetryLog(folder, ("package_mj", "dram_mj"), telemetry_file("rapl"))
        for at in t:
            passed_s = at - t[0]
            log.add((round(at * S), 1e3 * WATTS * passed_s, None if dram_w is None else 1e3 * dram_w * passed_s))
        log.close()
    host = TelemetryLog(folder, ("host.total_s", "host.idle_s", "host.steal_s", "process.cpu_s"))
    for at_s in (0.0, 10.0):
        host.add((round(at_s * S), 2 * at_s, at_s * (1 - 2 * others), 0.0, at_s))
    host.close()
    latency = np.full(n, round(REQUEST_MS * 1e6))
    arrays = {LATENCY: latency, START: round(BEGIN_S * S) + np.arange(n) * latency}
    files = {f: save_array(folder / f, a) for name, a in arrays.items() for f in [request_file("interactive", name)]}
    window = Window(name="interactive", scenario="interactive", samples=n, batch_size=batch,
                    elapsed_ns=int(latency.sum()), warm_up_samples=3)  # fmt: skip
    with (folder / "events.jsonl").open("wb") as file:
        for phase, at in (("measure:interactive", BEGIN_S), ("measured:interactive", BEGIN_S + seconds)):
            file.write(msgspec.json.encode(Event(phase=phase, t_ns=round(at * S))) + b"\n")
    record = ProbeRecord(columns={}, unavailable=why)
    launched = Launched(launcher="process", wall_ns=S, probes={"rapl": record})
    write_outcome(folder, Outcome(status="ok", windows=(window,), files=files, launched=launched))


@pytest.fixture
def run(tmp_path):
    base = run_folder(tmp_path, "a", policy=ASKED)
    trial(trial_folder(base, "a@box", 0))
    return base


def cold(run, number=1, **how):
    trial(cold_folder(run, "a@box", number), **how)
    return open_run(run).cold("a@box")[number - 1]


def entry(run):
    reader = open_run(run)
    (found,) = remarked(reader.entries(Policy()), reader, Policy())
    return found


def said(found, code):
    return [each for each in found.diagnostics if each.code == code]


def test_energy_of_an_inference_in_literal_numbers(run):
    """40 W and 2 ms each: 80 mJ, known to a period of 20 ms in 1.48 s."""
    found = cold(run).package
    assert found.millijoules == pytest.approx(80, rel=0.01)
    assert found.relative == pytest.approx(0.02 / 1.48, rel=0.2)
    assert found.energy.agrees is None
    assert cold(run, 2, batch=4).package.millijoules == pytest.approx(20, rel=0.01)


def test_dram_is_added_where_it_is_told(run):
    assert cold(run, dram_w=4.0).package.millijoules == pytest.approx(88, rel=0.01)


def test_the_row_has_it_with_its_interval_and_says_what_it_comprises(run):
    cold(run)
    found = entry(run)
    one = found.metrics[ENERGY]
    assert (one.unit, one.trials, one.basis) == ("mJ", 1, "within")
    assert one.low < 80 < one.high < 83
    (remark,) = said(found, "package_energy")
    assert "idle power and other processes included" in remark.message and remark.data["others"] == 0.0
    assert not said(found, "package_energy_shared")


def test_other_processes_in_it_are_a_warning(run):
    cold(run, others=0.2)
    (remark,) = said(entry(run), "package_energy_shared")
    assert (remark.severity, remark.subject) == ("warning", "a@box") and "20 % of all CPU time" in remark.message


def test_a_trial_between_the_turns_of_others_and_a_short_window_tell_none(run):
    assert ENERGY not in entry(run).metrics, "the trial in rounds has telemetry, which does not count"
    assert cold(run, seconds=0.5).package is None
    assert ENERGY not in entry(run).metrics


def test_where_it_cannot_be_read_it_is_not_known_and_the_run_says_why(run):
    assert cold(run, why="no RAPL here").package is None
    found = entry(run)
    assert ENERGY not in found.metrics and not said(found, "package_energy")
    (note,) = [each for each in notes_of(open_run(run), RaceRecord(), None) if each.code == "energy_unknown"]
    assert note.message == "energy of cells on the CPU is not known: no RAPL here"
    assert note.data["cells"] == ["a@box"]


def test_nothing_is_said_where_no_energy_is_asked_for_or_it_is_known(run, tmp_path):
    cold(run, why="no RAPL here")
    assert not [each for each in notes_of(open_run(run), RaceRecord(), Policy()) if each.code == "energy_unknown"]
    cold(run, 2)
    assert not [each for each in notes_of(open_run(run), RaceRecord(), None) if each.code == "energy_unknown"]


@pytest.mark.parametrize("damage", ["telemetry", "header", "events"])
def test_evidence_that_is_missing_or_damaged_says_nothing(run, damage):
    folder = cold_folder(run, "a@box", 1)
    trial(folder)
    if damage == "header":
        (folder / telemetry_file("rapl")).write_text("t_ns,other\n1,2\n3,4\n")
    else:
        (folder / {"telemetry": telemetry_file("rapl"), "events": "events.jsonl"}[damage]).unlink()
    assert open_run(run).cold("a@box")[0].package is None
