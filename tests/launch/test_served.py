"""A model in a process of its own, which the child drives: that process is what is watched, named, and ended."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import msgspec
import pytest

from harness.evidence.folder import read_events
from harness.spec.outcome import Outcome
from harness.spec.target import Target

from .helpers import gone, launched, trial_of

HELD_BYTES = 300 << 20
ENTRY_POINTS = "[harness.runtimes]\nserved = served_runtime:ServedRuntime\n"
RUNTIME = f'''
import subprocess
import sys
import time

from harness.runtimes.fake import FakeRuntime

SERVER = """
import sys
held = b"x" * {HELD_BYTES}
print("up", flush=True)
for line in sys.stdin:
    print("done", flush=True)
"""


class ServedRuntime(FakeRuntime):
    def load(self, variant, target, threads, seed, sequence):
        session = super().load(variant, target, threads, seed, sequence)
        pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}}
        server = subprocess.Popen([sys.executable, "-c", SERVER], **pipes)
        server.stdout.readline()
        print(server.pid, flush=True)
        infer = session.infer

        def ask(feed):
            server.stdin.write("row\\n")
            server.stdin.flush()
            server.stdout.readline()
            return infer(feed)

        session.infer, session.pids, session.clock = ask, (server.pid,), time.perf_counter_ns
        return session
'''


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Do a trial through the runtime `served`, which only the child can import."""
    info = tmp_path / "site" / "served_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: served-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (info.parent / "served_runtime.py").write_text(RUNTIME)
    paths = (str(info.parent), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    def trial(**script: object) -> Outcome:
        target = Target(name="place", description="here", runtime="served")
        job = msgspec.structs.replace(trial_of(tmp_path / "t", **script), target=target)
        return launched(tmp_path / "t", job)

    return trial


def telemetry(folder: Path, column: str) -> list[float]:
    with (folder / "telemetry.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def test_the_server_is_what_is_watched(served, tmp_path: Path) -> None:
    """The child holds tens of MiB, the server hundreds; each inference takes long enough to be seen by a probe."""
    outcome = served(latency_ms=20.0, clock="real")
    assert outcome.status == "ok", outcome.message
    server = _server(tmp_path / "t")
    assert outcome.pids == (server,)
    named = {event.phase: event.pids for event in read_events(tmp_path / "t")[0] if event.pids}
    assert named == {"loaded": (server,)}
    resident = telemetry(tmp_path / "t", "process.rss_bytes")
    assert resident[0] < HELD_BYTES <= max(resident)
    assert outcome.launched.probes["process"].facts == {"processes": 1}
    gone(server)


@pytest.mark.parametrize(("how", "by"), [("raise", "child"), ("segfault", "launcher")])
def test_a_trial_that_fails_names_the_server_too(served, tmp_path: Path, how: str, by: str) -> None:
    outcome = served(fail_at="first", fail_how=how)
    assert (outcome.status, outcome.by) == ("failed", by)
    assert outcome.pids == (_server(tmp_path / "t"),)
    gone(*outcome.pids)


def _server(folder: Path) -> int:
    """Return the server's process, as the runtime printed it."""
    return int((folder / "worker.log").read_text().splitlines()[0])
