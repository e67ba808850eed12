"""The metric catalogue: key, unit, direction and meaning of every number that is reported.

It is open: the entry-point group `harness.metrics` adds metrics. A plug-in is an object with an attribute `metric`.
"""

import difflib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from harness.spec import plugins

Direction = Literal["lower", "higher", "none"]
Scale = Literal["log", "linear"]
Scope = Literal["scenario", "cell"]


class Metric(NamedTuple):
    """A named number: its unit, which direction is better, the natural scale, and what it means."""

    key: str
    unit: str
    better: Direction
    scale: Scale
    scope: Scope
    meaning: str


PERCENTILES: dict[str, float] = {
    "latency_p50_ms": 0.50,
    "latency_p90_ms": 0.90,
    "latency_p95_ms": 0.95,
    "latency_p99_ms": 0.99,
    "latency_p99_9_ms": 0.999,
}
DEVICE_PERCENTILES: dict[str, float] = {"device_p50_ms": 0.50, "device_p99_ms": 0.99}
"""Percentiles of what requests took on a device, by its own events, where a runtime has such."""
LEVELS = PERCENTILES | DEVICE_PERCENTILES
"""All metrics that are percentiles over requests."""

_AT_MOST = "{:.1%} of inferences take at most this long"
_ON_DEVICE = "{:.1%} of inferences take the device at most this long, by its own events"
_METRICS = (
    *(Metric(key, "ms", "lower", "log", "scenario", _AT_MOST.format(p)) for key, p in PERCENTILES.items()),
    *(Metric(key, "ms", "lower", "log", "scenario", _ON_DEVICE.format(p)) for key, p in DEVICE_PERCENTILES.items()),
    Metric("latency_mean_ms", "ms", "lower", "log", "scenario", "mean time of one inference; does not show the tail"),
    Metric("throughput_per_s", "1/s", "higher", "log", "scenario", "inferences completed per second, kept busy"),
    Metric("best_batch_size", "", "none", "linear", "scenario", "batch size with the highest throughput"),
    Metric("load_ms", "ms", "lower", "log", "cell", "from artefact on disk to a session that can be called"),
    Metric("first_inference_ms", "ms", "lower", "log", "cell", "the first inference after loading"),
    Metric("warm_up_inferences", "", "lower", "log", "cell", "inferences until two windows of samples agreed"),
    Metric("memory_baseline_mib", "MiB", "lower", "log", "cell", "resident after importing the runtime"),
    Metric("memory_loaded_mib", "MiB", "lower", "log", "cell", "resident after loading the model"),
    Metric("memory_peak_mib", "MiB", "lower", "log", "cell", "peak resident, runtime included, without the inputs"),
    Metric("memory_anon_mib", "MiB", "lower", "log", "cell", "anonymous memory in use after measuring, without inputs"),
    Metric("memory_pss_mib", "MiB", "lower", "log", "cell", "memory in use; a page that n processes share counts 1/n"),
    Metric("gpu_memory_peak_mib", "MiB", "lower", "log", "cell", "peak of the process on the GPU, context included"),
    Metric(
        "gpu_utilisation", "", "none", "linear", "cell", "share of time in which any kernel ran, as NVML samples it"
    ),
    Metric(
        "energy_per_inference_mj",
        "mJ",
        "lower",
        "log",
        "cell",
        "counted energy ÷ inferences, kept busy: of the GPU, or of all CPU packages (RAPL)",
    ),
    Metric("artefact_mib", "MiB", "lower", "log", "cell", "size on disk of the artefact that ran"),
    Metric("accuracy", "", "higher", "linear", "cell", "fraction of dataset rows whose top-1 class is the label"),
    Metric("rmse", "", "lower", "log", "cell", "root mean squared error against the labels"),
    Metric("output_max_abs_diff", "", "lower", "log", "cell", "largest output difference to the reference"),
    Metric("output_agreement", "", "higher", "linear", "cell", "fraction of rows with the reference's top-1 class"),
    Metric(
        "fp32_agreement", "", "higher", "linear", "cell", "fraction of rows with the candidate's top-1 class in fp32"
    ),
    Metric("cost_per_million_usd", "USD", "lower", "log", "cell", "price × occupied time of a million inferences"),
)
CATALOGUE: dict[str, Metric] = {metric.key: metric for metric in _METRICS}


def split_key(key: str) -> tuple[str | None, str]:
    """Split `scenario.metric` into its two names; the scenario is None for a plain key."""
    scenario, dot, name = key.rpartition(".")
    return (scenario if dot else None), name


def lookup(key: str) -> Metric:
    """Return the metric of `key` (`metric` or `scenario.metric`): built in, or a plug-in's `Metric` or `RowMetric`.

    Raises KeyError if there is no such metric. Raises ImportError if the plug-in that adds it cannot be imported.
    """
    name = split_key(key)[1]
    if name in CATALOGUE or name not in plugins.names("metrics"):
        return CATALOGUE[name]
    plugin = plugins.load("metrics", name)
    found: Metric = getattr(plugin, "metric", plugin)
    return found


def metric_names() -> tuple[str, ...]:
    """Return the keys of all metrics, those of plug-ins last."""
    return tuple(dict.fromkeys((*CATALOGUE, *plugins.names("metrics"))))


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word is meant, as a phrase for an error message."""
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"one of: {', '.join(options)}" if options else "none is known"
