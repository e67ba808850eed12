"""The pull-based loop on simulated time: it is exactly a queue, first come, first served."""

from __future__ import annotations

import os
from contextlib import nullcontext
from itertools import count, cycle, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.folder import BATCH, DUE, FREE, SERVER, START
from harness.scenarios.board import DONE, Board
from harness.scenarios.open_loop import Threads, serve
from harness.scenarios.serving import Batching, Stream
from harness.stats.batching import Batches, completions_in_batches
from harness.stats.queueing import completions

from .simulated import Gate, Simulated

FAR = 1 << 60
ONE = Batching()
DUES = st.lists(st.integers(0, 500), min_size=1, max_size=40).map(lambda gaps: np.cumsum(gaps).astype(np.int64))
TIMES = st.lists(st.integers(1, 400), min_size=1, max_size=40)


def served(due, times, servers=1, batching=ONE, end=FAR):
    """Serve requests due at these times by a model whose calls take `times`, one after another."""
    time, took, sizes = Simulated(servers), cycle(times), []

    def infer(feed):
        sizes.append(feed)
        time.wait(time.now + next(took))

    streams = [Stream(infer, lambda size: repeat(size), time.scope) for _ in range(servers)]
    team = Threads(streams, time.clock, time.wait, len(due), 1, batching)
    team.board.turnstile = Gate(time)
    team.serve(lambda: team.board.begin(due, end))
    return team.board.served(), sizes


@settings(deadline=None, max_examples=60)
@given(DUES, TIMES, st.integers(1, 3))
def test_latencies_are_those_of_a_queue_with_as_many_servers(due, times, servers):
    found, _ = served(due, times, servers)
    assert (found[DUE] == due).all() and (found[START] >= due).all()
    assert (found[DONE] == completions(due, found[DONE] - found[START], servers)).all()
    assert (np.diff(found[START]) >= 0).all(), "first come, first served"
    assert set(found[SERVER].tolist()) <= set(range(servers))
    late = found[START] - due
    assert (late[found[FREE] <= due] == 0).all(), "a server that waited starts when the request is due"


def plain_queue(due, times):
    """One server, first come, first served, written as one would explain it."""
    free, done = 0, []
    for at, took in zip(due.tolist(), cycle(times), strict=False):
        free = max(free, at) + took
        done.append(free)
    return done


@settings(deadline=None, max_examples=60)
@given(DUES, TIMES)
def test_one_server_is_the_plain_queue(due, times):
    found, _ = served(due, times)
    assert found[DONE].tolist() == plain_queue(due, times)


def plain_batches(due, times, rule):
    """One server that batches, written as one would explain it: [start, done] of each request."""
    due, took, free, out, first = due.tolist(), cycle(times), 0, [], 0
    while first < len(due):
        begin = max(free, due[first])
        last = first + 1
        while last < len(due) and last - first < rule.most and due[last] <= max(begin, due[first] + rule.wait_ns):
            last += 1
        full = last - first == rule.most or last == len(due)
        start = max(begin, due[last - 1]) if full else max(begin, due[first] + rule.wait_ns)
        free = start + next(took)
        out += [(start, free)] * (last - first)
        first = last
    return out


BATCHINGS = st.builds(Batching, st.integers(2, 6), st.sampled_from([0, 1, 100, 700]))


@settings(deadline=None, max_examples=60)
@given(DUES, TIMES, BATCHINGS)
def test_one_server_that_batches_is_the_plain_one(due, times, rule):
    found, sizes = served(due, times, batching=rule)
    assert list(zip(found[START].tolist(), found[DONE].tolist(), strict=True)) == plain_batches(due, times, rule)
    batches = Batches.of(found[BATCH], found[DONE] - found[START])
    assert batches.sizes.tolist() == sizes and max(sizes) <= rule.most


@settings(deadline=None, max_examples=60)
@given(DUES, TIMES, BATCHINGS, st.integers(1, 3))
def test_batches_of_several_servers_are_predicted_by_the_recursion(due, times, rule, servers):
    found, _ = served(due, times, servers, rule)
    batches = Batches.of(found[BATCH], found[DONE] - found[START])
    assert (found[DONE] == completions_in_batches(due, batches, servers, rule.most, rule.wait_ns)).all()
    assert (found[START] >= due).all()


@pytest.mark.parametrize(("batching", "n", "last"), [(ONE, 16, 1600), (Batching(3, 50), 45, 1520)])
def test_a_load_that_cannot_be_served_ends_at_the_deadline(batching, n, last):
    due = np.arange(0, 1000, 10, dtype=np.int64)
    found, _ = served(due, [100], batching=batching, end=1500)
    assert len(found[DUE]) == n, "nothing is taken after 1500"
    assert (found[DUE] == due[: len(found[DUE])]).all(), "the first come are served"
    assert found[DONE].max() == last


@pytest.mark.parametrize(("batching", "n"), [(ONE, 1), (Batching(3, 5), 3)])
def test_a_stall_longer_than_a_short_window_leaves_its_first_request(batching, n):
    """Else a window of a millisecond in which the host stops for twenty would be a trial that crashed."""
    found, _ = served(np.arange(9, dtype=np.int64), [100], batching=batching, end=-1)
    assert len(found[DUE]) == n


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("batching", [Batching(), Batching(2, 0)])
def test_what_a_server_raises_ends_them_all(servers, batching):
    calls = count()

    def infer(feed):
        if next(calls) == 4:
            raise RuntimeError("the model broke")

    stream = Stream(infer, lambda size: repeat(size), nullcontext)
    clock = count().__next__
    team = Threads([stream] * servers, clock, lambda at: max(at, clock()), 50, 1, batching)
    with pytest.raises(RuntimeError, match="the model broke"):
        team.serve(lambda: team.board.begin(np.arange(50, dtype=np.int64), FAR))
    assert next(calls) < 45


def test_each_thread_is_in_its_scope_and_settles():
    entered, fed = [], []

    class Scope:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *how):
            entered.append(-1)

    stream = Stream(fed.append, lambda size: repeat(size), Scope)
    team = Threads([stream] * 3, count().__next__, lambda at: at, 10, 4, Batching())
    team.settle(5)
    assert fed == [4] * 15 and entered.count(1) == entered.count(-1) == 3
    batching = Threads([stream], count().__next__, lambda at: at, 10, 1, Batching(3, 0))
    fed.clear()
    batching.settle(1)
    assert fed == [1, 2, 2, 3, 3], "each size of a batch allocates on its first call"


def test_a_board_serves_one_window_after_another():
    board = Board(10)
    stream = Stream(lambda feed: None, lambda size: repeat(size))
    clock = count(1).__next__
    for due in ([5, 6, 7], [100], [1000, 1001]):
        board.begin(np.array(due, dtype=np.int64), FAR)
        serve(0, stream, board, clock, lambda at: max(at, clock()))
        assert board.served()[DUE].tolist() == due


def test_forked_processes_share_a_board_and_get_each_number_once():
    """Each of three processes counts what it got in `server`; pipes tell when they are done."""
    board, children, numbers = Board(3000, between_processes=True), [], 3000
    board.begin(np.arange(numbers, dtype=np.int64), FAR)
    for child in range(1, 4):
        pid = os.fork()
        if pid == 0:
            done, server = board.view(DONE), board.view(SERVER)
            for i in board.numbers():
                done[i] += 1
                server[i] = child
            os._exit(0)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    assert board.view(DONE).tolist() == [1] * numbers, "each number once"
    board.begin(np.arange(5, dtype=np.int64), FAR)
    assert list(board.numbers()) == [0, 1, 2, 3, 4], "the pipe is as at first"
