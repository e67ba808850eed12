"""What a trial folder says when it is whole, half written, or damaged."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import EvidenceError
from harness.spec.wire import Outcome
from harness.trial import folder as folders
from harness.worker.evidence import save_array, write_outcome


def events(folder: Path, data: bytes) -> Path:
    (folder / "events.jsonl").write_bytes(data)
    return folder


HELLO = b'{"phase":"hello","t_ns":1,"note":"clock"}\n'
LOAD = b'{"phase":"load","t_ns":2}\n'


def test_events_are_read_as_they_come(tmp_path: Path) -> None:
    events(tmp_path, HELLO)
    first, offset = folders.read_events(tmp_path)
    events(tmp_path, HELLO + LOAD)
    second, end = folders.read_events(tmp_path, offset)
    assert ([e.phase for e in first], [e.phase for e in second]) == (["hello"], ["load"])
    assert (offset, end) == (len(HELLO), len(HELLO + LOAD))
    assert folders.read_events(tmp_path, end) == ([], end)


def test_a_half_written_line_waits_for_its_rest(tmp_path: Path) -> None:
    found, offset = folders.read_events(events(tmp_path, HELLO + LOAD[:9]))
    assert [e.phase for e in found] == ["hello"]
    found, _ = folders.read_events(events(tmp_path, HELLO + LOAD), offset)
    assert [e.phase for e in found] == ["load"]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"{}\n", b"not json\n", b"\xff\xfe\x00\n", b'{"phase":3,"t_ns":1}\n', b"[]\n"]
)
def test_a_garbage_line_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    found, offset = folders.read_events(events(tmp_path, HELLO + garbage + LOAD))
    assert [e.phase for e in found] == ["hello", "load"]
    assert offset == len(HELLO + garbage + LOAD)


def test_no_events_yet(tmp_path: Path) -> None:
    assert folders.read_events(tmp_path / "nothing", 7) == ([], 7)


def outcome_with_samples(folder: Path) -> Outcome:
    size = save_array(folder / "samples" / "one.npy", np.arange(100))
    outcome = Outcome(status="ok", files={"samples/one.npy": size})
    write_outcome(folder, outcome)
    return outcome


def test_an_outcome_is_whole_or_absent(tmp_path: Path) -> None:
    assert folders.read_outcome(tmp_path) is None
    outcome = outcome_with_samples(tmp_path)
    assert folders.read_outcome(tmp_path) == outcome
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_truncated_outcome_is_named(tmp_path: Path, cut: int) -> None:
    outcome_with_samples(tmp_path)
    path = tmp_path / "outcome.json"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(EvidenceError, match=r"outcome\.json: damaged"):
        folders.read_outcome(tmp_path)


def test_truncated_samples_are_named_with_both_sizes(tmp_path: Path) -> None:
    outcome_with_samples(tmp_path)
    path = tmp_path / "samples" / "one.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EvidenceError, match=r"samples/one\.npy: damaged: 500 bytes, the outcome says 928"):
        folders.read_outcome(tmp_path)
    path.unlink()
    with pytest.raises(EvidenceError, match=r"samples/one\.npy: missing"):
        folders.read_outcome(tmp_path)


@pytest.mark.parametrize("data", [b"", b"not numpy", b"\x93NUMPY\x01\x00"])
def test_an_array_that_is_none_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match=r"x\.npy: cannot be read"):
        folders.read_array(path)


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EvidenceError, match="cannot be read"):
        folders.read_array(tmp_path / "x.npy")


def test_a_job_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"job\.json"):
        folders.read_job(tmp_path)
    (tmp_path / "job.json").write_text('{"kind": "trial"}')
    with pytest.raises(EvidenceError, match=r"job\.json"):
        folders.read_job(tmp_path)


def test_write_json_replaces_and_leaves_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.json"
    folders.write_json(path, {"a": 1})
    folders.write_json(path, {"a": 2})
    assert msgspec.json.decode(path.read_bytes()) == {"a": 2}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_folder_that_is_a_file_says_where_and_how_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match=r"file/x\.json: cannot write evidence: .*--out DIR"):
        folders.write_json(tmp_path / "file" / "x.json", {})


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EROFS, "--out DIR")],
)
def test_the_mend_fits_the_trouble(tmp_path: Path, number: int, mend: str) -> None:
    error = folders.cannot_write(tmp_path, OSError(number, "trouble"))
    assert mend in str(error) and str(tmp_path) in str(error) and "trouble" in str(error)
