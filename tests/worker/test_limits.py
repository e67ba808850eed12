"""What a child does about its own limits: entering cgroups, a limit above its baseline, what it was charged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.spec.wire import GroupFiles, Resources
from harness.worker.process import charged, enter, limit_above_baseline, memory_bytes

MIB = 1 << 20
V1_STAT = "cache 4096\nrss 8192\nrss_huge 0\nhierarchical_memory_limit 1\n"
V2_STAT = "anon 8192\nfile 4096\nkernel 100\n"


def group(folder: Path, stat: str = V1_STAT, **changes: object) -> GroupFiles:
    (folder / "stat").write_text(stat)
    (folder / "now").write_text(f"{30 * MIB}\n")
    (folder / "peak").write_text("16384\n")
    files = {"memory_stat": "stat", "memory_now": "now", "memory_peak": "peak"} | changes
    limits = tuple(str(folder / name) for name in ("limit", "swap"))
    return GroupFiles(**{key: str(folder / name) for key, name in files.items()}, memory_limits=limits)


def test_the_limit_is_what_is_held_and_the_rest_in_their_order(tmp_path: Path) -> None:
    resources = Resources(above_baseline_bytes=64 * MIB, group=group(tmp_path))
    assert limit_above_baseline(resources) == 94 * MIB
    assert (tmp_path / "limit").read_text() == (tmp_path / "swap").read_text() == str(94 * MIB)


def test_without_such_a_limit_nothing_is_written(tmp_path: Path) -> None:
    assert limit_above_baseline(Resources(group=group(tmp_path))) is None
    assert not (tmp_path / "limit").exists()


def test_a_limit_that_cannot_be_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "limit").mkdir()
    with pytest.raises(OSError, match="limit"):
        limit_above_baseline(Resources(above_baseline_bytes=MIB, group=group(tmp_path)))


def test_without_a_cgroup_it_is_the_private_memory_above_what_there_is() -> None:
    script = (
        "from harness.worker.process import *; import resource, sys; from harness.spec.wire import Resources; "
        "held = memory_bytes('VmData'); limit = limit_above_baseline(Resources(above_baseline_bytes=64 << 20)); "
        "print(limit - held, resource.getrlimit(resource.RLIMIT_DATA)[0] == limit); a = bytearray(40 << 20)\n"
        "try: b = bytearray(40 << 20)\nexcept MemoryError: print('no more')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    more, same, *rest = done.stdout.split()
    assert 60 * MIB <= int(more) <= 68 * MIB and same == "True" and rest == ["no", "more"]


@pytest.mark.parametrize("stat", [V1_STAT, V2_STAT])
def test_what_was_charged_is_read_in_both_versions(tmp_path: Path, stat: str) -> None:
    found = {"charged_bytes": 16384, "charged_anon_bytes": 8192, "charged_file_bytes": 4096}
    assert charged(group(tmp_path, stat)) == found


def test_what_is_not_told_is_unknown(tmp_path: Path) -> None:
    assert charged(GroupFiles()) == {}
    found = charged(group(tmp_path, "", memory_peak="gone"))
    assert set(found.values()) == {None} and len(found) == 3


def test_a_process_enters_each_cgroup_or_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in "ab"]
    enter(files)
    assert [Path(file).read_text() for file in files] == ["0", "0"]
    script = f"from harness.worker.process import enter; enter(['{tmp_path}/no/where']); print('went on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (71, "") and "cannot enter" in done.stderr


def test_a_field_that_is_not_there_is_unknown() -> None:
    assert memory_bytes("VmData") and memory_bytes("NoSuchField") is None
