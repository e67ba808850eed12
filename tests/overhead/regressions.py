"""`harness compare` on real runs: two runs of the same models, and one of them with 5 % more work in every request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from figure import Figure
from made import CONVOLUTION, DENSE, layered

from harness.pipeline.again import BASELINE, Terms
from harness.pipeline.compare import Asked, compare, confirm, read_sides
from harness.pipeline.jobs import Jobs
from harness.pipeline.progress import Silent
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.report.verdicts import change
from harness.score.verdicts import Comparison
from harness.spec.wire import Trial

SLOWER = 0.05
RUN_S, AGAIN_S = 20.0, 45.0
SCALES_US = {"20us": (20.0, DENSE), "300us": (300.0, DENSE), "8ms": (8_000.0, CONVOLUTION)}
METRICS = ("latency_p50_ms", "latency_p99_ms")
SUITE = """
description = "models of three scales"
targets = ["cpu-onnx-1t"]
[dataset.synthetic]
rows = 16
[budget]
seconds = {seconds}
trials = 6
max_trials = 6
race = "off"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.5
[policy.objectives]
latency_p50_ms = {{ weight = 1, target = 0.01, limit = 100 }}
"""


def regressions(folder: Path) -> list[Figure]:
    """Measure a base, the same again, and the same with more work; compare; measure again side by side."""
    suite = _suite(folder)
    base, same = (_run(suite, folder / "results") for _ in range(2))
    with more_work():
        slow = _run(suite, folder / "results")
    found = [_alike("same or ambiguous, two runs of the same", _compared(base, same))]
    found.append(_alike("the same, measured again side by side", _confirmed(base, same)))
    with more_work():
        again = _confirmed(base, slow)
    caught = [v for v in again.verdicts if v.metric == METRICS[0] and v.confirmed]
    name = "rows of +5 % work that are found, side by side"
    return [*found, Figure(name, len(caught), "", len(SCALES_US), 3, 3, note=_said(again))]


def _suite(folder: Path) -> Path:
    rows = []
    for name, (microseconds, shape) in SCALES_US.items():
        path = layered(folder, microseconds, shape).path.rename(folder / f"{name}.onnx")
        rows.append(f'[[candidate]]\nname = "{name}"\npath = "{path}"\n')
    suite = folder / "scales.toml"
    suite.write_text(SUITE.format(seconds=RUN_S) + "\n".join(rows))
    return suite


def _run(suite: Path, out: Path) -> Path:
    folder, record = open_new(Request([str(suite)], out=out))
    run(folder, record)
    return folder


def _compared(base: Path, new: Path) -> Comparison:
    sides, notes = read_sides([base], new)
    return compare(sides, Asked(only=METRICS), notes)


def _confirmed(base: Path, new: Path) -> Comparison:
    """Compare, and measure every row again beside the base's, which this same interpreter runs."""
    sides, notes = read_sides([base], new)
    asked, terms = Asked(only=METRICS), Terms(AGAIN_S, sys.executable)
    return confirm(compare(sides, asked, notes), sides, asked, terms, Silent(), everything=True)


@contextmanager
def more_work() -> Iterator[None]:
    """Let every trial but the base's do 5 % more work, as a control does."""
    made = Jobs._trial

    def slower(self: Jobs, cell: object, *rest: object) -> Trial:
        job = made(self, cell, *rest)  # type: ignore[arg-type]
        return job if job.candidate.name.endswith(BASELINE) else msgspec.structs.replace(job, slower=SLOWER)

    Jobs._trial = slower  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Jobs._trial = made  # type: ignore[method-assign]


def _alike(name: str, found: Comparison) -> Figure:
    right = sum(each.verdict in ("same", "ambiguous") for each in found.verdicts)
    return Figure(name, right / len(found.verdicts), "", len(found.verdicts), 0.95, 1, note=_said(found))


def _said(found: Comparison) -> str:
    lines = [
        f"{v.row} {v.metric}: {v.verdict}, {change(v)} p={v.p_adjusted or 1.0:.2g} n={v.n} {v.basis}"
        for v in found.verdicts
    ]
    return "\n".join([*lines, *(note.message for note in found.notes if note.code in ("host_speed", "measured_alone"))])
