"""A full disk and a read-only one: real file systems, one clear error, nothing finished is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence.folder import write_outcome
from harness.evidence.run import new_folder
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.pipeline.artefacts import store
from harness.spec.outcome import Outcome

from ..launch.helpers import trial_of
from .conftest import Disk
from .helpers import only_run, outcomes, rows, run_cli, write_suite


def test_a_full_disk_stops_the_run_and_it_resumes(tmp_path: Path, disk: Disk) -> None:
    """Preparing leaves some 100 KiB and each block of two trials as much, so that the second of three finds no room."""
    suite = write_suite(tmp_path / "s", {"a": {}, "b": {}}, trials=3)
    disk.resize(232)
    stopped = run_cli("run", suite, "--out", disk.path)
    assert stopped.returncode == 2, stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stderr
    run = only_run(disk.path)
    error = stopped.stderr.strip()
    assert error.startswith(f"error: {run}/cells/") and "free some space" in error and "harness run --resume" in error
    finished = outcomes(run)
    assert 2 <= len(finished) < 6
    disk.resize(64 << 10)
    resumed = run_cli("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert finished.items() <= outcomes(run).items()
    assert len(outcomes(run)) == 6
    assert {row["status"] for row in rows(run).values()} == {"measured"}


@pytest.mark.parametrize("kib", range(0, 44, 4))
def test_wherever_the_disk_ends_the_error_is_the_same_one(tmp_path: Path, disk: Disk, kib: int) -> None:
    """Job, log, telemetry, events, samples, predictions, outcome: any of them may be the one without room."""
    folder = disk.path / "t"
    job = trial_of(tmp_path / "t")
    disk.leave(kib)
    try:
        outcome = run_job(ProcessLauncher(), folder, job, Terms(tmp_path))
    except EvidenceError as error:
        assert "free some space" in str(error) and str(folder) in str(error)
        assert not (folder / "outcome.json").exists()
        return
    assert outcome.status == "ok"
    assert kib > 20, "a trial with its evidence takes six blocks at least"


def test_no_room_for_a_run_folder(disk: Disk) -> None:
    disk.read_only()
    with pytest.raises(EvidenceError, match="Read-only file system") as caught:
        new_folder(disk.path / "results", "digits")
    assert "--out DIR" in str(caught.value)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, disk: Disk) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.onnx").write_bytes(bytes(100 << 10))
    write_outcome(made, Outcome(status="ok", files={"model.onnx": 100 << 10}))
    assert store(made, disk.path / "kept") == disk.path / "kept"
    disk.leave(40)
    assert store(made, disk.path / "full") == made
    disk.read_only()
    assert store(made, disk.path / "refused") == made
    assert {path.name for path in disk.path.iterdir()} == {"kept", "balloon"}, "no half of a copy is left"


def test_a_damaged_entry_of_the_cache_is_replaced(tmp_path: Path) -> None:
    made, kept = tmp_path / "made", tmp_path / "kept"
    for folder in (made, kept):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(bytes(100))
        write_outcome(folder, Outcome(status="ok", files={"model.onnx": 100}))
    (kept / "model.onnx").write_bytes(b"cut")
    assert store(made, kept) == kept
    assert (kept / "model.onnx").read_bytes() == bytes(100)


def test_results_that_became_read_only(tmp_path: Path, disk: Disk) -> None:
    suite = write_suite(tmp_path / "s", {"a": {}, "b": {}})
    assert run_cli("run", suite, "--out", disk.path).returncode == 0
    run = only_run(disk.path)
    (run / "cells" / "b@place" / "trial-01" / "outcome.json").unlink()
    finished = outcomes(run)
    disk.read_only()
    for command in (("run", suite, "--out", disk.path), ("run", "--resume", run), ("rank", run)):
        refused = run_cli(*command)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "Traceback" not in refused.stderr
        assert refused.stderr.startswith(f"error: {disk.path}/") and "Read-only file system" in refused.stderr
        assert "--out DIR" in refused.stderr
    assert run_cli("show", run).returncode == 0
    disk.read_only(False)
    assert run_cli("run", "--resume", run).returncode == 0
    assert finished.items() <= outcomes(run).items() and len(outcomes(run)) == 2
