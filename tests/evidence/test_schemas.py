"""Files of other versions and of other kinds, and halves of files: named, with where and how to mend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EvidenceError
from harness.evidence.files import read_array, read_json, write_json
from harness.evidence.folder import read_job, read_outcome
from harness.evidence.run import Prepared, RaceRecord, read_race, read_run

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "run"))


def relabel(path: Path, schema: str, **more: str) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema, **more}))


def test_a_file_says_which_schema_it_has_even_where_defaults_are_left_out(tmp_path: Path):
    write_json(tmp_path / "x.json", Prepared(cells={}))
    assert (tmp_path / "x.json").read_text() == '{\n "schema": "harness/prepare/3",\n "cells": {}\n}\n'
    assert read_json(tmp_path / "x.json", Prepared) == Prepared(cells={})


@pytest.mark.parametrize("schema", ["harness/run/4", "harness/run/10", "harness/run/next"])
def test_a_newer_schema_is_named_with_the_version_that_wrote_it(run: Path, schema: str):
    relabel(run / "run.json", schema, harness="7.1.0")
    with pytest.raises(EvidenceError) as caught:
        read_run(run)
    assert f"{run}/run.json: was written by a newer version, harness 7.1.0: it is '{schema}'" in str(caught.value)
    assert "install the version that wrote it" in str(caught.value)


def test_an_older_schema_is_read_as_far_as_it_can_be(run: Path):
    relabel(run / "race.json", "harness/race/2")
    assert isinstance(read_race(run), RaceRecord)


def test_a_file_of_another_kind_is_named(run: Path):
    relabel(run / "race.json", "harness/run/3")
    with pytest.raises(EvidenceError, match=r"is 'harness/run/3', not 'harness/race/3'"):
        read_race(run)


def test_jobs_and_outcomes_are_checked_too(run: Path):
    folder = next(run.glob("cells/*/trial-01"))
    relabel(folder / "job.json", "harness/job/9")
    relabel(folder / "outcome.json", "harness/outcome/9")
    for read in (read_job, read_outcome):
        with pytest.raises(EvidenceError, match="was written by a newer version"):
            read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 3}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_such_file_is_an_error_that_names_it(run: Path, content: bytes):
    (run / "run.json").write_bytes(content)
    with pytest.raises(EvidenceError, match=r"run\.json: cannot be read"):
        read_run(run)


def test_an_array_whose_header_is_no_python_is_an_error_that_names_it(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.arange(6))
    content = (tmp_path / "x.npy").read_bytes()
    for old, new in ((b"}", b"_"), (b"<i8", b"<q8"), (b"(6,)", b"(6e9"), (b"\x93", b"\x00"), (b"'shape'", b"'shap'e")):
        (tmp_path / "x.npy").write_bytes(content.replace(old, new, 1))
        with pytest.raises(EvidenceError, match=r"x\.npy: cannot be read"):
            read_array(tmp_path / "x.npy")
