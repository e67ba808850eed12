"""Whole runs on a GPU: does the suite `vision` rank CPU and GPU rows; does a policy on energy get its numbers?"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from cases import BUILDERS
from figure import Figure

from harness.analyse.reader import RunReader, open_run
from harness.evidence.run import cold_folder
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.score.records import Ranking, Row

KEYS = ("latency_p50_ms", "device_p50_ms", "cost_per_million_usd", "gpu_memory_peak_mib", "energy_per_inference_mj")
ENERGY_SUITE = f"""
description = "energy of one network"
targets = ["cuda-torch-fp16", "cuda-torch-graph"]
[dataset.synthetic]
rows = 4
[dataset.synthetic.inputs]
image = "Nx3x224x224:float32:normal"
[[candidate]]
name = "resnet50"
builder = "{BUILDERS}:resnet50"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.5
[budget]
seconds = 5
trials = 2
max_trials = 2
[policy.objectives]
energy_per_inference_mj = {{ weight = 1, target = 1, limit = 10000 }}
latency_p50_ms = {{ weight = 1, target = 0.1, limit = 100 }}
"""


class Done(NamedTuple):
    """A finished run: its evidence and its ranking."""

    reader: RunReader
    ranking: Ranking


def finished(what: str, out: Path, budget_s: float | None, targets: Sequence[str] = ()) -> Done:
    """Run a suite."""
    folder, record = open_new(Request([what], targets, out, budget_s=budget_s))
    ranking = run(folder, record).ranking
    return Done(open_run(folder), ranking)


def ranked(folder: Path, out: Path, budget_s: float = 40.0) -> list[Figure]:
    """Run the suite `vision` with a part of its budget on a CPU target and GPU targets."""
    done = finished("vision", folder, budget_s, ["cpu-torch", "cuda-torch-fp16", "cuda-torch-graph"])
    placed = sum(row.place is not None for row in done.ranking.rows)
    keep(done, out / "vision")
    count = len(done.ranking.rows)
    return [Figure("rows of the suite vision with a place", placed, "", count, count, count, note=said(done.ranking))]


def watched_energy(folder: Path, out: Path) -> list[Figure]:
    """Run one network under a policy on energy: its cold trials last long enough for the counter."""
    (folder / "energy.toml").write_text(ENERGY_SUITE)
    done = finished(str(folder / "energy.toml"), folder, None)
    keep(done, out / "energy")
    figures = []
    for cell in done.reader.cells:
        for cold in done.reader.cold(cell.name):
            found = cold.gpu.energy
            said = f"use {cold.gpu.utilisation}, memory {cold.gpu.memory_peak_mib} MiB"
            if found is not None:
                spent = found.energy
                said += f", {spent.joules:.1f} J by the counter, {spent.integrated_j} J by power, ±{found.relative:.1%}"
            value = float("nan") if found is None else found.millijoules
            n = 0 if found is None else found.inferences
            figures.append(Figure(f"energy, {cell.name} {cold.folder.name}", value, "mJ", n, 0.1, 10_000, note=said))
    figures[-1] = figures[-1]._replace(note=figures[-1].note + "\n" + said(done.ranking))
    return figures


def _row(row: Row, keys: Sequence[str]) -> str:
    """Describe a row: its status and its numbers."""
    shown = [f"{row.candidate}@{row.target}: {row.status}"]
    for key in keys:
        if (measure := row.metrics.get(key)) is not None:
            low, high = ("?" if end is None else f"{end:.4g}" for end in (measure.low, measure.high))
            shown.append(f"{key} {measure.value:.4g} [{low}, {high}] n={measure.n:,}")
    return "  ".join(shown)


def said(ranking: Ranking, keys: Sequence[str] = KEYS) -> str:
    """Describe a ranking: its rows with these numbers, why they stand there, its notes."""
    lines = []
    for row in ranking.rows:
        why = "; ".join(reason.message.splitlines()[0][:200] for reason in row.reasons[:3] if reason.message)
        lines.append(f"{row.place} {_row(row, keys)}\n    {why}")
    return "\n".join([*lines, *(f"· {note.message[:220]}" for note in ranking.notes)])


def keep(done: Done, out: Path) -> None:
    """Keep the records of one cold trial on the GPU, what NVML saw beside it, and the table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "ranking.json").write_bytes(msgspec.json.format(msgspec.json.encode(done.ranking), indent=1))
    for cell in done.reader.cells:
        folder = cold_folder(done.reader.folder, cell.name, 1)
        for name in ("job.json", "outcome.json", "events.jsonl", "telemetry.nvml.csv", "worker.log"):
            if (folder / name).exists() and cell.target.device != "cpu":
                (out / cell.name).mkdir(exist_ok=True)
                shutil.copyfile(folder / name, out / cell.name / name)
        log = folder / "worker.log"
        if not (folder / "outcome.json").exists() and log.exists():
            print(log.read_text(errors="replace")[-1500:], file=sys.stderr)
