"""Turns and the time ledger of a child: a byte gives a turn back, a byte brings it; no moment is counted twice."""

from __future__ import annotations

import os
import threading
import time

import pytest

from harness.worker.ledger import Ledger
from harness.worker.turns import Turns


@pytest.fixture
def table():
    """The child's turns, and the parent's ends: to give them, to get them back."""
    their_read, give = os.pipe()
    back, their_write = os.pipe()
    yield Turns((their_read, their_write)), give, back
    for descriptor in (their_read, their_write, give, back):
        os.close(descriptor)


@pytest.mark.parametrize(("call", "byte"), [("next", b"t"), ("finish", b"d")])
def test_a_turn_is_given_back_before_the_next_is_waited_for(table, call: str, byte: bytes) -> None:
    turns, give, back = table
    assert turns.shared
    went_on = threading.Event()

    def play() -> None:
        getattr(turns, call)()
        went_on.set()

    player = threading.Thread(target=play)
    player.start()
    assert os.read(back, 10) == byte
    assert not went_on.is_set(), "nothing was given yet"
    os.write(give, b"t")
    player.join(10)
    assert went_on.is_set()


def test_alone_it_is_always_its_turn() -> None:
    turns = Turns()
    assert not turns.shared
    turns.next()
    turns.finish()


def test_a_process_whose_parent_is_gone_ends() -> None:
    their_read, give = os.pipe()
    back, their_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(give)
        os.close(back)
        Turns((their_read, os.open("/dev/null", os.O_WRONLY))).next()
        os._exit(0)
    for descriptor in (their_read, their_write, give, back):
        os.close(descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_ledger_counts_every_moment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = iter([100, 130, 180, 200, 260])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(stamps))
    ledger = Ledger("load")
    for purpose in ("first", "sampling", "first", ""):
        ledger.begin(purpose)
    assert dict(ledger.spent) == {"load": 30, "first": 50 + 60, "sampling": 20}
    assert sum(ledger.spent.values()) == 260 - 100
