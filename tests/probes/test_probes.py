"""What probes read of real processes and of the host; what becomes of one that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pytest

from harness.analyse.trials import host_fractions
from harness.evidence.folder import TelemetryLog, read_outcome
from harness.probes import base
from harness.probes.base import Probes
from harness.probes.host import HostProbe, cpu_seconds
from harness.probes.process import ProcessProbe

from ..launch.helpers import launched, trial_of

COLUMNS = ("process.cpu_s", "host.steal_s", "host.idle_s", "host.total_s")


def sampled(*pids: int) -> dict[str, float | int | None]:
    probe = ProcessProbe()
    probe.start(pids)
    return dict(zip(probe.columns, probe.sample(), strict=True))


def test_the_process_probe_reads_memory_cpu_and_faults() -> None:
    before = sampled(os.getpid())
    held = np.ones(64 << 20, dtype=np.uint8)
    after = sampled(os.getpid())
    assert after["rss_bytes"] - before["rss_bytes"] >= 0.9 * held.nbytes
    assert after["peak_bytes"] >= after["rss_bytes"]
    assert after["minor_faults"] > before["minor_faults"]
    assert after["cpu_s"] >= before["cpu_s"] > 0
    assert None not in after.values()


def test_several_processes_are_added_up() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        both, one = sampled(os.getpid(), other.pid), sampled(os.getpid())
        assert both["rss_bytes"] > one["rss_bytes"]
        other.communicate(b"\n")


def test_a_process_that_has_ended_is_unknown_not_zero() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert set(sampled(process.pid).values()) == {None}


def test_a_process_that_nobody_has_reaped_has_no_memory_but_a_cpu_time() -> None:
    process = subprocess.Popen([sys.executable, "-c", "sum(range(10**6))"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = sampled(process.pid)
    assert (found["rss_bytes"], found["peak_bytes"]) == (None, None)
    assert found["cpu_s"] > 0
    process.wait()


def test_the_probe_reads_what_a_child_did() -> None:
    """A child that holds 64 MiB, has touched each page of it, and has used some CPU time."""
    script = (
        "import time\nheld = bytearray(b'x') * (64 << 20)\nwhile time.process_time() < 0.3: pass\n"
        "print('ready', flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        found = sampled(child.pid)
        child.communicate("\n")
    assert 64 << 20 <= found["rss_bytes"] <= found["peak_bytes"] < 192 << 20
    assert 0.28 <= found["cpu_s"] < 3
    assert found["minor_faults"] > 100 and found["major_faults"] >= 0
    assert min(found["voluntary_switches"], found["involuntary_switches"]) >= 0  # it may not have begun to wait yet


def test_the_host_probe_reads_counters_that_grow() -> None:
    probe = HostProbe()
    one, two = probe.sample(), probe.sample()
    steal, idle, total = cpu_seconds()
    assert len(one) == len(two) == len(probe.columns)
    assert 0 < idle < total and one[2] <= two[2] <= total
    assert steal is None or 0 <= steal < total


class Counting:
    """A probe of one column; fails as it is told."""

    columns: ClassVar = {"count": "1"}
    reason: str | None = None

    def unavailable(self) -> str | None:
        return self.reason

    def start(self, pids: Sequence[int]) -> None:
        self.pids = tuple(pids)

    def sample(self) -> list[int]:
        return [len(self.pids)]

    def facts(self) -> dict[str, str]:
        return {"first": str(self.pids[0])}


class Absent(Counting):
    reason = "no such counter here"


class Raising(Counting):
    def sample(self) -> list[int]:
        raise RuntimeError("device lost")


class Short(Counting):
    def sample(self) -> list[int]:
        return []


class WithoutColumns:
    def unavailable(self) -> str | None:
        return None


class Misnamed(Counting):
    columns: ClassVar = {"load,1m": "1"}


class Unready(Counting):
    def start(self, pids: Sequence[int]) -> None:
        raise OSError("no permission")


class Unwritable(Counting):
    def facts(self) -> dict[str, object]:
        return {"first": np.arange(3)}


class Silent(Counting):
    def facts(self) -> None:
        return None


@pytest.fixture
def registered(monkeypatch):
    def register(**probes: type) -> Probes:
        def load(group: str, name: str) -> type:
            if probes[name] is None:
                raise ImportError("no module")
            return probes[name]

        monkeypatch.setattr(base.plugins, "names", lambda group: tuple(probes))
        monkeypatch.setattr(base.plugins, "load", load)
        return Probes()

    return register


def test_columns_are_those_of_the_probes_that_run_and_the_others_say_why(registered) -> None:
    probes = registered(good=Counting, absent=Absent, broken=None)
    assert probes.columns == ("good.count",)
    probes.start((7, 8))
    assert probes.sample() == {"good.count": 2}
    records = probes.records()
    assert (records["good"].columns, records["good"].facts) == ({"count": "1"}, {"first": "7"})
    assert records["absent"].unavailable == "no such counter here"
    assert "no module" in records["broken"].unavailable


@pytest.mark.parametrize("bad", [Raising, Short])
def test_a_probe_that_fails_while_it_samples_costs_its_columns_only(registered, bad) -> None:
    probes = registered(bad=bad, good=Counting)
    probes.start((7,))
    assert probes.sample() == {"bad.count": None, "good.count": 1}
    assert probes.sample() == {"bad.count": None, "good.count": 1}
    record = probes.records()["bad"]
    assert record.unavailable and record.columns == {"count": "1"}


@pytest.mark.parametrize("bad", [WithoutColumns, Misnamed])
def test_a_probe_without_proper_columns_is_unavailable(registered, bad) -> None:
    probes = registered(bad=bad, good=Counting)
    probes.start((7,))
    assert probes.columns == ("good.count",)
    assert probes.sample() == {"good.count": 1}
    assert "olumns" in probes.records()["bad"].unavailable and not probes.records()["bad"].columns


def test_a_probe_that_cannot_be_started_has_empty_columns_and_its_reason(registered) -> None:
    probes = registered(bad=Unready)
    probes.start((7,))
    assert probes.sample() == {"bad.count": None}
    assert "no permission" in probes.records()["bad"].unavailable


@pytest.mark.parametrize("bad", [Unwritable, Silent])
def test_facts_that_cannot_be_written_are_left_out_with_the_reason(registered, bad) -> None:
    probes = registered(bad=bad, good=Counting)
    probes.start((7,))
    probes.sample()
    records = probes.records()
    assert msgspec.json.encode(records)
    assert records["good"].facts == {"first": "7"}
    assert records["bad"].facts == {} and records["bad"].unavailable.startswith("failed: ")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Absent, "no such counter here"),
        (None, "cannot be loaded: no module"),
        (Raising, "failed: RuntimeError: device"),
    ],
)
def test_a_job_is_done_whatever_becomes_of_a_probe(registered, tmp_path: Path, bad, reason: str) -> None:
    registered(bad=bad, good=Counting)
    outcome = launched(tmp_path / "t", trial_of(tmp_path / "t"))
    assert outcome.status == "ok", outcome.message
    assert read_outcome(tmp_path / "t") == outcome
    assert outcome.launched.probes["bad"].unavailable.startswith(reason)
    header, *rows = (tmp_path / "t" / "telemetry.csv").read_text().splitlines()
    assert header == ("t_ns,bad.count,good.count" if bad is Raising else "t_ns,good.count")
    assert rows and all(row.endswith(",1") for row in rows)


def host(folder: Path, *rows: Sequence[float | None]) -> object:
    log = TelemetryLog(folder, COLUMNS)
    for row in rows:
        log.add((1, *row))
    log.close()
    return host_fractions(folder)


def test_fractions_of_the_host_are_differences(tmp_path: Path) -> None:
    """Of 2 s of CPU time 1 was idle, 0.1 stolen, 0.6 the child's: 0.3 were other processes'."""
    found = host(tmp_path, (0.07, 0.05, 5.0, 10.0), (0.4, 0.09, 5.4, 11.0), (0.67, 0.15, 6.0, 12.0))
    assert found == pytest.approx((0.05, 0.15))


@pytest.mark.parametrize(
    "rows",
    [(), ((0.0, 0.0, 0.0, 1.0),), ((0.0, 0.0, 0.0, 1.0), (0.01, 0.0, 0.05, 1.1)), ((None,) * 4,) * 3],
)
def test_too_little_telemetry_says_nothing(tmp_path: Path, rows: Sequence[Sequence[float | None]]) -> None:
    assert host(tmp_path, *rows) is None


@pytest.mark.parametrize("garbage", [b"\xff\xfe,x\n", b"a,b,c,d,e\n", b"\x00" * 50, b"1,2,3,x,5\n", b"9,8"])
def test_damaged_telemetry_says_nothing_and_stops_nothing(tmp_path: Path, garbage: bytes) -> None:
    host(tmp_path, (0.07, 0.05, 5.0, 10.0), (0.67, 0.15, 6.0, 12.0))
    with (tmp_path / "telemetry.csv").open("ab") as file:
        file.write(garbage)
    found = host_fractions(tmp_path)
    assert found is None or found == pytest.approx((0.05, 0.15))
