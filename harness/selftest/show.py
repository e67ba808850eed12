"""The proof for people: progress while it runs, a table at its end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harness.selftest.prove import Proved


class Bars:
    """A bar per check on a terminal. Used as a context manager."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, refresh_per_second=2)
        self._task = self._progress.add_task("", visible=False)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """Show a new bar."""
        self._task = self._progress.add_task(escape(name), total=None)

    def step(self, done: int, of: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=of)

    def end(self, name: str, passed: bool, seconds: float) -> None:
        """Say how the check ended."""
        task = self._progress.tasks[self._task]
        total = task.total or 1
        self._progress.update(
            self._task, completed=total, total=total, description=f"{escape(name)} {_verdict(passed)}"
        )


class Lines:
    """A line per check: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, name: str) -> None:
        """Print nothing."""

    def step(self, done: int, of: int) -> None:
        """Print nothing."""

    def end(self, name: str, passed: bool, seconds: float) -> None:
        """Print how the check ended."""
        self._console.print(f"{name}: {'passed' if passed else 'failed'} ({seconds:.1f} s)", markup=False)


def watcher(console: Console) -> Bars | Lines:
    """Return the watcher that suits the console."""
    return Bars(console) if console.is_terminal else Lines(console)


def proof_table(proved: Sequence[Proved]) -> Table:
    """Return what was found, a row per truth."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("test", "truth", "found", "wanted", "verdict"):
        table.add_column(column)
    for finding, _ in proved:
        texts = (finding.test, finding.truth, finding.found, finding.wanted)
        table.add_row(*(escape(text) for text in texts), _verdict(finding.passed))
    return table


def _verdict(passed: bool) -> str:
    return "[green]passed[/green]" if passed else "[red]failed[/red]"
