"""A run folder with a damaged file: said by name, ranked without it, measured again by --resume."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EvidenceError, SpecError
from harness.evidence.run import read_run
from harness.pipeline.conclude import conclude
from harness.pipeline.run import run as run_pipeline

from .helpers import damage, outcomes, ranking, rows, run_cli, run_here, write_suite

TRIAL = "cells/a@place/trial-02"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one finished run: two candidates, two blocks."""
    base = tmp_path_factory.mktemp("damage")
    suite = write_suite(base, {"a": {}, "b": {"latency_ms": 2.0}}, trials=2)
    return run_here(suite, base / "out")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """Give the test a copy to damage."""
    copy = tmp_path / whole.name
    shutil.copytree(whole, copy)
    yield copy


def damage_notes(run: Path) -> list[str]:
    """Return the messages about evidence that could not be used."""
    return [note["message"] for note in ranking(run)["notes"] if note["code"] == "evidence_damaged"]


def again(run: Path, but: str) -> None:
    """Resume; all but the trial `but` must be left as they were, and everything be ranked."""
    before = {name: seen for name, seen in outcomes(run).items() if not name.startswith(but + "/")}
    run_pipeline(run, read_run(run))
    assert before.items() <= outcomes(run).items()
    assert len(outcomes(run)) == 4
    row = rows(run)["a"]
    assert (row["status"], row["metrics"]["latency_p50_ms"]["trials"]) == ("measured", 2)
    assert not [note for note in ranking(run)["notes"] if note["code"] == "evidence_damaged"]


@pytest.mark.parametrize("name", ["outcome.json", "requests/one/latency.npy"])
def test_a_truncated_file_of_a_trial(run: Path, name: str) -> None:
    damage(run / TRIAL / name)
    cut = (run / TRIAL / name).stat().st_size
    conclude(run)
    assert [note for note in damage_notes(run) if f"{TRIAL}/{name}: " in note and "--resume" in note]
    row = rows(run)["a"]
    assert (row["status"], row["metrics"]["latency_p50_ms"]["trials"]) == ("undecided", 1), "one trial tells no spread"
    again(run, but=TRIAL)
    kept = run / f"{TRIAL}.incomplete-1" / name
    assert kept.stat().st_size == cut, "the damaged folder is kept aside as it was found"


@pytest.mark.parametrize("prepared", [True, False])
def test_truncated_predictions_cost_the_quality_only(labelled: Path, prepared: bool) -> None:
    """They are made again where preparing is; without that the latencies are ranked."""
    first = labelled / "cells/a@place/cold-01/predictions.npy"
    damage(first)
    conclude(labelled)
    assert [note for note in damage_notes(labelled) if "predictions.npy: damaged" in note]
    row = rows(labelled)["a"]
    assert "accuracy" not in row["metrics"] and row["metrics"]["latency_p50_ms"]["trials"] == 2
    before = outcomes(labelled)
    if not prepared:
        (labelled / "prepare.json").unlink()
    run_pipeline(labelled, read_run(labelled))
    assert outcomes(labelled) == before
    assert rows(labelled)["a"]["metrics"]["accuracy"]["n"] == 500
    assert not damage_notes(labelled)


def test_the_command_says_so_and_ranks_the_rest(run: Path) -> None:
    damage(run / TRIAL / "outcome.json")
    ranked = run_cli("rank", run, "--out", run.parent, env={"COLUMNS": "400"})
    assert ranked.returncode == 0, ranked.stderr
    assert f"{TRIAL}/outcome.json: cannot be read" in ranked.stdout
    resumed = run_cli("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert len(outcomes(run)) == 4 and "cannot be read" not in resumed.stdout


def test_a_cell_of_which_nothing_is_whole_keeps_its_row(run: Path) -> None:
    for number in (1, 2):
        damage(run / f"cells/a@place/trial-0{number}/outcome.json")
    conclude(run)
    row = rows(run)["a"]
    assert row["status"] == "skipped" and not row["eligible"] and not row["metrics"]
    assert rows(run)["b"]["eligible"]


@pytest.mark.parametrize("name", ["events.jsonl", "telemetry.csv", "worker.log"])
def test_what_only_accompanies_a_trial_may_be_damaged_or_gone(run: Path, name: str) -> None:
    before = rows(run)
    (run / TRIAL / name).write_bytes(b"\xff\x00 nothing of use\n")
    conclude(run)
    assert without_flags(rows(run)) == without_flags(before)
    (run / TRIAL / name).unlink()
    conclude(run)
    assert without_flags(rows(run)) == without_flags(before)


def without_flags(found: dict[str, dict[str, object]]) -> dict[str, object]:
    """Leave out what telemetry says of the host."""
    return {name: (row["metrics"], row["score"], row["place"]) for name, row in found.items()}


def test_a_job_that_is_gone_does_not_stop_a_resume(run: Path) -> None:
    (run / TRIAL / "job.json").unlink()
    again(run, but=TRIAL)


@pytest.mark.parametrize("name", ["run.json", "race.json", "prepare.json"])
def test_a_truncated_record_is_named(run: Path, name: str) -> None:
    damage(run / name)
    ranked = run_cli("rank", run)
    assert ranked.returncode == 2
    assert "Traceback" not in ranked.stderr
    assert ranked.stderr.startswith(f"error: {run / name}: cannot be read")


def test_resuming_without_a_readable_run_json_is_refused(run: Path) -> None:
    damage(run / "run.json")
    with pytest.raises(EvidenceError, match=r"run\.json: cannot be read"):
        read_run(run)
    assert len(outcomes(run)) == 4


@pytest.fixture(scope="module")
def whole_labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one finished run on a dataset with labels; it is `data.npz` in the folder `s` beside the results."""
    base = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    suite = write_suite(base / "s", {"a": {}, "b": {}}, trials=2)
    np.savez(suite.parent / "data.npz", x=rng.integers(0, 9, (500, 1)).astype("float32"), labels=np.zeros(500))
    suite.write_text(suite.read_text().replace("[dataset.synthetic]\nrows = 32", '[dataset]\npath = "data.npz"'))
    return run_here(suite, base / "out")


@pytest.fixture
def labelled(whole_labelled: Path, tmp_path: Path) -> Path:
    """Give the test a copy to damage."""
    return Path(shutil.copytree(whole_labelled, tmp_path / whole_labelled.name))


def test_a_damaged_dataset_is_made_again_from_the_same_rows(whole_labelled: Path, labelled: Path) -> None:
    """Else every trial still to come would fail for what is not its model's fault."""
    given = whole_labelled.parents[1] / "s" / "data.npz"
    damage(labelled / "prepare" / "dataset" / "evaluation" / "inputs" / "x.npy")
    shutil.rmtree(labelled / TRIAL)
    given.rename(given.with_suffix(".old"))
    np.savez(given, x=np.ones((500, 1), np.float32), labels=np.ones(500))
    with pytest.raises(SpecError, match="the dataset has changed since the run began"):
        run_pipeline(labelled, read_run(labelled))
    given.with_suffix(".old").replace(given)
    again(labelled, but=TRIAL)


def run_once(tmp_path: Path) -> tuple[Path, Path]:
    """Make a finished run of one candidate; returns it and the candidate's file."""
    suite = write_suite(tmp_path / "s", {"a": {}})
    return run_here(suite, tmp_path / "out"), tmp_path / "s" / "a.fake.toml"


def test_the_staged_artefact_outlives_the_users_file(tmp_path: Path) -> None:
    run, artefact = run_once(tmp_path)
    finished = outcomes(run)
    artefact.unlink()
    run_pipeline(run, read_run(run))
    assert outcomes(run) == finished


def test_an_artefact_that_is_gone_is_asked_for(tmp_path: Path) -> None:
    run, artefact = run_once(tmp_path)
    finished, script = outcomes(run), artefact.read_bytes()
    artefact.unlink()
    shutil.rmtree(run / "artefacts")
    with pytest.raises(SpecError, match=r"a\.fake\.toml: No such file or directory \(put it back\)"):
        run_pipeline(run, read_run(run))
    artefact.write_bytes(script)
    run_pipeline(run, read_run(run))
    assert outcomes(run) == finished


def test_an_artefact_that_changed_in_place_is_refused(tmp_path: Path) -> None:
    run, _ = run_once(tmp_path)
    (staged,) = run.glob("artefacts/*/a.fake.toml")
    staged.write_text("latency_ms = 7.0\n")
    with pytest.raises(SpecError, match="has changed since the run began"):
        run_pipeline(run, read_run(run))


@pytest.mark.parametrize(
    "name", ["prepare.json", "race.json", "ranking.json", "measurements.parquet", "blocks/01.json"]
)
def test_a_record_that_can_be_made_again_is(run: Path, name: str) -> None:
    before = outcomes(run)
    damage(run / name)
    run_pipeline(run, read_run(run))
    assert outcomes(run) == before
    assert {row["status"] for row in rows(run).values()} == {"measured"}


@pytest.mark.parametrize("lost", ["artefacts", "prepare.json"])
def test_another_artefact_in_the_place_of_a_lost_one_is_refused(tmp_path: Path, lost: str) -> None:
    """Its finished trials are of the old one; one row must not mix the two."""
    run, artefact = run_once(tmp_path)
    artefact.rename(artefact.with_suffix(".old"))
    artefact.write_text("latency_ms = 7.0\n")
    if lost == "artefacts":
        shutil.rmtree(run / "artefacts")
    else:
        damage(run / "prepare.json")
    finished = outcomes(run)
    with pytest.raises(SpecError, match="has changed since the run began"):
        run_pipeline(run, read_run(run))
    assert outcomes(run) == finished
