"""Texts for metrics, numbers and diagnostics: short names, units, significant digits."""

import math
from collections.abc import Iterable

from harness.score.records import Entry, Measure, More, Row
from harness.spec.diagnostics import Diagnostic
from harness.spec.metrics import START_PERCENTILES, lookup, split_key

_SHORT = {
    **{key: key.removesuffix("_ms").replace("_", " ") for key in START_PERCENTILES},
    "latency_p50_ms": "p50",
    "latency_p90_ms": "p90",
    "latency_p95_ms": "p95",
    "latency_p99_ms": "p99",
    "latency_p99_9_ms": "p99.9",
    "latency_mean_ms": "mean latency",
    "device_p50_ms": "p50 on the device",
    "device_p99_ms": "p99 on the device",
    "throughput_per_s": "throughput",
    "capacity_per_s": "capacity",
    "capacity_holds_per_s": "rate that holds",
    "capacity_breaks_per_s": "rate that breaks",
    "offered_per_s": "offered",
    "service_mean_ms": "mean service time",
    "lateness_p50_ms": "lateness p50",
    "lateness_p99_9_ms": "lateness p99.9",
    "lindley_error_p99_ms": "Lindley error p99",
    "load_ms": "load time",
    "first_inference_ms": "first inference",
    "warm_up_inferences": "warm-up",
    "memory_baseline_mib": "baseline memory",
    "memory_loaded_mib": "loaded memory",
    "memory_peak_mib": "peak memory",
    "memory_anon_mib": "anonymous memory",
    "memory_pss_mib": "PSS memory",
    "gpu_memory_peak_mib": "peak GPU memory",
    "gpu_utilisation": "GPU utilisation",
    "energy_per_inference_mj": "energy per inference",
    "artefact_mib": "artefact size",
    "rmse": "RMSE",
    "output_max_abs_diff": "output difference",
    "output_agreement": "agreement",
    "fp32_agreement": "agreement with fp32",
    "cost_per_million_usd": "cost per million",
    "cost_per_month_usd": "cost per month",
}
_WORSE = (
    ("latency_", "slower"),
    ("cold_start_rate", "more often cold"),
    ("cold_", "slower to start"),
    ("warm_invoke", "slower through the platform"),
    ("device_", "slower on the device"),
    ("load_", "slower to load"),
    ("first_inference_", "slower in the first inference"),
    ("throughput_", "lower in throughput"),
    ("capacity_", "lower in capacity"),
    ("cost_", "more expensive"),
    ("memory_", "higher in memory use"),
    ("gpu_memory_", "higher in GPU memory use"),
    ("energy_", "higher in energy"),
    ("artefact_", "larger on disk"),
    ("accuracy", "less accurate"),
)


def name_of(row: Entry | Row) -> str:
    """Name a row as `candidate@target`, as its folder is."""
    return f"{row.candidate}@{row.target}"


def short_name(key: str) -> str:
    """Give a metric's short name: `p99`, `p99 (offline)`, `peak memory`."""
    scenario, metric = split_key(key)
    short = _SHORT.get(metric, metric.replace("_", " "))
    return f"{short} ({scenario})" if scenario else short


def worse_word(key: str) -> str:
    """Describe a row that is worse in this metric: `slower`, `more expensive`."""
    metric = split_key(key)[1]
    return next((word for start, word in _WORSE if metric.startswith(start)), f"worse in {short_name(key)}")


def text_of(of: Diagnostic) -> str:
    """Give the message of a diagnostic; a warning is marked as one."""
    return f"warning: {of.message}" if of.severity == "warning" else of.message


def number(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits, without exponent from 1e-4 to 1e15."""
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{value:.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount(value: float, key: str, digits: int = 3) -> str:
    """Write a number with the metric's unit, if it has one."""
    return f"{number(value, digits)} {lookup(key).unit}".rstrip()


def measured(measure: Measure, key: str, digits: int = 3) -> str:
    """Write a value with its unit and interval."""
    return amount(measure.value, key, digits) + interval(measure, digits)


def against(measure: Measure, bound: float, key: str) -> tuple[str, str]:
    """Write a value with its interval, and a bound, with enough digits to show that they differ."""
    digits = 3
    while digits < 12 and measure.value != bound and number(measure.value, digits) == number(bound, digits):
        digits += 1
    return measured(measure, key, digits), amount(bound, key, digits)


def interval(measure: Measure, digits: int = 3) -> str:
    """Write ` [low, high]` with `?` for an end that is not known; nothing where there is no spread."""
    if measure.low is not None and measure.low == measure.high:
        return ""
    low, high = ("?" if end is None else number(end, digits) for end in (measure.low, measure.high))
    return f" [{low}, {high}]"


def listed(words: Iterable[str], most: int = 3) -> str:
    """Join words as `a, b and c`; beyond `most`, give the number of the others."""
    names = tuple(words)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def chance(p: float | None) -> str:
    """Write a probability as `P = 0.61`; near 0 and 1 as a bound, because it is not certain."""
    if p is None:
        return "P not known"
    if p > 0.999 or p < 0.001:
        return "P > 0.999" if p > 0.5 else "P < 0.001"
    return f"P = {math.floor(p * 1000) / 1000:.3f}" if p > 0.99 else f"P = {p:.2f}"


def percent(fraction: float, digits: int | None = None) -> str:
    """Write a fraction as a percentage, whole unless `digits` are wanted behind the point.

    As a whole one, it is `0 %` and `100 %` only where it is exactly that.
    """
    if digits is not None:
        return f"{100 * fraction:.{digits}f} %"
    if 0 < fraction <= 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= fraction < 1 else percent(fraction, 0)


def needs(more: More, seconds: float | None = None) -> str:
    """Write what is missing, as `about 420 more requests, 4 min`; empty where nothing is known to help."""
    amounts = (
        (more.requests, "request"),
        (more.rows, "labelled row"),
        (more.starts, "cold start"),
        (more.blocks, "block"),
    )
    count, unit = next(((count, unit) for count, unit in amounts if count is not None), (None, ""))
    if count is None:
        return ""
    time = f", {duration(seconds)}" if seconds is not None and more.blocks is not None else ""
    return f"about {rounded(count):,} more {unit}{'' if count == 1 else 's'}{time}"


def rounded(count: int) -> int:
    """Round up to two significant digits: an estimate has no more."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // step) * step


def duration(seconds: float) -> str:
    """Write a duration as `40 s`, `4 min` or `2.5 h`, rounded up."""
    if seconds <= 90:
        return f"{max(1, math.ceil(seconds))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 6) / 10:g} h"
