"""What a trial folder says when it is whole, half written, or damaged."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import EvidenceError
from harness.evidence import files
from harness.evidence import folder as folders
from harness.evidence.files import save_array
from harness.evidence.folder import write_outcome
from harness.spec.outcome import Memory, Outcome, Window


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
    size = save_array(folder / "requests" / "one" / "latency.npy", np.arange(100))
    outcome = Outcome(status="ok", files={"requests/one/latency.npy": size})
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
    with pytest.raises(EvidenceError, match=r"outcome\.json: cannot be read"):
        folders.read_outcome(tmp_path)


def test_truncated_samples_are_named_with_both_sizes(tmp_path: Path) -> None:
    outcome_with_samples(tmp_path)
    path = tmp_path / "requests" / "one" / "latency.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EvidenceError, match=r"requests/one/latency\.npy: damaged: 500 bytes, the outcome says 928"):
        folders.read_outcome(tmp_path)
    path.unlink()
    with pytest.raises(EvidenceError, match=r"requests/one/latency\.npy: missing"):
        folders.read_outcome(tmp_path)


@pytest.mark.parametrize("data", [b"", b"not numpy", b"\x93NUMPY\x01\x00"])
def test_an_array_that_is_none_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match=r"x\.npy: cannot be read"):
        files.read_array(path)


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EvidenceError, match="cannot be read"):
        files.read_array(tmp_path / "x.npy")


def test_a_job_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"job\.json"):
        folders.read_job(tmp_path)
    (tmp_path / "job.json").write_text('{"kind": "trial"}')
    with pytest.raises(EvidenceError, match=r"job\.json"):
        folders.read_job(tmp_path)


def test_write_json_replaces_and_leaves_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": 2})
    assert msgspec.json.decode(path.read_bytes()) == {"a": 2}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_folder_that_is_a_file_says_where_and_how_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match=r"file/x\.json: cannot write evidence: .*--out DIR"):
        files.write_json(tmp_path / "file" / "x.json", {})


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EROFS, "--out DIR")],
)
def test_the_mend_fits_the_trouble(tmp_path: Path, number: int, mend: str) -> None:
    error = files.cannot_write(tmp_path, OSError(number, "trouble"))
    assert mend in str(error) and str(tmp_path) in str(error) and "trouble" in str(error)


def test_requests_are_written_and_read_by_one_name(tmp_path: Path) -> None:
    arrays = {"start": np.arange(3), "latency": np.array([5, 6, 7])}
    found = folders.save_requests(tmp_path, "one.b8", arrays)
    assert set(found) == {folders.request_file("one.b8", name) for name in arrays}
    assert folders.read_requests(tmp_path, "one.b8").tolist() == [5, 6, 7]
    assert folders.read_requests(tmp_path, "one.b8", "start", samples=3).tolist() == [0, 1, 2]
    with pytest.raises(EvidenceError, match="damaged"):
        folders.read_requests(tmp_path, "one.b8", samples=4)


def test_what_an_earlier_attempt_left_is_set_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "trial-01").mkdir()
        (tmp_path / "trial-01" / "x").write_text(str(number))
        folders.set_aside(tmp_path / "trial-01")
    folders.set_aside(tmp_path / "trial-01")
    assert [(tmp_path / f"trial-01.incomplete-{n}" / "x").read_text() for n in (1, 2)] == ["1", "2"]


def test_telemetry_changes_are_differences_of_known_values(tmp_path: Path) -> None:
    log = folders.TelemetryLog(tmp_path, ("a.x_s", "b.y"))
    for row in ((1, 5.0, None), (2, 6.0, 1), (3, 7.5, 4), (4, None, 9)):
        log.add(row)
    log.close()
    assert folders.telemetry_changes(tmp_path, ("a.x_s",)) == {"a.x_s": 2.5}
    assert folders.telemetry_changes(tmp_path, ("a.x_s", "b.y")) == {"a.x_s": 1.5, "b.y": 3.0}
    assert folders.telemetry_changes(tmp_path, ("missing",)) is None


def test_predictions_and_slices_are_files_of_the_outcome_like_any_other(tmp_path: Path) -> None:
    files_of = {
        name: save_array(tmp_path / name, np.zeros((4, 6), np.int64)) for name in ("slices.npy", "predictions.npy")
    }
    write_outcome(tmp_path, Outcome(status="ok", files=files_of))
    assert folders.succeeded(tmp_path) is not None
    (tmp_path / "slices.npy").unlink()
    assert folders.succeeded(tmp_path) is None


def test_an_outcome_keeps_what_is_new_in_it(tmp_path: Path) -> None:
    window = Window(name="one", scenario="one", samples=3, rounds=2, uncounted=6, warm_up_ns=5, ended_by="time")
    memory = Memory(anon_bytes=1, pss_bytes=2, inputs_bytes=3)
    outcome = Outcome(status="ok", fresh=False, spent={"load": 7}, windows=(window,), memory=memory)
    write_outcome(tmp_path, outcome)
    assert folders.read_outcome(tmp_path) == outcome
