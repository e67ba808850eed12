"""How a cold start that did not succeed is named. Pure."""

from __future__ import annotations

import json

import numpy as np

from harness.launch.verdict import out_of_memory, signal_name
from harness.serverless.door import Exited, Late, Raised, Unspeakable
from harness.spec.arrays import Array
from harness.spec.outcome import Failure, Outcome
from harness.spec.rows import from_json
from harness.spec.target import Lifecycle

INIT = "init"
_MEMORY = ("MemoryError", "Runtime.OutOfMemory")
_BY_TYPE: dict[str, Failure] = {"OutputError": "output_error", "InputError": "input_error", "ModelError": "load_error"}
End = Late | Exited | Raised | Unspeakable


class Garbage(Exception):
    """An answer that is not what was asked for; the message says how."""


def named(
    error: End | Garbage, phase: str, life: Lifecycle, inits: int, kills: int | None, returncode: int | None
) -> Outcome:
    """Name the end of a cold start, by the error that it met in `phase` (`init`, `request 1`, …).

    `inits` is how many INITs were begun, `kills` how many of its processes the kernel killed for memory, and
    `returncode` how the process ended, minus the signal; None if it was ended for the error.
    """
    if kills:
        return out_of_memory(kills, phase)
    if isinstance(error, Raised):
        return _failed(_kind(error), f"{_where(phase)} it reported {error.kind}: {error.text}", phase)
    if isinstance(error, Garbage):
        return _failed("output_error", f"its answer to {phase} is not one: {error}", phase)
    if isinstance(error, Unspeakable):
        return _failed("protocol", f"{_where(phase)} {error}", phase)
    if isinstance(error, Late):
        return _failed("timeout", _late(phase, life, inits), phase)
    return _exited(returncode, phase)


def _kind(error: Raised) -> Failure:
    kind = error.kind.rpartition(".")[2]
    if error.kind in _MEMORY or kind in _MEMORY:
        return "oom"
    return "load_error" if error.in_init else _BY_TYPE.get(kind, "crash")


def _late(phase: str, life: Lifecycle, inits: int) -> str:
    if phase != INIT:
        return f"no answer to {phase} within the {life.timeout_s:g} s that a request may take"
    once = f"it was not ready for a request within the {life.init_s:g} s that INIT may take"
    return once if inits < 2 else f"{once}, nor, in a second INIT, within the {life.timeout_s:g} s of the first request"


def _exited(returncode: int | None, phase: str) -> Outcome:
    code = returncode or 0
    if code < 0:
        return _failed("crash", f"{_where(phase)} it was ended by {signal_name(-code)}", phase)
    if code > 0:
        return _failed("crash", f"{_where(phase)} it exited with status {code}; see worker.log", phase)
    before = "before it was ready for a request" if phase == INIT else f"without an answer to {phase}"
    return _failed("protocol", f"it exited 0 {before}", phase)


def _where(phase: str) -> str:
    return "in INIT" if phase == INIT else f"at {phase}"


def _failed(failure: Failure, message: str, phase: str) -> Outcome:
    return Outcome(status="failed", failure=failure, message=message, phase=phase, by="launcher")


def handler_ns(body: bytes) -> int:
    """Return how long an answer says that the handler took (ns). Raises Garbage where it is not a right answer.

    That is JSON with a finite output and the handler's own times.
    """
    try:
        told = json.loads(body)
        output, begin, end = told["output"], told["begin_ns"], told["end_ns"]
    except (ValueError, KeyError, TypeError) as error:
        raise Garbage(f"{body[:60]!r}{'…' if len(body) > 60 else ''} ({type(error).__name__}: {error})") from error
    try:
        array = from_json(output)
    except ValueError as error:
        raise Garbage(str(error)) from error
    if not (isinstance(begin, int) and isinstance(end, int) and begin <= end):
        raise Garbage(f"begin_ns and end_ns are {begin!r} and {end!r}")
    _refuse_infinite(array)
    return end - begin


def _refuse_infinite(array: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Garbage(f"{int((~np.isfinite(array)).sum())} of {array.size} values are NaN or infinite")
