"""How cold starts that did not succeed are named."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from harness.serverless.door import Exited, Late, Raised, Unspeakable
from harness.serverless.ends import INIT, Garbage, handler_ns, named
from harness.spec.rows import as_json
from harness.spec.target import Lifecycle

LIFE = Lifecycle(init_s=10.0, timeout_s=30.0)
FIRST = "request 1"


@pytest.mark.parametrize(
    ("error", "phase", "failure", "says"),
    [
        (Raised("Runtime.ImportModuleError", "no module x", True), INIT, "load_error", "Runtime.ImportModuleError"),
        (Raised("ModelError", "corrupt", True), INIT, "load_error", "in INIT it reported ModelError: corrupt"),
        (Raised("MemoryError", "", True), INIT, "oom", "MemoryError"),
        (Raised("OutputError", "NaN", False), FIRST, "output_error", "at request 1"),
        (Raised("ModelError", "row", False), FIRST, "load_error", "row"),
        (Raised("ZeroDivisionError", "x", False), "request 3", "crash", "at request 3 it reported ZeroDivisionError"),
        (Garbage("is a list"), FIRST, "output_error", "its answer to request 1 is not one: is a list"),
        (Unspeakable("it sent a poem"), FIRST, "protocol", "a poem"),
        (Late(), FIRST, "timeout", "no answer to request 1 within the 30 s"),
    ],
)
def test_an_error_has_a_name(error, phase, failure, says):
    outcome = named(error, phase, LIFE, 1, 0, None)
    assert (outcome.status, outcome.failure, outcome.phase) == ("failed", failure, phase)
    assert says in outcome.message


@pytest.mark.parametrize(
    ("code", "failure", "says"),
    [
        (0, "protocol", "it exited 0 before it was ready for a request"),
        (3, "crash", "in INIT it exited with status 3"),
        (-signal.SIGSEGV, "crash", "in INIT it was ended by SIGSEGV"),
    ],
)
def test_an_exit_has_a_name(code, failure, says):
    outcome = named(Exited(), INIT, LIFE, 1, 0, code)
    assert outcome.failure == failure
    assert says in outcome.message


def test_an_init_that_is_late_says_whether_it_was_repeated():
    once, twice = (named(Late(), INIT, LIFE, inits, None, None).message for inits in (1, 2))
    assert once == "it was not ready for a request within the 10 s that INIT may take"
    assert twice == f"{once}, nor, in a second INIT, within the 30 s of the first request"


@pytest.mark.parametrize("error", [Exited(), Late(), Raised("Error", "killed", True)])
def test_a_kill_for_memory_is_named_whatever_followed(error):
    outcome = named(error, INIT, LIFE, 1, 1, -9)
    assert outcome.failure == "oom"
    assert "memory limit in phase 'init'" in outcome.message


def _answer(**changes: object) -> bytes:
    told = {"output": as_json(np.zeros((1, 3), dtype=np.float32)), "begin_ns": 10, "end_ns": 25} | changes
    return json.dumps({key: value for key, value in told.items() if value is not None}).encode()


def test_a_right_answer_tells_what_the_handler_took():
    assert handler_ns(_answer()) == 15
    assert handler_ns(_answer(output=as_json(np.array(["a", "b"], dtype=object)))) == 15


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[1, 2]",
        _answer(output=None),
        _answer(begin_ns=None),
        _answer(begin_ns=30),
        _answer(begin_ns="10"),
        _answer(output=[1, 2]),
        _answer(output={"dtype": "float32", "shape": [2], "data": "!!"}),
        _answer(output={"dtype": "float32", "shape": [7], "data": "AAAAAA=="}),
        _answer(output={"dtype": "no", "shape": [1], "data": "AAAAAA=="}),
        _answer(output=as_json(np.array([np.nan, 1.0]))),
    ],
)
def test_garbage_is_no_answer(body):
    with pytest.raises(Garbage):
        handler_ns(body)
