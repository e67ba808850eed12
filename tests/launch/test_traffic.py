"""Open loops in real processes: one server and several, in a block with others, and in front of a real HTTP server."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.evidence.folder import DUE, FREE, LATENCY, SERVER, START, read_requests
from harness.launch.base import Terms
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.scenarios.base import MeasuredWindow, Scenario, kind
from harness.scenarios.open_metrics import read_served
from harness.scenarios.server import Server
from harness.spec.outcome import Outcome
from harness.spec.target import Target
from harness.spec.wire import Trial

from .helpers import gone, launched, trial_of

MS = 1_000_000
SLEEPER = {"latency_ms": 5.0, "clock": "real"}


def traffic(folder: Path, scenario: Scenario, fresh: bool = True, **script: object) -> Trial:
    return msgspec.structs.replace(trial_of(folder, fresh=fresh, **script), scenarios=(scenario,))


def arrays(folder: Path) -> dict[str, np.ndarray]:
    names = (DUE, FREE, START, LATENCY, SERVER)
    return {name: np.array(read_requests(folder, "load", name)) for name in names}


def checked(folder: Path, outcome: Outcome, servers: int) -> dict[str, np.ndarray]:
    """Return a trial's requests, once they are seen to be those of a queue with so many servers."""
    assert outcome.status == "ok", outcome.message
    (window,), kept = outcome.windows, arrays(folder)
    done = kept[DUE] + kept[LATENCY]
    assert (done >= kept[START]).all() and (np.diff(kept[DUE]) >= 0).all()
    assert (kept[START] >= kept[DUE]).all() and (kept[START] >= kept[FREE]).all()
    assert set(kept[SERVER].tolist()) <= set(range(servers))
    for server in range(servers):
        of = kept[SERVER] == server
        assert (kept[START][of][1:] >= done[of][:-1]).all(), "a server serves one request at a time"
    served = read_served(MeasuredWindow(window, folder))
    assert (served.latency >= served.predicted()).all(), "no queue is faster than the recursion says"
    return kept


@pytest.mark.parametrize("fields", [{}, {"serving_threads": 2}, {"serving_processes": 2}])
def test_requests_queue_for_as_many_servers(tmp_path: Path, fields: dict[str, int]) -> None:
    servers = max(fields.values(), default=1)
    scenario = Server(name="load", rate_per_s=120.0 * servers, seconds=0.5, **fields)
    outcome = launched(tmp_path / "t", traffic(tmp_path / "t", scenario, **SLEEPER))
    kept = checked(tmp_path / "t", outcome, servers)
    assert len(kept[DUE]) == outcome.windows[0].open_loop.offered
    if servers > 1:
        done = kept[DUE] + kept[LATENCY]
        together = (kept[START][1:] < done[:-1]) & (kept[SERVER][1:] != kept[SERVER][:-1])
        assert set(kept[SERVER].tolist()) == {0, 1} and together.any(), "they serve at the same time"
    assert len(outcome.pids) == (2 if "serving_processes" in fields else 1)
    gone(*outcome.pids)


def test_a_load_that_cannot_be_served_ends_and_has_no_latency(tmp_path: Path) -> None:
    scenario = Server(name="load", rate_per_s=2000.0, seconds=0.3)
    outcome = launched(tmp_path / "t", traffic(tmp_path / "t", scenario, **SLEEPER))
    checked(tmp_path / "t", outcome, 1)
    (window,) = outcome.windows
    assert window.ended_by == "deadline" and window.samples < window.open_loop.offered
    found = kind(scenario).metrics(scenario, [MeasuredWindow(window, tmp_path / "t")])
    assert [each.code for each in found.warnings] == ["saturated"] and not found.quantiles
    assert 0 < found.values["throughput_per_s"] <= 200


@pytest.mark.parametrize(
    ("how", "failure", "said"),
    [
        ("raise", "crash", "scripted failure"),
        ("segfault", "crash", "SIGSEGV"),
        ("exit0", ("protocol", "crash"), "exited"),
    ],
)
@pytest.mark.parametrize("fields", [{"serving_threads": 2}, {"serving_processes": 2}])
def test_a_server_that_fails_fails_the_trial_and_leaves_no_process(tmp_path: Path, how, failure, said, fields) -> None:
    """Each process fails at its 151st call; whichever is first, the trial has failed."""
    scenario = Server(name="load", rate_per_s=400.0, seconds=2.0, **fields)
    script = {"latency_ms": 1.0, "clock": "real", "fail_at": "measure", "fail_how": how}
    outcome = launched(tmp_path / "t", traffic(tmp_path / "t", scenario, **script))
    assert outcome.status == "failed" and outcome.failure in (failure if isinstance(failure, tuple) else (failure,))
    assert said in outcome.message
    gone(*outcome.pids)


def test_a_window_is_in_one_piece_beside_others(tmp_path: Path) -> None:
    """In a block with cells that take turns of 10 ms, nobody has a turn while an open loop is served."""
    jobs = {
        "load": traffic(
            tmp_path / "load", Server(name="load", rate_per_s=300.0, seconds=0.4), latency_ms=1.0, clock="real"
        ),
        "one": trial_of(tmp_path / "one", seconds=0.3, latency_ms=1.0, clock="real"),
    }
    starts = [
        Start(ProcessLauncher(), tmp_path / name, msgspec.structs.replace(job, turn_s=0.01), Terms(tmp_path))
        for name, job in jobs.items()
    ]
    outcomes = take_turns(starts, lambda number, count: range(count))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    kept = checked(tmp_path / "load", outcomes[0], 1)
    begin, end = kept[DUE][0], (kept[DUE] + kept[LATENCY]).max()
    start, latency = (read_requests(tmp_path / "one", "one", name) for name in (START, LATENCY))
    assert not ((start < end) & (start + latency > begin)).any()
    assert outcomes[0].windows[0].uncounted >= 1, "what others left in the caches is worked off before the window"


SERVED = '''
import http.client
import json
import subprocess
import sys
import time

import numpy as np

from harness.runtimes.fake import FakeRuntime

SERVER = """
import json, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["x"]
        time.sleep(0.003)
        body = json.dumps({"scores": [[float(i == int(row[0])) for i in range(10)] for row in rows],
                           "port": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *what):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class HttpRuntime(FakeRuntime):
    def load(self, variant, target, threads, seed, sequence):
        session = super().load(variant, target, threads, seed, sequence)
        server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline())

        def connect():
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.connect()
            print("connected", flush=True)

            def infer(feed):
                connection.request("POST", "/infer", json.dumps({"x": feed["x"].tolist()}))
                answer = json.loads(connection.getresponse().read())
                return [np.array(answer["scores"], dtype=np.float32)]

            return infer

        session.infer, session.connect = connect(), connect
        session.pids = (server.pid,)
        return session
'''


@pytest.fixture
def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target whose runtime starts an HTTP server, and drives it over a connection for each serving thread."""
    info = tmp_path / "site" / "http_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: http-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.runtimes]\nhttp = http_runtime:HttpRuntime\n")
    (info.parent / "http_runtime.py").write_text(SERVED)
    paths = (str(info.parent), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    return Target(name="place", description="here", runtime="http")


def test_the_generator_stands_in_another_process_than_the_model(http: Target, tmp_path: Path) -> None:
    """The same arrivals, lateness and check, with a socket in between; two requests are on their way at a time."""
    scenario = Server(name="load", rate_per_s=150.0, seconds=0.6, serving_threads=2)
    job = msgspec.structs.replace(traffic(tmp_path / "t", scenario, clock="real"), target=http)
    outcome = launched(tmp_path / "t", job)
    kept = checked(tmp_path / "t", outcome, 2)
    service = kept[DUE] + kept[LATENCY] - kept[START]
    assert (service >= 3 * MS).all(), "each went through the server"
    assert Counter(kept[SERVER].tolist()).keys() == {0, 1}
    done = kept[DUE] + kept[LATENCY]
    assert (kept[START][1:] < done[:-1]).any(), "two were on their way at the same time"
    assert (tmp_path / "t" / "worker.log").read_text().count("connected") == 3, "the session's own, and one a thread"
    found = kind(scenario).metrics(scenario, [MeasuredWindow(outcome.windows[0], tmp_path / "t")])
    assert {"lindley_error_p99_ms", "lateness_p50_ms", "utilisation"} <= found.values.keys()
    (server,) = outcome.pids
    gone(server)


def test_arrivals_are_the_same_with_and_without_a_socket(http: Target, tmp_path: Path) -> None:
    scenario, due = Server(name="load", rate_per_s=100.0, seconds=0.3), []
    for name in ("socket", "here"):
        job = traffic(tmp_path / name, scenario, latency_ms=1.0, clock="real")
        job = msgspec.structs.replace(job, target=http) if name == "socket" else job
        assert launched(tmp_path / name, job).status == "ok"
        found = arrays(tmp_path / name)[DUE]
        due.append((found - found[0]).tolist())
    assert due[0] == due[1]
