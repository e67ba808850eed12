"""Names and records of a run folder: trials, cold trials, blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence.files import write_json
from harness.evidence.run import (
    BlockRecord,
    Prepared,
    PreparedCell,
    Speed,
    block_file,
    cold_folder,
    read_block,
    read_prepared,
    trial_folder,
)


def test_folders_are_numbered_from_1_and_blocks_from_0(tmp_path: Path) -> None:
    assert trial_folder(tmp_path, "a@t", 0) == tmp_path / "cells" / "a@t" / "trial-01"
    assert cold_folder(tmp_path, "a@t", 1) == tmp_path / "cells" / "a@t" / "cold-01"
    assert block_file(tmp_path, 0) == tmp_path / "blocks" / "01.json"


def test_a_block_has_a_record_when_it_has_ended(tmp_path: Path) -> None:
    assert read_block(tmp_path, 0) is None
    record = BlockRecord(block=0, wall_s=1.5, groups=(("a@t", "b@t"), ("c@t",)))
    write_json(block_file(tmp_path, 0), record)
    assert read_block(tmp_path, 0) == record and read_block(tmp_path, 1) is None


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    write_json(block_file(tmp_path, 0), BlockRecord(block=0, wall_s=1.5))
    path = block_file(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(EvidenceError, match=r"blocks/01\.json: cannot be read"):
        read_block(tmp_path, 0)


def test_what_is_known_of_a_cells_speed_is_read_as_it_was_written(tmp_path: Path) -> None:
    speed = Speed(load_s=0.5, first_s=0.25, requests_s={"one": 0.001, "many.b8": 0.01}, memory_bytes=1 << 28)
    cells = {"a@t": PreparedCell(status="ok", speed=speed, forkable=True), "b@t": PreparedCell(status="skipped")}
    write_json(tmp_path / "prepare.json", Prepared(cells=cells, spent_s=3.0))
    assert read_prepared(tmp_path) == Prepared(cells=cells, spent_s=3.0)
