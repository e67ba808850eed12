"""What emulating a function's platform costs: a warm request beside its handler, a cold start beside a bare one."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

import msgspec
import numpy as np
from figure import Figure, median
from made import Model, layered

from harness.analyse.starts import read_start
from harness.evidence.files import read_arrays
from harness.evidence.folder import read_events, write_job
from harness.launch.base import Terms, run_job
from harness.launch.child import Spawned
from harness.launch.environment import environment
from harness.launch.means import Enforcer
from harness.serverless import storage
from harness.serverless.launcher import FunctionLauncher
from harness.spec.find import load_target
from harness.spec.rows import as_json
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import ColdStart

_SAME_WORK = """
import json, os, sys, time
from harness.worker.marks import FOLDER_VARIABLE, ROOT_VARIABLE, mark
mark(sys.argv[1], "up", time.perf_counter_ns())
os.environ |= {FOLDER_VARIABLE: sys.argv[1], ROOT_VARIABLE: sys.argv[2]}
import awslambdaric.bootstrap, awslambdaric.lambda_runtime_client
from harness.worker.own import load
answer = load().answer(json.load(open(sys.argv[1] + "/event.json")))
mark(sys.argv[1], "answered", time.perf_counter_ns())
os._exit(0)
"""
"""Our handler and the modules of the client, a row from a file, no platform."""
_CLIENT = """
import awslambdaric.bootstrap, awslambdaric.lambda_runtime_client
"""
"""What the platform's own runtime imports before any handler."""
_BY_HAND = """
import base64, json, os, sys, time
import numpy as np
import onnxruntime as ort
event = json.load(open(sys.argv[1] + "/event.json"))
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[2] + "/" + event["path"], options, providers=["CPUExecutionProvider"])
(name, row), = event["rows"].items()
x = np.frombuffer(base64.b64decode(row["data"]), row["dtype"]).reshape(row["shape"])
json.dumps(session.run(None, {session.get_inputs()[0].name: x})[0].tolist())
with open(sys.argv[1] + "/events.jsonl", "a") as file:
    file.write(json.dumps({"phase": "answered", "t_ns": time.perf_counter_ns()}) + chr(10))
os._exit(0)
"""
"""`python handler.py` as somebody would write it by hand for this model, without the harness."""
_WAIT_S = 60.0


class _Round(NamedTuple):
    """One cold start beside three bare ones (ms): ours, its own part included; as reported; the bare ones."""

    whole: float
    total: float
    same: float
    by_hand: float
    without_client: float
    wall_s: float
    overheads: list[float]


def function_starts(folder: Path, repetitions: int = 30) -> list[Figure]:
    """Start functions and bare processes in turn under the same limits, and compare what they take."""
    if find_spec("awslambdaric") is None:
        return [Figure("functions: awslambdaric is not installed", math.nan, "", 0, -math.inf, math.inf)]
    model, target = layered(folder, 10), load_target("serverless-1769")
    rounds = [_round(folder, number, model, target) for number in range(repetitions + 1)]
    return _figures(rounds[1:])  # the first round fills the caches of the file system


def _round(folder: Path, number: int, model: Model, target: Target) -> _Round:
    """Do one round; the order of the four starts alternates."""
    job, own = _job(model, target, folder, number), folder / f"function-{number}"
    scripts = {"same": _SAME_WORK, "hand": _CLIENT + _BY_HAND, "alone": _BY_HAND}
    names, took = ["ours", *scripts], dict[str, float]()
    for name in names[number % 4 :] + names[: number % 4]:
        begin = time.perf_counter()
        if name == "ours":
            outcome = run_job(FunctionLauncher(), own, job, Terms(folder, target.granted))
            assert outcome.status == "ok", outcome.message
            took[name] = time.perf_counter() - begin
        else:
            took[name] = _bare(folder / f"{name}-{number}", scripts[name], job, folder)
    found = read_start(own, number)
    assert found is not None, "it has ended"
    assert found.started is not None, "it succeeded"
    total = found.started.total_ns / 1e6
    whole = total + found.started.own_ns / 1e6
    over = ((found.invoke_ns - found.handler_ns)[1:] / 1e6).tolist()
    return _Round(whole, total, took["same"], took["hand"], took["alone"], took["ours"], over)


def _figures(rounds: Sequence[_Round]) -> list[Figure]:
    over = [each for one in rounds for each in one.overheads]
    wall_s = 30 * sum(one.wall_s for one in rounds) / len(rounds)
    return [
        median("warm request through the Runtime API, less its handler", over, 0.0, 1.5, "ms"),
        _ratio("cold total ÷ bare start by hand, the client imported", rounds, "total", "by_hand", 0.95, 1.05),
        _ratio("cold start, own part and all ÷ bare start of the same", rounds, "whole", "same", 0.95, 1.05),
        _ratio("cold total ÷ bare start by hand, without the client", rounds, "total", "without_client", 0.0, math.inf),
        median("the harness's own part, left out", [one.whole - one.total for one in rounds], 0.0, math.inf, "ms"),
        Figure("30 cold starts of a small model, ends included", wall_s, "s", len(rounds), 0.0, 60.0),
    ]


def _ratio(name: str, rounds: Sequence[_Round], one: str, two: str, low: float, high: float) -> Figure:
    ours, theirs = ([getattr(each, field) for each in rounds] for field in (one, two))
    said = f"medians: {np.median(ours):.1f} ms, {np.median(theirs):.1f} ms"
    return median(name, [a / b for a, b in zip(ours, theirs, strict=True)], low, high, note=said)


def _job(model: Model, target: Target, root: Path, number: int) -> ColdStart:
    return ColdStart(
        candidate=Candidate(name=model.name, path=str(model.path)),
        target=target,
        variant=Variant(format="onnx", path=str(model.path.relative_to(root))),
        entry="harness.runtimes.onnxruntime:OnnxRuntime",
        rows=str((model.rows / "inputs").relative_to(root)),
        block=number,
    )


def _bare(folder: Path, script: str, job: ColdStart, root: Path) -> float:
    """Start a bare process under the same limits, its artefact evicted; returns the ms to its first answer."""
    resources, group = Enforcer().grant(job.target.granted, job)
    assert group is not None, "limits are enforced here"
    write_job(folder, msgspec.structs.replace(job, resources=resources))
    (folder / "handler.py").write_text(script)
    rows = {name: as_json(array[:1]) for name, array in read_arrays(root / job.rows).items()}
    (folder / "event.json").write_text(json.dumps({"rows": rows, "path": job.variant.path}))
    storage.evict(storage.files_of(job.variant, root))
    command = group.wrapped([sys.executable, "-P", str(folder / "handler.py"), str(folder), str(root)])
    env = environment(os.environ, resources.threads)
    begin_ns = time.perf_counter_ns()
    child = Spawned(Popen(command, stdin=DEVNULL, env=env, start_new_session=True))
    assert child.ended(_WAIT_S), "a bare start ends by itself"
    assert child.returncode() == 0, "a bare start succeeds"
    group.remove()
    return (read_events(folder)[0][-1].t_ns - begin_ns) / 1e6
