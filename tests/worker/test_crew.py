"""Serving processes: they load when told, run errands, and tell how they ended."""

from __future__ import annotations

import os
import signal

import pytest

from harness.scenarios.board import Board
from harness.scenarios.server import Server
from harness.scenarios.single_stream import SingleStream
from harness.worker.crew import CrewError, Errand, crew_for

THREE = (Server(name="s", rate_per_s=1.0, serving_processes=3, max_samples=100), SingleStream(name="one"))


def test_no_process_is_forked_where_none_is_asked_for():
    with crew_for(THREE[1:], pytest.fail) as crew:
        assert crew is None


def counting(number: int, board: Board):
    """Write the errand's count where the parent sees it."""
    board.view("server")[number] = os.getpid()

    def obey(errand: Errand) -> None:
        board.view("done")[number] += errand.count

    return obey


def opened(board: Board) -> None:
    import numpy as np

    board.begin(np.arange(10, dtype=np.int64), 1 << 60)


def test_each_loads_in_its_own_process_and_runs_errands_in_order():
    with crew_for(THREE, counting) as crew:
        opened(crew.board)
        crew.load()
        assert crew.board.view("server").tolist()[:4] == [0, *crew.pids, 0]
        for count, some in ((5, None), (7, 1)):
            crew.tell(Errand(do="settle", count=count), some)
            crew.wait(some)
        assert crew.board.view("done").tolist()[:4] == [0, 12, 5, 0]
        pids = crew.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def failing(number: int, board: Board):
    def obey(errand: Errand) -> None:
        if errand.do == "serve" and number == 2:
            {"raise": lambda: 1 / 0, "exit": lambda: os._exit(3), "kill": lambda: os.kill(os.getpid(), signal.SIGKILL)}[
                ("raise", "exit", "kill")[errand.count]
            ]()

    return obey


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (0, "serving process 3: division by zero"),
        (1, "process 3: exited with status 3"),
        (2, "process 3: ended by SIGKILL"),
    ],
)
def test_one_that_fails_is_named_with_its_end(how, said):
    with crew_for(THREE, failing) as crew:
        opened(crew.board)
        crew.load()
        crew.tell(Errand(do="serve", count=how))
        with pytest.raises(CrewError, match=said):
            crew.wait()
        if how == 0:
            assert crew.board.end[0] == 0, "the others take no further request"


def test_one_that_cannot_load_says_why():
    def become(number, board):
        raise OSError("no such model")

    with crew_for(THREE, become) as crew, pytest.raises(CrewError, match="serving process 2: no such model"):
        crew.load()
