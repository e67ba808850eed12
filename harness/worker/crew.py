"""Serving processes: forks of a trial that load a model of their own, for models that hold the interpreter lock.

They are forked before the trial loads anything, share a board with it, and run one errand after another, which they are
told over a socket. What they leave of requests is on the board.
"""

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from harness.scenarios.board import Board
from harness.scenarios.open_loop import serve_any, settle
from harness.scenarios.serving import Batching, Stream
from harness.spec.scenario import Scenario
from harness.worker.process import die_with_parent

_MESSAGE_BYTES = 1 << 16
_OK = b"ok"


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What a serving process is told: to load, to warm up, to settle, to serve requests of so many rows, batched so."""

    do: str
    rows: int = 1
    batching: Batching = Batching()
    count: int = 0
    seconds: float = 0.0


Obey = Callable[[Errand], None]
Become = Callable[[int, Board], Obey]
"""Returns what runs errands in process `number`; called in that process, when it is told to load."""


class CrewError(RuntimeError):
    """A serving process failed, or ended."""


class Crew:
    """The further processes of a trial, numbered from 1, by their process ids."""

    def __init__(self, board: Board, members: dict[int, socket.socket]) -> None:
        self.board, self._members = board, members

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids."""
        return tuple(self._members)

    def tell(self, errand: Errand, count: int | None = None) -> None:
        """Tell the first `count` processes (None: all) to do something, and do not wait."""
        for channel in list(self._members.values())[:count]:
            with suppress(OSError):  # it has ended, which the answer tells
                channel.send(msgspec.json.encode(errand))

    def wait(self, count: int | None = None) -> None:
        """Wait until they have done what they were told. Raises CrewError with what one says that failed."""
        answers = [(pid, _answer(channel)) for pid, channel in list(self._members.items())[:count]]
        for number, (pid, answer) in enumerate(answers, 1):
            if answer != _OK:
                raise CrewError(f"serving process {number + 1}: {answer.decode(errors='replace') or _end_of(pid)}")

    def load(self) -> None:
        """Let all processes load their model, and wait for it."""
        self.tell(Errand(do="load"))
        self.wait()

    def dismiss(self) -> None:
        """End them all."""
        for pid, channel in self._members.items():
            channel.close()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._members = {}


def _answer(channel: socket.socket) -> bytes:
    try:
        return channel.recv(_MESSAGE_BYTES)
    except OSError:
        return b""


def _end_of(pid: int) -> str:
    """Name the end of a process that has closed its channel."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"


@contextmanager
def crew_for(scenarios: Sequence[Scenario], become: Become) -> Iterator[Crew | None]:
    """Fork as many processes as a scenario needs beside this one, and end them at last; None where none needs any.

    This process must have one thread only.
    """
    several = [each for each in scenarios if each.processes > 1]
    if not several:
        yield None
        return
    board = Board(max(each.max_samples for each in several), between_processes=True)
    crew = Crew(board, _forked(max(each.processes for each in several) - 1, board, become))
    try:
        yield crew
    finally:
        crew.dismiss()


def _forked(count: int, board: Board, become: Become) -> dict[int, socket.socket]:
    members: dict[int, socket.socket] = {}
    for number in range(1, count + 1):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            for channel in (ours, *members.values()):
                channel.close()
            _run_errands(theirs, number, board, become)
        theirs.close()
        members[pid] = ours
    return members


def _run_errands(channel: socket.socket, number: int, board: Board, become: Become) -> None:
    """Run errands until the channel ends, and never return: this process is a fork."""
    try:
        die_with_parent()
        obey: Obey | None = None
        while message := channel.recv(_MESSAGE_BYTES):
            obey = obey or become(number, board)
            obey(msgspec.json.decode(message, type=Errand))
            channel.send(_OK)
    except BaseException as error:  # noqa: BLE001 - the outermost edge of a process: a model may raise anything
        traceback.print_exception(error)
        board.stop()
        channel.send((str(error).strip() or type(error).__name__).encode()[:2000])
    finally:
        os._exit(0)


class Processes:
    """The team of this process, which is server 0, and the first of a crew: `count` in all.

    `stream`, `clock` and `wait` are this process's own.
    """

    def __init__(
        self,
        crew: Crew,
        count: int,
        stream: Stream,
        clock: Callable[[], int],
        wait: Callable[[int], int],
        errand: Errand,
    ) -> None:
        self.board, self._others = crew.board, count - 1
        self._crew, self._stream, self._clock, self._wait, self._errand = crew, stream, clock, wait, errand

    def warm(self) -> None:
        """Warm up the other processes, all at once, as they will serve."""
        self._tell("warm")
        self._crew.wait(self._others)

    def settle(self, count: int) -> None:
        """Run so many requests in each process."""
        self._tell("settle", count)
        settle(self._stream, count, self._errand.rows, self._errand.batching, self._clock)
        self._crew.wait(self._others)

    def serve(self, begin: Callable[[], None]) -> None:
        """Serve a window."""
        begin()
        self._tell("serve")
        with self._stream.scope():
            serve_any(0, self._stream, self.board, self._clock, self._wait, self._errand.rows, self._errand.batching)
        self._crew.wait(self._others)

    def _tell(self, what: str, count: int = 0) -> None:
        self._crew.tell(msgspec.structs.replace(self._errand, do=what, count=count), self._others)
