"""The first process of each cell: its speed, its failures, and predictions that are kept between runs."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.evidence.folder import PREDICTIONS, read_job, read_outcome
from harness.evidence.run import cold_folder, read_prepared
from harness.pipeline.artefacts import cache_folder
from harness.pipeline.cold import speed_of
from harness.spec.outcome import Memory, Outcome

from .scripted import row, run


@pytest.fixture(autouse=True)
def _own_predictions(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def kept():
    """Return the files of the cache of predictions."""
    return sorted(cache_folder().with_name("predictions").glob("*.npy"))


def first(ranked, name):
    """Return the folder of a cell's first process."""
    return cold_folder(ranked.folder, f"{name}@anywhere", 1)


def test_it_tells_how_fast_a_cell_is(suite):
    ranked = run(*suite({"a": 2.0}, common=""))
    speed = read_prepared(ranked.folder).cells["a@anywhere"].speed
    assert speed.requests_s == {"interactive": 0.002}
    assert (speed.first_s, speed.load_s > 0, speed.memory_bytes > 0) == (0.002, True, True)
    job = read_job(first(ranked, "a"))
    assert (job.fresh, job.predict) == (True, True)
    assert job.scenarios[0].seconds == pytest.approx(0.1), "short, however long the suite's window is"


def test_what_a_process_needs_for_itself_is_less_than_what_it_shows():
    memory = Memory(baseline_bytes=300, loaded_bytes=400, peak_bytes=450)
    assert speed_of(None, Outcome(status="ok", memory=memory)).memory_bytes == 150
    anonymous = msgspec.structs.replace(memory, anon_bytes=120)
    assert speed_of(None, Outcome(status="ok", memory=anonymous)).memory_bytes == 120


def test_its_latencies_are_not_published_and_its_predictions_are(suite):
    ranked = run(*suite({"a": "latency_ms = 1.0\naccuracy = 0.5\n"}, most=3))
    found = row(ranked, "a").metrics
    assert found["latency_p50_ms"].trials == 3
    assert found["accuracy"].n == 20
    trials = open_run(ranked.folder).trials("a@anywhere")
    assert all(PREDICTIONS not in trial.outcome.files for trial in trials)
    assert PREDICTIONS in read_outcome(first(ranked, "a")).files


def test_a_variant_predicts_a_dataset_once_in_all_runs(suite):
    before = run(*suite({"a": "latency_ms = 1.0\naccuracy = 0.7\n"}, most=3))
    assert len(kept()) == 1
    again = run(*suite({"a": "latency_ms = 1.0\naccuracy = 0.7\n"}, most=3, seed=4))
    assert not read_job(first(again, "a")).predict
    outcome = read_outcome(first(again, "a"))
    assert outcome.settings["predictions"] == "cached" and PREDICTIONS in outcome.files
    accuracy = [row(each, "a").metrics["accuracy"] for each in (before, again)]
    assert accuracy[0] == accuracy[1]


@pytest.mark.parametrize("what", ["dataset", "variant", "output"])
def test_what_decides_predictions_is_in_their_key(suite, what):
    run(*suite({"a": 1.0}, most=3))
    if what == "dataset":
        suite.rows(np.arange(20) % 7)
    folder, record = suite({"a": "latency_ms = 1.0\naccuracy = 0.5\n" if what == "variant" else 1.0}, most=3)
    if what == "output":
        named = tuple(msgspec.structs.replace(each, output="scores") for each in record.suite.candidate)
        record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, candidate=named))
    ranked = run(folder, record)
    assert read_job(first(ranked, "a")).predict and len(kept()) == 2


@pytest.mark.parametrize("data", [b"", b"not numpy", "half"])
def test_a_damaged_cache_entry_is_harmless(suite, data):
    before = run(*suite({"a": "latency_ms = 1.0\naccuracy = 0.7\n"}, most=3))
    (entry,) = kept()
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2] if data == "half" else data)
    again = run(*suite({"a": "latency_ms = 1.0\naccuracy = 0.7\n"}, most=3))
    assert row(again, "a").metrics["accuracy"] == row(before, "a").metrics["accuracy"]
    assert not [note for note in again.ranking.notes if note.code == "evidence_damaged"]
    assert entry.read_bytes() == whole, "and it is put right"


def test_a_cache_that_cannot_be_written_is_done_without(suite):
    cache_folder().parent.mkdir(parents=True)
    cache_folder().with_name("predictions").write_text("a file")
    ranked = run(*suite({"a": 1.0}, most=3))
    assert row(ranked, "a").metrics["accuracy"].value == 1.0


def test_without_labels_and_reference_nothing_is_predicted(suite):
    folder, record = suite({"a": 1.0, "b": 1.0}, most=3)
    np.savez(suite.base / "x.npz", x=np.zeros((20, 1), np.float32))
    ranked = run(folder, record)
    assert not read_job(first(ranked, "a")).predict and kept() == []
    folder, record = suite({"a": 1.0, "b": 1.0}, most=3)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, reference="b"))
    assert read_job(first(run(folder, record), "a")).predict


@pytest.mark.parametrize(
    ("fail_at", "fail_how", "failure", "says"),
    [
        ("load", "raise", "load_error", "scripted failure"),
        ("first", "raise", "load_error", "scripted failure"),
        ("first", "nan", "output_error", "NaN"),
        ("predict", "nan", "output_error", "NaN"),
        ("predict", "raise", "crash", "scripted failure"),
    ],
)
def test_its_failure_is_the_cells(suite, fail_at, fail_how, failure, says):
    bad = f'latency_ms = 1.0\nfail_at = "{fail_at}"\nfail_how = "{fail_how}"\n'
    ranked = run(*suite({"bad": bad, "good": 1.0}, most=3))
    cell = read_prepared(ranked.folder).cells["bad@anywhere"]
    assert (cell.status, cell.failure) == ("failed", failure) and says in cell.why
    found = row(ranked, "bad")
    assert (found.status, found.failure, found.metrics) == ("failed", failure, {})
    assert any(says in reason.message for reason in found.reasons)
    assert [path.name for path in (ranked.folder / "cells" / "bad@anywhere").iterdir()] == ["cold-01"]
    assert row(ranked, "good").status == "measured"


def test_what_it_found_is_kept_when_preparing_is_begun_again(suite):
    folder, record = suite({"a": 1.0}, most=3)
    run(folder, record)
    outcome = cold_folder(folder, "a@anywhere", 1) / "outcome.json"
    before = outcome.stat().st_mtime_ns
    (folder / "prepare.json").unlink()
    run(folder, record)
    assert outcome.stat().st_mtime_ns == before
    outcome.write_bytes(b"{")
    (folder / "prepare.json").unlink()
    run(folder, record)
    assert outcome.stat().st_mtime_ns != before and outcome.parent.with_name("cold-01.incomplete-1").exists()


def test_what_it_found_of_another_artefact_is_not_used(suite):
    """Preparing was cut off, and the model was replaced before it was begun again."""
    folder, record = suite({"a": "latency_ms = 1.0\naccuracy = 0.5\n"}, most=3)
    run(folder, record)
    for path in (folder / "cells" / "a@anywhere").glob("trial-*"):
        path.rename(folder / path.name)
    for name in ("prepare.json", "race.json"):
        (folder / name).unlink()
    (suite.base / "a.fake.toml").write_text("latency_ms = 4.0\n")
    ranked = run(folder, record)
    assert read_prepared(folder).cells["a@anywhere"].speed.requests_s == {"interactive": 0.004}
    assert row(ranked, "a").metrics["accuracy"].value == 1.0
