"""Stored baselines: runs are kept whole, and each counts once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import EvidenceError, SpecError
from harness.evidence.baseline import folder_of, keep, read_baseline, set_baseline
from harness.evidence.files import write_json
from harness.evidence.run import RunRecord
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Candidate, Suite

SUITE = Suite(
    name="mine",
    description="",
    targets=("t",),
    candidate=(Candidate(name="a", path="a.onnx"),),
    scenario=(SingleStream(name="s"),),
)


def run(root: Path, name: str) -> Path:
    record = RunRecord(id=name, created="", suite=SUITE, suite_file="", base="", targets=(), seed=0)
    write_json(root / name / "run.json", record)
    return root / name


def test_runs_take_the_place_of_those_before(tmp_path: Path) -> None:
    one, two, three = (run(tmp_path, name) for name in ("r1", "r2", "r3"))
    set_baseline(tmp_path, [one, two])
    set_baseline(tmp_path, [two, three], why="new driver")
    kept = read_baseline(tmp_path, "mine")
    assert (kept.runs, kept.why) == (("r2", "r3"), "new driver")
    assert sorted(path.name for path in folder_of(tmp_path, "mine").iterdir()) == ["baseline.json", "r2", "r3"]


def test_a_run_that_is_named_twice_would_say_that_runs_never_differ(tmp_path: Path) -> None:
    one = run(tmp_path, "r1")
    with pytest.raises(SpecError, match=r"r1: is named twice \(name different runs\)"):
        set_baseline(tmp_path, [one, one])
    assert not folder_of(tmp_path, "mine").exists()


def test_what_is_kept_stays_where_it_cannot_be_kept_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(tmp_path, "r1")
    set_baseline(tmp_path, [one])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(EvidenceError, match="No space left"):
        keep(one, folder_of(tmp_path, "mine") / "r1")
    assert read_baseline(tmp_path, "mine").runs == ("r1",)
