"""What the parent sees of a process and of the host, and that telemetry can be read back."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.analyse.trials import host_shares
from harness.trial.watch import COLUMNS, View, look, oom_kills

HEADER = ",".join(COLUMNS) + "\n"


def test_looking_at_oneself() -> None:
    before = look(os.getpid(), static=True)
    held = np.ones(64 << 20, dtype=np.uint8)
    after = look(os.getpid())
    assert before.rss_bytes is not None and after.rss_bytes is not None and after.peak_bytes is not None
    assert after.rss_bytes - before.rss_bytes >= 0.9 * held.nbytes
    assert after.peak_bytes >= after.rss_bytes
    assert after.t_ns > before.t_ns
    assert after.cpu_ticks is not None and before.cpu_ticks is not None and after.cpu_ticks >= before.cpu_ticks
    assert after.host_total_ticks is not None and after.host_idle_ticks is not None
    assert 0 < after.host_idle_ticks < after.host_total_ticks
    assert before.oom_kills == oom_kills() and after.oom_kills is None


def test_a_process_that_is_gone_is_unknown_not_zero() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    view = look(process.pid)
    assert (view.rss_bytes, view.peak_bytes, view.cpu_ticks, view.involuntary_switches) == (None,) * 4
    assert view.host_total_ticks is not None


def test_a_zombie_has_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    view = look(process.pid)
    process.wait()
    assert view.rss_bytes is None and view.cpu_ticks is not None


def test_a_row_reads_back_with_empty_for_unknown() -> None:
    view = look(os.getpid(), static=True)._replace(freq_mhz=None)
    (row,) = csv.DictReader(io.StringIO(HEADER + view.csv()))
    assert tuple(row) == COLUMNS
    assert row["freq_mhz"] == ""
    assert int(row["rss_bytes"]) == view.rss_bytes


def view(total: int, idle: int, steal: int, cpu: int) -> str:
    return View(1, 1, 1, cpu, 0, steal, idle, total, 0.5, None, None).csv()


def shares_of(folder: Path, text: str | bytes) -> object:
    (folder / "telemetry.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return host_shares(folder)


def test_shares_of_the_host_are_differences(tmp_path: Path) -> None:
    """Of 200 ticks 100 were idle, 10 stolen, 60 the child's: 30 were other work's."""
    text = HEADER + view(1000, 500, 5, 7) + view(1100, 540, 9, 40) + view(1200, 600, 15, 67)
    assert shares_of(tmp_path, text) == (0.05, 0.15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        HEADER + view(1000, 500, 5, 7),
        HEADER + view(1000, 500, 5, 7) + view(1010, 505, 5, 7),
        HEADER + "1,,,,,,,,,,\n" * 3,
    ],
)
def test_too_little_telemetry_says_nothing(tmp_path: Path, text: str) -> None:
    assert shares_of(tmp_path, text) is None


def test_a_cut_last_row_is_no_row(tmp_path: Path) -> None:
    whole = HEADER + view(1000, 500, 5, 7) + view(1200, 600, 15, 67)
    assert shares_of(tmp_path, whole + view(1300, 700, 15, 70)[:12]) == (0.05, 0.15)


@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe,x\n", b"a,b,c,d,e,f,g,h,i,j,k\n", b"\x00" * 50, b"1,2,3,x,5,6,7,8,9,,\n"]
)
def test_damaged_telemetry_says_nothing_and_stops_nothing(tmp_path: Path, garbage: bytes) -> None:
    text = (HEADER + view(1000, 500, 5, 7) + view(1200, 600, 15, 67)).encode()
    assert shares_of(tmp_path, text + garbage) in (None, (0.05, 0.15))
