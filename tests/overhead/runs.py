"""Which part of a run's measuring is sampling, and where the other seconds go. Real runs, with short budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from figure import Figure
from made import CONVOLUTION, layered

from harness.analyse.reader import RunReader, open_run
from harness.analyse.seconds import seconds_by_purpose
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.score.records import Ranking, Row


class Done(NamedTuple):
    """A finished run: its evidence, its ranking, and the wall seconds of its blocks."""

    reader: RunReader
    ranking: Ranking
    measured_s: float

    @property
    def requests(self) -> int:
        """How many requests were measured."""
        trials = (trial for cell in self.reader.cells for trial in self.reader.trials(cell.name))
        return sum(window.samples for trial in trials for window in trial.outcome.windows)


def finished(what: Sequence[str], out: Path, budget_s: float | None, targets: Sequence[str] = ()) -> Done:
    """Run a suite, or models."""
    folder, record = open_new(Request(what, targets, out, budget_s=budget_s))
    ranking = run(folder, record).ranking
    reader = open_run(folder)
    return Done(reader, ranking, measured_s(reader))


def measured_s(reader: RunReader) -> float:
    """Return the wall seconds of all blocks."""
    total, block = 0.0, 0
    while (took := reader.block_seconds(block)) is not None:
        total, block = total + took, block + 1
    return total


def _share(name: str, done: Done, low: float) -> Figure:
    """Return which part of the measured seconds is sampling."""
    spent = seconds_by_purpose(done.reader)
    said = " · ".join(f"{purpose} {seconds:.1f} s" for purpose, seconds in spent.items())
    ended = next((note.message for note in done.ranking.notes if note.code == "ended"), "")
    return Figure(name, spent["sampling"] / done.measured_s, "", done.requests, low, 1, note=f"{said}\n{ended}")


def _row(row: Row, keys: Sequence[str]) -> str:
    """Describe a row: its status and its percentiles."""
    shown = [f"{row.candidate}@{row.target}: {row.status}"]
    for key in keys:
        if (measure := row.metrics.get(key)) is not None:
            high = "?" if measure.high is None else f"{measure.high:.4g}"
            low = "?" if measure.low is None else f"{measure.low:.4g}"
            shown.append(f"{key} {measure.value:.4g} [{low}, {high}] n={measure.n:,}")
    return "  ".join(shown)


def _bounded(row: Row, key: str) -> bool:
    measure = row.metrics.get(key)
    return measure is not None and measure.high is not None


def digits(folder: Path, budget_s: float = 60.0) -> list[Figure]:
    """Run the suite `digits` with a part of its budget."""
    return [_share("sampling ÷ measuring, suite digits", finished(["digits"], folder, budget_s), 0.6)]


def slow_models(folder: Path, budget_s: float = 60.0) -> list[Figure]:
    """Run two models of 4 and 8 ms on two targets without a suite."""
    models = [layered(folder, each, CONVOLUTION) for each in (4_000, 8_000)]
    paths = [model.path.rename(folder / f"slow-{number}.onnx") for number, model in enumerate(models)]
    done = finished([*map(str, paths)], folder, budget_s, ["cpu-onnx", "cpu-onnx-1t"])
    rows = done.ranking.rows
    bounded = sum(_bounded(row, "latency_p99_ms") for row in rows)
    said = "\n".join(_row(row, ["latency_p50_ms", "latency_p99_ms"]) for row in rows)
    name, all_of = "rows with a bounded p99, models of 4 and 8 ms", len(rows)
    return [
        _share("sampling ÷ measuring, models of 4 and 8 ms", done, 0.8),
        Figure(name, bounded, "", all_of, all_of, all_of, note=said),
    ]


def sizes(folder: Path, budget_s: float | None = None) -> list[Figure]:
    """Run the suite `sizes`: models of 10 µs to 1 s; every one is to get a row with numbers."""
    done = finished(["sizes"], folder, budget_s)
    rows = done.ranking.rows
    known = sum(_bounded(row, "latency_p50_ms") for row in rows)
    said = "\n".join(_row(row, ["latency_p50_ms", "latency_p90_ms", "latency_p99_ms"]) for row in rows)
    name, all_of = "rows with a bounded p50, suite sizes", len(rows)
    return [
        _share("sampling ÷ measuring, suite sizes", done, 0.6),
        Figure(name, known, "", all_of, all_of, all_of, note=said),
    ]
