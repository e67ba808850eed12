"""Cold starts in real processes: what a right one tells, and how a wrong one is named. None counts as latency."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from harness.evidence.folder import HANDLER, INVOKE, LATENCY, read_events, read_outcome, read_requests
from harness.launch.cgroup import mine
from harness.serverless.launcher import FunctionLauncher
from harness.serverless.runtime_api import RuntimeApi
from harness.spec.target import Lifecycle, Limits

from ..launch.helpers import gone, wait_for
from ..launch.limited import left, require
from .helpers import PLACES, cold_start, needs_client

SHORT = Lifecycle(init_s=1.0, timeout_s=1.0)
MADE = """
import os
import time
from pathlib import Path

from harness.runtimes.fake import FakeRuntime


class SlowFirstTime(FakeRuntime):
    def load(self, *args):
        seen = Path({folder!r}) / "seen"
        if not seen.exists():
            seen.write_text("")
            time.sleep(60)
        return super().load(*args)


class Spinning(FakeRuntime):
    def load(self, *args):
        end = time.thread_time_ns() + 40_000_000
        while time.thread_time_ns() < end:
            pass
        return super().load(*args)


class Vanishing(FakeRuntime):
    def load(self, *args):
        raise AttributeError("the model has no head")
"""
HANDLERS = """
import sys


def garbage(event, context):
    return {"neither": "output nor times"}


def poem(event, context):
    return "roses are red"
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a module of runtimes that instances can import; returns its name."""
    name = f"made_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MADE.format(folder=str(tmp_path)))
    (tmp_path / f"handlers_{name}.py").write_text(HANDLERS)
    (tmp_path / f"broken_{name}.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return name


@pytest.mark.parametrize("place", PLACES)
def test_a_start_tells_its_phases_and_its_requests(tmp_path, place):
    folder = tmp_path / "start"
    outcome = cold_start(folder, place, latency_ms=3.0)
    assert outcome.status == "ok", outcome.message
    started = outcome.started
    assert started is not None
    invoke, handler = (np.array(read_requests(folder, INVOKE, name)) for name in (LATENCY, HANDLER))
    assert len(invoke) == 4
    assert (handler >= 3_000_000).all(), "the model sleeps for 3 ms in the handler"
    assert (invoke > handler).all()
    assert started.second_ns == invoke[1]
    assert started.total_ns >= started.init_ns > started.imports_ns > 0
    assert min(started.interpreter_ns, started.load_ns, started.own_ns) > 0
    assert started.total_ns == started.interpreter_ns + started.imports_ns + started.load_ns + started.first_ns
    events = {event.phase: event.t_ns for event in read_events(folder)[0]}
    assert list(events) == ["up", "own", "owned", "imported", "loaded"]
    assert events["up"] - outcome.begin_ns == started.interpreter_ns
    assert (started.inits, started.lost_ns) == (1, 0)
    assert read_outcome(folder) == outcome
    gone(*outcome.pids)


@needs_client
def test_the_client_is_the_real_one(tmp_path, made):
    class Named(FunctionLauncher):
        door: ClassVar = type("Door", (RuntimeApi,), {"handler": f"handlers_{made}.garbage"})

    outcome = cold_start(tmp_path / "start", launcher=Named)
    assert outcome.failure == "output_error", "another handler was imported, by its name, and called"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("script", "failure", "says"),
    [
        ({"fail_at": "load"}, "load_error", "in INIT it reported RuntimeError: scripted failure"),
        ({"fail_at": "load", "fail_how": "segfault"}, "crash", "in INIT it was ended by SIGSEGV"),
        ({"fail_at": "load", "fail_how": "exit0"}, "protocol", "it exited 0 before it was ready"),
        ({"fail_at": "first"}, "crash", "at request 1 it reported RuntimeError"),
        ({"fail_at": "first", "fail_how": "nan"}, "output_error", "at request 1 it reported OutputError"),
        ({"fail_at": "first", "fail_how": "segfault"}, "crash", "at request 1 it was ended by SIGSEGV"),
        ({"fail_at": "first", "fail_how": "exit0"}, "protocol", "it exited 0 without an answer to request 1"),
    ],
)
def test_a_failure_has_its_name_and_no_latency(tmp_path, place, script, failure, says):
    outcome = cold_start(tmp_path / "start", place, **script)
    assert (outcome.status, outcome.failure) == ("failed", failure)
    assert says in outcome.message
    assert outcome.started is None
    assert not outcome.files
    assert not (tmp_path / "start" / "requests").exists()
    gone(*outcome.pids)


@pytest.mark.parametrize("place", PLACES)
def test_a_request_that_takes_too_long_is_a_timeout(tmp_path, place):
    life = Lifecycle(init_s=20.0, timeout_s=0.3)
    outcome = cold_start(tmp_path / "start", place, lifecycle=life, fail_at="first", fail_how="grandchild")
    assert outcome.failure == "timeout"
    assert outcome.message == "no answer to request 1 within the 0.3 s that a request may take"
    log = (tmp_path / "start" / "worker.log").read_text()
    gone(*outcome.pids, int(log.partition("grandchild ")[2].split()[0]))


@needs_client
def test_a_function_that_never_asks_is_given_a_second_init_and_then_named(tmp_path):
    outcome = cold_start(tmp_path / "start", lifecycle=SHORT, fail_at="load", fail_how="hang")
    assert outcome.failure == "timeout"
    assert "within the 1 s that INIT may take, nor, in a second INIT, within the 1 s" in outcome.message
    assert len(outcome.pids) == 2
    gone(*outcome.pids)


def test_a_container_that_never_listens_is_named_after_one_init(tmp_path):
    outcome = cold_start(tmp_path / "start", "container", lifecycle=SHORT, fail_at="load", fail_how="hang")
    assert outcome.failure == "timeout"
    assert outcome.message == "it was not ready for a request within the 1 s that INIT may take"
    assert len(outcome.pids) == 1


@needs_client
def test_an_init_that_is_lost_is_part_of_the_start(tmp_path, made):
    life = Lifecycle(init_s=2.0, timeout_s=30.0)
    outcome = cold_start(tmp_path / "start", lifecycle=life, entry=f"{made}:SlowFirstTime")
    assert outcome.status == "ok", outcome.message
    started = outcome.started
    assert started is not None
    assert started.inits == 2
    assert 2_000_000_000 <= started.lost_ns < 20_000_000_000
    assert started.total_ns == started.lost_ns + started.interpreter_ns + started.imports_ns + (
        started.load_ns + started.first_ns
    )
    gone(*outcome.pids)


@needs_client
def test_a_handler_that_raises_at_import_is_named_by_the_clients_own_words(tmp_path, made):
    class Broken(FunctionLauncher):
        door: ClassVar = type("Door", (RuntimeApi,), {"handler": f"broken_{made}.handler"})

    outcome = cold_start(tmp_path / "start", launcher=Broken)
    assert outcome.failure == "load_error"
    assert "Runtime.ImportModuleError" in outcome.message
    assert "no_such_module_anywhere" in outcome.message


@needs_client
def test_a_handler_that_is_not_there_is_named(tmp_path, made):
    class Missing(FunctionLauncher):
        door: ClassVar = type("Door", (RuntimeApi,), {"handler": f"handlers_{made}.nothing"})

    outcome = cold_start(tmp_path / "start", launcher=Missing)
    assert outcome.failure == "load_error"
    assert "Runtime.HandlerNotFound" in outcome.message


@needs_client
def test_a_model_that_raises_an_attribute_error_is_not_taken_for_a_missing_handler(tmp_path, made):
    outcome = cold_start(tmp_path / "start", entry=f"{made}:Vanishing")
    assert outcome.failure == "load_error"
    assert "AttributeError: the model has no head" in outcome.message


@needs_client
@pytest.mark.parametrize("handler", ["garbage", "poem"])
def test_a_handler_that_answers_garbage_is_named(tmp_path, made, handler):
    class Garbling(FunctionLauncher):
        door: ClassVar = type("Door", (RuntimeApi,), {"handler": f"handlers_{made}.{handler}"})

    outcome = cold_start(tmp_path / "start", launcher=Garbling)
    assert outcome.failure in ("output_error", "protocol")
    assert outcome.started is None


@pytest.mark.parametrize("place", PLACES)
def test_memory_beyond_the_limit_in_init_is_named(tmp_path, place):
    require("memory")
    limits = Limits(memory_mib=192)
    outcome = cold_start(tmp_path / "start", place, limits=limits, fail_at="load", fail_how="allocate")
    assert outcome.failure == "oom"
    assert "memory limit in phase 'init'" in outcome.message
    assert [name for name in left() if name.startswith(mine())] == []


@needs_client
def test_init_may_have_another_quota_than_requests(tmp_path, made):
    require("cpu")
    limits = Limits(cpus=0.1, cpu_period_ms=20)

    def load_s(name: str, cpus: float | None) -> float:
        life = Lifecycle(init_s=30.0, timeout_s=30.0, init_cpus=cpus)
        outcome = cold_start(tmp_path / name, limits=limits, lifecycle=life, entry=f"{made}:Spinning")
        assert outcome.started is not None, outcome.message
        return outcome.started.load_ns / 1e9

    assert load_s("slow", None) > 0.3, "40 ms of CPU time take 0.4 s of a tenth of a CPU"
    assert min(load_s(f"fast-{number}", 1.0) for number in range(3)) < 0.3


@needs_client
@pytest.mark.parametrize(("limits", "said"), [(Limits(), True), (Limits(cpus=0.1, cpu_period_ms=20), False)])
def test_a_quota_of_init_that_nothing_holds_is_said(tmp_path, limits, said):
    require("cpu")
    life = Lifecycle(init_s=30.0, timeout_s=30.0, init_cpus=1.0)
    outcome = cold_start(tmp_path / "start", limits=limits, lifecycle=life)
    assert outcome.launched is not None
    assert ("init_cpus" in outcome.launched.resources.unenforced) is said
    assert ("init_cpus" in outcome.launched.resources.limits) is said


@needs_client
def test_a_row_that_the_platform_does_not_take_is_named(tmp_path):
    class Small(FunctionLauncher):
        door: ClassVar = type("Door", (RuntimeApi,), {"most_bytes": 20})

    outcome = cold_start(tmp_path / "start", launcher=Small)
    assert outcome.failure == "input_error"
    assert "a request with one row has" in outcome.message
    assert outcome.pids == ()


@pytest.mark.parametrize("limits", [Limits(), Limits(memory_mib=256)])
def test_an_interpreter_that_cannot_be_started_is_named(tmp_path, limits):
    outcome = cold_start(tmp_path / "start", "container", limits=limits, python="/no/python")
    assert outcome.failure == "crash"
    assert "/no/python cannot be started" in outcome.message


_PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from serverless.helpers import cold_start
cold_start(Path({folder!r}), {place!r}, fail_at="first", fail_how="hang")
"""


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_leaves_no_instance(tmp_path, place):
    folder = tmp_path / "start"
    tests = str(Path(__file__).parents[1])
    script = _PARENT.format(tests=tests, folder=str(folder), place=place)
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_for(lambda: "loaded" in [event.phase for event in read_events(folder)[0]], "a loaded instance")
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert children, "the instance is a child"
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    gone(*map(int, children))
    assert read_outcome(folder) is None, "what was cut off is to be done again"
