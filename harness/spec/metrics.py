"""The metric catalogue: key, unit, direction and meaning of every number that is reported.

It is open: the entry-point group `harness.metrics` adds metrics. A plug-in is an object with an attribute `metric`.
"""

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
START_PHASES: dict[str, str] = {
    "lost": "INITs that took too long, and were ended",
    "interpreter": "from the start of the process until its interpreter runs",
    "imports": "importing the runtime, and what asks for work, before the model",
    "load": "loading the model",
    "first": "from the loaded model to the first response",
    "second": "the second request",
    "init": "from the start of the process until it is ready for a request",
    "total": "from a request that finds no instance to its response",
}
"""Phases of a cold start. The first five follow one another, and add up to `total`."""
WARM: dict[str, str] = {
    "warm_invoke": "a request through the platform to an instance that is there",
    "warm_handler": "the handler's part of such a request",
    "warm_overhead": "such a request without the handler's part",
}
_THREE = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
START_PERCENTILES: dict[str, float] = {
    f"{name}_{short}_ms": p
    for name in (*(f"cold_{phase}" for phase in START_PHASES), *WARM)
    for short, p in _THREE.items()
}
"""Percentiles over the cold starts of a cell, and over the warm requests that follow them."""
LEVELS = PERCENTILES | DEVICE_PERCENTILES | START_PERCENTILES
"""All metrics that are percentiles over requests, or over starts."""

QUALITY = ("accuracy", "rmse", "output_max_abs_diff", "output_agreement", "fp32_agreement")
"""Metrics of the quality of predictions; those that plug-ins add are others."""
FRACTIONS = (
    *("accuracy", "output_agreement", "fp32_agreement"),
    *("cold_start_rate", "utilisation", "gpu_utilisation"),
)
"""Metrics that are between 0 and 1."""
_AT_MOST = "{:.1%} of inferences take at most this long"
_ON_DEVICE = "{:.1%} of inferences take the device at most this long, by its own events"


def _of_start(key: str, p: float) -> str:
    """Say what a percentile over starts means."""
    name = key.rsplit("_", 2)[0]
    return f"{p:.0%} take at most this long: {WARM.get(name) or START_PHASES[name.removeprefix('cold_')]}"


_METRICS = (
    *(Metric(key, "ms", "lower", "log", "scenario", _AT_MOST.format(p)) for key, p in PERCENTILES.items()),
    *(Metric(key, "ms", "lower", "log", "scenario", _ON_DEVICE.format(p)) for key, p in DEVICE_PERCENTILES.items()),
    *(Metric(key, "ms", "lower", "log", "cell", _of_start(key, p)) for key, p in START_PERCENTILES.items()),
    Metric("latency_mean_ms", "ms", "lower", "log", "scenario", "mean time of one inference; does not show the tail"),
    Metric("cold_start_rate", "", "lower", "linear", "scenario", "fraction of users' requests that start an instance"),
    Metric("throughput_per_s", "1/s", "higher", "log", "scenario", "inferences completed per second, kept busy"),
    Metric("capacity_per_s", "1/s", "higher", "log", "scenario", "highest rate at which a percentile keeps its limit"),
    Metric("capacity_holds_per_s", "1/s", "higher", "log", "scenario", "highest rate certified to keep that limit"),
    Metric("capacity_breaks_per_s", "1/s", "higher", "log", "scenario", "lowest rate certified to break that limit"),
    Metric("offered_per_s", "1/s", "none", "log", "scenario", "requests that were due per second, in an open loop"),
    Metric("utilisation", "", "none", "log", "scenario", "share of time that servers of an open loop were busy"),
    Metric("service_mean_ms", "ms", "lower", "log", "scenario", "mean time that a server of an open loop took a batch"),
    Metric("mean_batch_size", "", "none", "log", "scenario", "requests served at once, where they are batched"),
    Metric("lateness_p50_ms", "ms", "none", "linear", "scenario", "median of how late idle servers started a request"),
    Metric("lateness_p99_9_ms", "ms", "none", "linear", "scenario", "p99.9 of how late idle servers started a request"),
    Metric("lindley_error_p99_ms", "ms", "none", "linear", "scenario", "p99 of |latency - what a queue predicts|"),
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
    Metric("cost_per_month_usd", "USD", "lower", "log", "cell", "the bill of a month (30 days) of the users' requests"),
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
    import difflib  # for errors only

    options = sorted(known)
    begun = [option for option in options if option.startswith(word)]
    close = [found for some in (begun, options) for found in difflib.get_close_matches(word, some, n=1, cutoff=0.5)]
    if close:
        return f"did you mean '{close[0]}'?"
    return f"one of: {', '.join(options)}" if options else "none is known"
