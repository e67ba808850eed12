"""A bench without a model: its clock is what its calls have taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import numpy as np

from harness.evidence.folder import save_requests
from harness.scenarios.base import MeasuredWindow
from harness.scenarios.open_loop import Threads
from harness.scenarios.serving import Batching, Stream
from harness.spec.diagnostics import Diagnostic
from harness.spec.outcome import Window
from harness.spec.scenario import Scenario
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Resources, Trial, WarmUpRule

MS = 1_000_000


class FakeBench:
    """Each call takes `cost` of its rows (ns), or one of `times` after another; reading the clock takes `read_ns`.

    Where turns are `shared`, `others_ns` pass between two of them. `steps` are the calls of a scenario in their order:
    phases, turns, and the number of requests between them that count or do not. It fails where something is kept or
    noted within a window.
    """

    def __init__(
        self,
        cost: Callable[[int], int] = lambda rows: MS,
        fixed_batch: int | None = None,
        most_rows: int | None = None,
        times: Iterable[int] | None = None,
        read_ns: int = 0,
        shared: bool = False,
        others_ns: int = 0,
        turn_s: float = 0.025,
        row_ns: float = MS,
        warm_up: WarmUpRule | None = None,
        settle_s: float = 0.0,
        device_ns: int | None = None,
    ) -> None:
        self.job = Trial(
            candidate=Candidate(name="c", path="c.fake.toml"),
            target=Target(name="t", description="d", runtime="fake"),
            variant=Variant(format="fake"),
            scenarios=(),
            turn_s=turn_s,
            warm_up=warm_up or WarmUpRule(),
            resources=Resources(settle_s=settle_s),
        )
        self.fixed_batch, self.most_rows, self.row_ns, self.device_ns = fixed_batch, most_rows, row_ns, None
        self.now, self.calls, self.asked = 0, 0, []
        self.steps: list[tuple[str, int]] = []
        self.windows: list[Window] = []
        self.arrays: dict[str, Mapping[str, np.ndarray]] = {}
        self.notes: list[Diagnostic] = []
        if device_ns is not None:
            self.device_ns = lambda count: np.full(count, device_ns, dtype=np.int64)
        self._times = iter(times or repeat(None))
        self._cost, self._read_ns, self._shared, self._others_ns = cost, read_ns, shared, others_ns
        self._measuring = False

    def infer(self, feed: int) -> None:
        self.calls += 1
        self.now += next(self._times) or self._cost(feed)

    def clock(self) -> int:
        self.now += self._read_ns
        return self.now

    def feeds(self, batch_size: int) -> Iterator[int]:
        self.asked.append(batch_size)
        return repeat(batch_size)

    @contextmanager
    def warming(self, window: str) -> Iterator[bool]:
        with self._counted(f"warm_up:{window}"):
            yield bool(self.windows)

    @contextmanager
    def measuring(self, window: str) -> Iterator[None]:
        self._measuring = True
        self.steps.append((f"measure:{window}", 0))
        yield
        self._measuring = False

    def next_turn(self) -> bool:
        self.now += self._others_ns
        self.steps.append(("turn", self.calls))
        return self._shared

    @contextmanager
    def counting(self) -> Iterator[None]:
        assert self._measuring
        if self.steps[-1][0] == "turn":
            self.steps[-1] = ("turn", self.calls - self.steps[-1][1])
        with self._counted("counted"):
            yield

    @contextmanager
    def _counted(self, step: str) -> Iterator[None]:
        before = self.calls
        yield
        self.steps.append((step, self.calls - before))

    def wait(self, at: int) -> int:
        self.now = max(self.now, at)
        return self.now

    def team(self, scenario: Scenario, rows: int, batching: Batching) -> Threads:
        stream = Stream(self.infer, self.feeds)
        return Threads([stream], self.clock, self.wait, scenario.max_samples, rows, batching)

    def keep(self, window: Window, arrays: Mapping[str, np.ndarray]) -> None:
        assert not self._measuring
        self.windows.append(window)
        self.arrays[window.name] = arrays

    def note(self, diagnostic: Diagnostic) -> None:
        assert not self._measuring
        self.notes.append(diagnostic)

    def saved(self, folder: Path) -> list[MeasuredWindow]:
        """Write what was kept as the child does, and return it as the parent sees it."""
        for name, arrays in self.arrays.items():
            save_requests(folder, name, arrays)
        return [MeasuredWindow(window, folder) for window in self.windows]
