"""Open loops on a GPU: one thread and several, batches, and the highest rate within a limit, in a whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cases import BUILDERS
from figure import Figure
from whole import finished, keep, said

TARGETS = ("cuda-torch-fp16", "cuda-torch-graph")
OPEN = {
    "one": "",
    "two": "serving_threads = 2",
    "four": "serving_threads = 4",
    "batches": "max_batch = 8\nmax_wait_ms = 2",
}
"""Scenarios of kind `server` at half of what a row can do: how requests are served."""
CAPACITY = "peak.capacity_per_s"
SUITE = """
description = "one network under load"
targets = {targets}
[dataset.synthetic]
rows = 4
[[candidate]]
name = "resnet50"
builder = "{builder}"
[[scenario]]
name = "alone"
kind = "single_stream"
seconds = 0.5
{scenarios}
[[scenario]]
name = "peak"
kind = "capacity"
limit_ms = 50
seconds = 3
[budget]
seconds = {budget_s}
trials = 3
[policy.objectives]
latency_p50_ms = {{ weight = 1, target = 0.1, limit = 1000 }}
"{capacity}" = {{ weight = 1, target = 10000, limit = 1 }}
{objectives}
"""
SCENARIO = """[[scenario]]
name = "{name}"
kind = "server"
utilisation = 0.5
seconds = 1
{how}
"""


def suite(budget_s: float, builder: str = f"{BUILDERS}:resnet50") -> str:
    """Write the suite: a network alone, under every open loop, and its capacity."""
    return SUITE.format(
        builder=builder,
        targets=json.dumps(TARGETS),
        budget_s=budget_s,
        capacity=CAPACITY,
        scenarios="".join(SCENARIO.format(name=name, how=how) for name, how in OPEN.items()),
        objectives="\n".join(f'"{_p99(name)}" = {{ weight = 1, target = 0.1, limit = 1000 }}' for name in OPEN),
    )


def serving(folder: Path, out: Path, budget_s: float = 60.0, targets: Sequence[str] = TARGETS) -> list[Figure]:
    """Run it; each row must have a latency in every open loop, and a capacity."""
    path = folder / "load.toml"
    path.write_text(suite(budget_s))
    done = finished(str(path), folder, None, targets)
    keep(done, out / "serving")
    keys = ("latency_p50_ms", "device_p50_ms", *map(_p99, OPEN), CAPACITY)
    wanted = {*map(_p99, OPEN), CAPACITY}
    missing = {f"{row.candidate}@{row.target}": sorted(wanted - {*row.metrics}) for row in done.ranking.rows}
    complete, count = sum(not lacks for lacks in missing.values()), len(missing)
    note = f"missing: {missing}\n{said(done.ranking, keys)}"
    return [
        Figure("rows with a latency in every open loop, and capacity", complete, "", count, count, count, note=note)
    ]


def _p99(name: str) -> str:
    return f"{name}.latency_p99_ms"
