"""Host times against torch.utils.benchmark, device times against triton.testing.do_bench, interleaved."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Case, Made, by_hand, free, made, on_device
from figure import Figure, median
from torch.utils import benchmark

from harness.scenarios.closed_loop import durations, timed
from harness.worker.trial import quiet_gc

CASES = (
    Case("resnet50", 1, "eager"),
    Case("resnet50", 64, "eager"),
    Case("cross_encoder", 1, "eager"),
    Case("resnet50", 1, "graph"),
    Case("cross_encoder", 1, "graph"),
)
ROUNDS, STRETCH_S = 12, 0.12


def host(folder: Path, out: Path) -> list[Figure]:
    """Compare the harness's p50 with torch.utils.benchmark's median of the same call written by hand (eager only)."""
    figures = []
    torch.set_num_threads(1)  # as torch.utils.benchmark does
    for case in (each for each in CASES if each.mode == "eager"):
        found = made(case)
        call, feeds = by_hand(found), cycle(found.feeds)
        timer = benchmark.Timer("call()", globals={"call": call})
        runs: dict[str, Callable[[], float]] = {
            "ours": lambda: _ours_s(found, feeds),  # noqa: B023 - called before the next case
            "theirs": lambda: timer.blocked_autorange(min_run_time=STRETCH_S).median,  # noqa: B023
        }
        with torch.inference_mode():
            pairs = _interleaved(runs)
        figures.append(_ratio(f"p50 ÷ torch.utils.benchmark, {case.name}, copied", pairs, 0.98, 1.02))
        free()
    return figures


def _ours_s(found: Made, feeds: Any) -> float:
    """Return the p50 of about a stretch of requests (s)."""
    session = found.copied
    with quiet_gc():
        first = float(np.median(durations(timed(session.infer, feeds, 5, session.clock)))) / 1e9
        count = max(10, round(STRETCH_S / first))
        return float(np.median(durations(timed(session.infer, feeds, count, session.clock)))) / 1e9


def device(folder: Path, out: Path) -> list[Figure]:
    """Compare the p50 of device times with do_bench's median, both after a flushed cache.

    do_bench queues calls behind its flush, so that the host may be ahead of the device by as much; a request of a
    service finds an idle device. A call that first waits for the device makes do_bench see what a request sees.
    """
    from triton.testing import do_bench

    figures = []
    for case in CASES:
        found = made(case)
        with torch.inference_mode():
            call, feeds = on_device(found, case.mode), found.flushed()

            def waiting() -> None:
                torch.cuda.synchronize()
                call()  # noqa: B023 - called before the next case

            runs: dict[str, Callable[[], float]] = {
                "ours": lambda: _device_s(found, feeds),  # noqa: B023
                "theirs": lambda: do_bench(waiting, warmup=20, rep=120, return_mode="median") / 1e3,
                "queued": lambda: do_bench(call, warmup=20, rep=120, return_mode="median") / 1e3,  # noqa: B023
            }
            pairs = _interleaved(runs)
        queued = [{"ours": pair["ours"], "theirs": pair["queued"]} for pair in pairs]
        figures.append(_ratio(f"device p50 ÷ do_bench of a waiting call, {case.name}", pairs, 0.98, 1.02))
        bound = (0.98, 1.02) if case.batch > 1 else (0.0, float("inf"))
        figures.append(_ratio(f"device p50 ÷ do_bench as it queues, {case.name}", queued, *bound))
        free()
    return figures


def _device_s(found: Made, feeds: Any) -> float:
    """Return the p50 of the device's own times over about a stretch of requests (s)."""
    session = found.resident
    first = float(np.median(durations(timed(session.infer, feeds, 5, session.clock)))) / 1e9
    count = max(20, round(STRETCH_S / first))
    with quiet_gc():
        timed(session.infer, feeds, count, session.clock)
    took = session.device_ns(count)
    assert len(took) == count and (took > 0).all(), "every request has a time on the device"
    return float(np.median(took)) / 1e9


def _interleaved(runs: dict[str, Callable[[], float]]) -> list[dict[str, float]]:
    """Run all ways in each round, in alternating order; the first round is not counted."""
    rounds = []
    for number in range(ROUNDS + 1):
        names = [*runs] if number % 2 else [*reversed(runs)]
        rounds.append({name: runs[name]() for name in names})
    return rounds[1:]


def _ratio(name: str, pairs: list[dict[str, float]], low: float, high: float) -> Figure:
    ours, theirs = ([pair[way] for pair in pairs] for way in ("ours", "theirs"))
    said = f"medians: {1e3 * np.median(ours):.4f} ms, {1e3 * np.median(theirs):.4f} ms"
    return median(name, [o / t for o, t in zip(ours, theirs, strict=True)], low, high, note=said)
