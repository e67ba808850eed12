"""How many arrivals an open loop takes, and how well a queue predicts percentiles under load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from figure import Figure, median
from inprocess import NAME, onnx, ours
from runs import finished

from harness.analyse.foretold import foretold
from harness.scenarios.server import Server

_FLOOD_PER_S, _FLOOD_S, _FLOODS = 2_000_000.0, 0.2, 5
KEYS = ("latency_p50_ms", "latency_p90_ms", "latency_p99_ms")
_SUITE = """
description = "a closed loop predicts open loops"
targets = ["cpu-onnx-1t"]
[dataset]
builder = "harness.suites.digits.data:load"
[[candidate]]
name = "{candidate}"
path = "{path}"
[[scenario]]
name = "single"
kind = "single_stream"
seconds = 2
{loads}
[budget]
seconds = {budget_s}
max_trials = {trials}
race = "off"
[policy.objectives]
latency_p99_ms = {{ weight = 1, target = 0.01, limit = 100 }}
"""
_LOAD = """
[[scenario]]
name = "load{percent}"
kind = "server"
utilisation = {share}
seconds = 3
"""
UTILISATIONS = (0.3, 0.5, 0.7)


def arrivals(folder: Path) -> list[Figure]:
    """Offer more arrivals than one thread can take to a model that does nothing."""
    subject = onnx(folder)
    subject.session.infer = lambda feed: None
    flood = Server(name=NAME, rate_per_s=_FLOOD_PER_S, arrivals="constant", seconds=_FLOOD_S)
    with subject.session.scope():
        found = [ours(subject, flood).per_s for _ in range(_FLOODS)]
    return [median("arrivals into a model that does nothing, one thread", found, 100_000, float("inf"), "1/s")]


def prediction(folder: Path, candidate: str = "cnn-wide", trials: int = 5, budget_s: float = 80.0) -> list[Figure]:
    """Predict percentiles at several loads of a model of the suite `digits`, in a real run, and compare."""
    path = Path("suites/digits").absolute() / f"{candidate}.pt2"
    loads = "".join(_LOAD.format(percent=round(100 * share), share=share) for share in UTILISATIONS)
    suite = folder / "prediction.toml"
    given = {"candidate": candidate, "path": path, "loads": loads, "budget_s": budget_s, "trials": trials}
    suite.write_text(_SUITE.format(**given), encoding="utf-8")
    done = finished([str(suite)], folder, None)
    figures = []
    for key in KEYS:
        for each in foretold(done.reader, key):
            where = f"{candidate} at {each.rate_per_s:,.0f}/s ({each.utilisation:.0%} busy): predicted {key} ÷ measured"
            band = (0.9, 1.1) if key == "latency_p99_ms" else (0.0, float("inf"))
            note = f"{each.requests:,} requests; from {' and '.join(each.source)} {np.median(each.rest):.3g} x"
            figures.append(median(where, each.own, *band, "x", note))
    return figures
