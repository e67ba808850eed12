"""What a launcher must offer. Implement this and register it in `harness.launchers` to add one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.errors import SpecError
from harness.spec import plugins
from harness.spec.outcome import Outcome
from harness.spec.target import Limits
from harness.spec.wire import Job

OnPhase = Callable[[str], None]
PROCESS = "process"
"""The launcher of jobs that have no target: datasets, conversions."""


class Terms(NamedTuple):
    """How a job is to be run: the staging root its paths are relative to, limits, interpreter, time-out.

    `timeout_s` bounds each phase, and each turn, without progress. `turns` are the descriptors that the job's process
    gets turns by (to read, to write): it inherits them.
    """

    root: Path
    limits: Limits = Limits()
    python: str | None = None
    timeout_s: float = 300.0
    turns: tuple[int, int] | None = None


class RunningJob(Protocol):
    """A job that has been started."""

    def wait(self, on_phase: OnPhase) -> Outcome:
        """Wait for the end and return the outcome, which is also in the folder.

        Calls `on_phase` a few times a second with the phase the job is in. Raises EvidenceError if evidence cannot be
        written; the folder then has no outcome.
        """

    def end(self) -> None:
        """End the job at once, with everything it started. Does nothing when it has ended."""


class SharingJob(RunningJob, Protocol):
    """A job that lives beside others and takes turns with them; `harness.launch.rounds` gives the turns."""

    def watch(self, on_phase: OnPhase, since: float) -> bool:
        """Look after the job, a few times a second; returns whether it is late if awaited since `since` (monotonic)."""

    def ended(self) -> bool:
        """Whether its process has ended; what it started may still hold the pipes that turns go by."""

    def pause(self, paused: bool) -> None:
        """Stop all its threads, or let them go on: idle ones of a runtime spin, and take a core from the next job."""

    def finish(self, late: bool = False) -> Outcome:
        """End the job if it has not ended, and return its outcome, which is also in the folder."""


class Launcher(Protocol):
    """Starts jobs in one kind of place. It decides threads and limits from the host that the job runs on."""

    @property
    def takes_turns(self) -> bool:
        """Whether its jobs are `SharingJob`s: their processes can live side by side, and one runs at a time."""

    def block(self, jobs: Sequence[tuple[Job, Terms]]) -> AbstractContextManager[Launcher]:
        """Prepare one block of these trials; yields a launcher that may start them from what they share.

        Ends everything it prepared. Jobs that are to be fresh are not affected.
        """

    def hold(self, what: str, beside: Sequence[Launcher] = ()) -> AbstractContextManager[Launcher]:
        """Reserve the place; yields a launcher whose jobs keep it. Raises BusyError if someone is measuring there.

        `beside` are launchers that hold their places for the same run: a place is reserved once for all of them.
        """

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Write `job` into `folder` and start it."""


Launchers = Mapping[str, Launcher]


def launchers(names: Iterable[str]) -> dict[str, Launcher]:
    """Load these launchers, and the one for jobs without a target. Raises SpecError if one cannot be loaded."""
    found: dict[str, Launcher] = {}
    for name in dict.fromkeys((PROCESS, *names)):
        try:
            found[name] = plugins.load("launchers", name)()
        except (LookupError, ImportError) as error:
            raise SpecError(f"launcher '{name}'", f"cannot be loaded: {error}") from error
    return found


@contextmanager
def held(places: Launchers, what: str) -> Iterator[Launchers]:
    """Reserve the places of these launchers for `what`. Raises BusyError if someone else is measuring in one."""
    ready: dict[str, Launcher] = {}
    with ExitStack() as stack:
        for name, launcher in places.items():
            ready[name] = stack.enter_context(launcher.hold(what, tuple(ready.values())))
        yield ready


def run_job(
    launcher: Launcher, folder: Path, job: Job, terms: Terms, on_phase: OnPhase = lambda phase: None
) -> Outcome:
    """Start a job, wait for its end, and return its outcome; it is ended if waiting is interrupted."""
    running = launcher.start(folder, job, terms)
    try:
        return running.wait(on_phase)
    finally:
        running.end()
