"""The recorded run again: facts, entries, ranking, frames. Expected numbers come from numpy, not from us."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

import harness
from harness.analyse.frames import COLUMNS, measurements
from harness.analyse.reader import open_run
from harness.errors import EvidenceError
from harness.evidence.files import write_json
from harness.evidence.run import BlockRecord, Drop, block_file, read_race
from harness.pipeline.conclude import conclude
from harness.score.rank import rank
from harness.spec.metrics import CATALOGUE, split_key
from harness.spec.policy import Limit, Policy


@pytest.fixture
def entries(recorded):
    reader = open_run(recorded)
    return {entry.candidate: entry for entry in reader.entries(reader.record.suite.policy)}


def samples(folder, cell, name):
    paths = sorted((folder / "cells" / cell).glob(f"trial-0[123]/requests/{name}/latency.npy"))
    return [np.sort(np.load(path)) for path in paths]


def log_mean(values):
    return math.exp(np.mean(np.log(values)))


def test_every_cell_has_its_entry_and_its_fate(entries):
    assert {name: (entry.status, entry.failure) for name, entry in entries.items()} == {
        "quick": ("measured", None),
        "slow": ("measured", None),
        "broken": ("failed", "crash"),
        "absent": ("skipped", None),
    }
    (why,) = entries["broken"].diagnostics
    assert (why.code, why.severity, why.subject) == ("failed", "error", "broken@box")
    assert (why.message, why.data) == ("ended by SIGSEGV in phase 'measure:interactive'", {"failure": "crash"})
    (why,) = entries["absent"].diagnostics
    assert (why.code, why.message) == ("skipped", "target not available here: no such device")
    assert entries["broken"].metrics == entries["absent"].metrics == {}


def test_percentiles_are_of_all_requests_together(entries, recorded):
    trials = samples(recorded, "quick@box", "interactive")
    together = np.sort(np.concatenate(trials))
    for key, each, all_trials in (("latency_p50_ms", 20, 60), ("latency_p90_ms", 36, 108)):  # int(40 p), int(120 p)
        measure = entries["quick"].metrics[key]
        assert measure.value == together[all_trials] / 1e6
        assert entries["quick"].trials[key] == pytest.approx([ordered[each] / 1e6 for ordered in trials], rel=1e-12)
        assert (measure.n, measure.trials, measure.unit, measure.basis) == (120, 3, "ms", "pooled")
        assert 0 < measure.effective_n <= 120
        assert measure.low < measure.value < measure.high


def test_the_loads_of_a_percentile_are_its_trials_in_block_order(entries, recorded):
    measure, loads = (getattr(entries["quick"], name)["latency_p90_ms"] for name in ("metrics", "loads"))
    above = [np.mean(trial > measure.value * 1e6) for trial in samples(recorded, "quick@box", "interactive")]
    assert np.argsort(loads).tolist() == np.argsort(above).tolist()  # a slow trial has a positive load
    assert set(entries["quick"].loads) == {f"latency_{p}_ms" for p in ("p50", "p90", "p95", "p99", "p99_9")}


def test_a_percentile_of_too_few_samples_has_no_upper_end(entries):
    for key in ("latency_p99_ms", "latency_p99_9_ms"):
        assert entries["quick"].metrics[key].high is None
        assert entries["quick"].metrics[key].value > 1
    assert entries["quick"].metrics["latency_p90_ms"].high is not None


def test_metrics_of_the_second_scenario_carry_its_name(entries, recorded):
    per_trial = [8 * 40 / (ordered.sum() / 1e9) for ordered in samples(recorded, "quick@box", "offline.b8")]
    metrics = entries["quick"].metrics
    assert metrics["offline.throughput_per_s"].value == pytest.approx(log_mean(per_trial), rel=1e-12)
    assert metrics["offline.best_batch_size"].value == 8
    assert metrics["throughput_per_s"].value == pytest.approx(996.31, abs=0.01)
    assert not [key for key in metrics if key.startswith("offline.latency")]


def test_what_is_read_and_not_timed(entries):
    metrics = entries["quick"].metrics
    assert metrics["load_ms"].value == pytest.approx((2 * 4 * 6) ** (1 / 3))
    assert (metrics["memory_peak_mib"].value, metrics["artefact_mib"].value) == (30.0, 1.0)
    assert metrics["artefact_mib"].basis == "exact"
    assert (metrics["accuracy"].value, metrics["accuracy"].n, metrics["accuracy"].basis) == (0.9, 20, "rows")
    assert entries["quick"].rows["accuracy"].values.tolist() == [0.0, 0.0] + [1.0] * 18
    agreement = entries["slow"].metrics["output_agreement"]
    assert (agreement.value, agreement.n, agreement.basis) == (0.9, 20, "rows")
    assert entries["slow"].rows["output_agreement"].values.tolist() == [0.0, 0.0] + [1.0] * 18
    assert entries["slow"].metrics["output_max_abs_diff"].value == 1.0


def test_cost_is_of_the_fastest_way_that_keeps_the_latency_limit(recorded):
    reader = open_run(recorded)

    def costs(most_ms):
        policy = Policy(limits={"latency_p90_ms": Limit(max=most_ms)})
        found = {entry.candidate: entry.metrics.get("cost_per_million_usd") for entry in reader.entries(policy)}
        return found["quick"], found["slow"]

    def usd(rate):
        return 0.36 / 3600 * 1e6 / (rate * 0.5)

    quick, slow = costs(5)  # slow takes 6 ms in batches of 8
    assert quick.value == pytest.approx(usd(3980.16), rel=1e-5)
    assert slow.value == pytest.approx(usd(330), rel=0.01)
    quick, slow = costs(1.5)
    assert quick.value == pytest.approx(usd(996), rel=0.02)
    assert slow is None  # it takes 3 ms one by one, certainly more than 1.5
    assert costs(0.01) == (None, None)


def test_warnings_say_in_how_many_trials(entries):
    (said,) = entries["quick"].diagnostics
    assert (said.code, said.message) == ("not_steady", "not steady in 1 of 3 trials")
    assert (said.severity, said.subject, said.data) == ("warning", "quick@box", {"affected": 1, "trials": 3})
    assert entries["slow"].diagnostics == ()


def test_what_the_host_did_is_one_note_of_the_run_and_no_warning(recorded):
    """Of 2 s in quick's second trial 5 % were stolen; in its third, others used half. Five trials have telemetry."""
    notes = [note for note in conclude(recorded).ranking.notes if note.code == "host_noise"]
    assert [note.severity for note in notes] == ["info"]
    data = notes[0].data
    assert (data["disturbed"], data["all_disturbed"]) == (None, [])  # these trials have no slices
    assert (data["steal"], data["others"]) == pytest.approx((0.01, 0.1))
    assert notes[0].message == "the host: the hypervisor took 1.0 % of all CPU time; other processes took 10.0 %"


def test_of_processes_that_took_turns_nothing_is_said_of_others(recorded):
    """What the run's own cells used meanwhile would count as theirs; steal is told all the same."""
    for number in range(4):
        record = BlockRecord(block=number, wall_s=1.0, groups=(("quick@box", "slow@box"),))
        write_json(block_file(recorded, number), record)
    (note,) = [note for note in conclude(recorded).ranking.notes if note.code == "host_noise"]
    assert note.data["others"] is None and note.data["steal"] == pytest.approx(0.01)


def test_a_damaged_trial_is_noted_and_the_others_are_used(recorded):
    reader = open_run(recorded)
    assert [trial.block for trial in reader.trials("slow@box")] == [0, 1]
    (note,) = [note for note in reader.notes() if note.code == "evidence_damaged"]
    damaged = recorded / "cells" / "slow@box" / "trial-03" / "requests" / "offline.b8" / "latency.npy"
    assert note.message.startswith(f"{damaged}: damaged: 300 bytes, the outcome says 448")
    assert "harness run --resume" in note.message


def test_a_note_of_trials_names_the_cells_that_it_holds_for(recorded):
    (note,) = [note for note in open_run(recorded).notes() if note.code == "batch_fixed"]
    assert note.message.startswith("a note of the trial (")
    assert note.data["cells"] == ["quick@box", "slow@box"]


def test_a_trial_that_has_not_ended_is_no_trial(recorded):
    reader = open_run(recorded)
    assert [trial.block for trial in reader.trials("quick@box")] == [0, 1, 2]
    assert reader.seconds_of("quick@box", 3) is None
    assert reader.seconds_of("quick@box", 0) is not None


def test_an_earlier_look_sees_fewer_blocks(recorded):
    reader = open_run(recorded)
    policy = reader.record.suite.policy
    found = {entry.candidate: entry for entry in reader.entries(policy, through=1)}
    assert found["quick"].metrics["latency_p50_ms"].trials == 1
    assert found["quick"].metrics["latency_p50_ms"].high is None


def test_a_hole_in_the_blocks_is_not_a_number_in_its_place(recorded):
    (recorded / "cells" / "quick@box" / "trial-02" / "outcome.json").unlink()
    reader = open_run(recorded)
    (quick, *_) = reader.entries(reader.record.suite.policy)
    for values in (quick.trials["latency_p50_ms"], quick.loads["latency_p50_ms"], quick.trials["load_ms"]):
        assert [math.isnan(value) for value in values] == [False, True, False]


def test_the_evidence_ranks(recorded):
    reader = open_run(recorded)
    policy = reader.record.suite.policy
    drop = Drop(cell="slow@box", block=2, why="left after block 2", leader="quick@box")
    made = rank(reader.entries(policy, {"slow@box": drop}), policy, suite="recorded", draws=500)
    assert [(row.candidate, row.status, row.place) for row in made.rows] == [
        ("quick", "measured", 1),
        ("slow", "dropped", 2),
        ("broken", "failed", None),
        ("absent", "skipped", None),
    ]


def test_the_frame_is_tidy_and_an_unknown_is_never_zero(recorded):
    ranking = conclude(recorded).ranking
    frame = measurements(ranking, "interactive")
    assert tuple(frame.columns) == COLUMNS
    assert set(frame.candidate) == {"quick", "slow"}
    assert not frame.duplicated(["candidate", "target", "scenario", "metric"]).any()
    quick = frame[frame.candidate == "quick"].set_index(["scenario", "metric"])
    assert math.isnan(quick.loc[("interactive", "latency_p99_ms"), "high"])
    assert quick.loc[("offline", "throughput_per_s"), "value"] == pytest.approx(3980.16, abs=0.01)
    cell_wide = frame[frame.scenario.isna()].metric
    assert {CATALOGUE[key].scope for key in cell_wide} == {"cell"}


def test_a_finished_run_loads_into_frames(recorded):
    ranking = conclude(recorded).ranking
    loaded = harness.load(recorded)
    assert loaded.folder == recorded
    pd.testing.assert_frame_equal(loaded.measurements, measurements(ranking, "interactive"), check_dtype=False)
    table = loaded.ranking.set_index("candidate")
    assert table.loc["quick", "place"] == 1
    for name in ("broken", "absent"):
        numbers = table.loc[name, [c for c in table.columns if split_key(c)[1] in CATALOGUE]]
        assert numbers.isna().all()
        assert pd.isna(table.loc[name, "score"])


@pytest.mark.parametrize("file", ["ranking.json", "measurements.parquet"])
@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"\0harm")])
def test_a_run_without_a_readable_ranking_says_how_to_derive_it(recorded, file, harm):
    conclude(recorded)
    harm(recorded / file)
    with pytest.raises(EvidenceError, match="harness rank"):
        harness.load(recorded)


@pytest.mark.parametrize("file", ["run.json", "prepare.json", "race.json"])
def test_damaged_records_are_named(recorded, file):
    (recorded / file).write_bytes(b'{"id": ')
    with pytest.raises(EvidenceError, match=file):
        open_run(recorded)
        read_race(recorded)


def test_a_run_that_was_never_prepared_has_only_skipped_cells(recorded):
    (recorded / "prepare.json").unlink()
    reader = open_run(recorded)
    assert {entry.status for entry in reader.entries(reader.record.suite.policy)} == {"skipped"}


def test_hosts_are_counted_and_seconds_include_the_launch(recorded):
    for number, cpu in ((1, "one"), (2, "two"), (3, "two")):
        path = recorded / "cells" / "quick@box" / f"trial-0{number}" / "outcome.json"
        outcome = json.loads(path.read_bytes())
        outcome["launched"] = {"launcher": "process", "wall_ns": 1_500_000_000 + number, "host": {"cpu": cpu}}
        path.write_text(json.dumps(outcome))
    reader = open_run(recorded)
    assert reader.hosts() == (({"cpu": "two"}, 2), ({"cpu": "one"}, 1))
    assert reader.seconds_of("quick@box", 1) == 1.500000002  # not the 1 s that the worker itself took
    assert reader.seconds_of("slow@box", 0) == 1.0  # what the worker said, where the launcher said nothing
