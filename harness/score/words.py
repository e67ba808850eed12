"""How metrics and numbers are said: short names, units, as many digits as a reader needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.score.records import Entry, Measure, Row
from harness.spec.metrics import lookup, split_key

_SHORT = {
    "latency_p50_ms": "p50",
    "latency_p90_ms": "p90",
    "latency_p95_ms": "p95",
    "latency_p99_ms": "p99",
    "latency_p99_9_ms": "p99.9",
    "latency_mean_ms": "mean latency",
    "throughput_per_s": "throughput",
    "load_ms": "load time",
    "first_inference_ms": "first inference",
    "warm_up_inferences": "warm-up",
    "memory_baseline_mib": "baseline memory",
    "memory_loaded_mib": "loaded memory",
    "memory_peak_mib": "peak memory",
    "artefact_mib": "artefact size",
    "rmse": "RMSE",
    "output_max_abs_diff": "output difference",
    "output_agreement": "agreement",
    "cost_per_million_usd": "cost per million",
}
_WORSE = (
    ("latency_", "slower"),
    ("load_", "slower to load"),
    ("first_inference_", "slower at first"),
    ("throughput_", "lower in throughput"),
    ("cost_", "dearer"),
    ("memory_", "hungrier for memory"),
    ("artefact_", "larger on disk"),
    ("accuracy", "less accurate"),
)


def name_of(row: Entry | Row) -> str:
    """Name a row as `candidate@target`, as its folder is."""
    return f"{row.candidate}@{row.target}"


def short_name(key: str) -> str:
    """Name a metric in a word or two: `p99`, `p99 (offline)`, `peak memory`."""
    scenario, metric = split_key(key)
    short = _SHORT.get(metric, metric.replace("_", " "))
    return f"{short} ({scenario})" if scenario else short


def worse_word(key: str) -> str:
    """Say in a word what a row is that is worse in this metric: `slower`, `dearer`."""
    metric = split_key(key)[1]
    return next((word for start, word in _WORSE if metric.startswith(start)), f"worse in {short_name(key)}")


def number(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits, without exponent from 1e-4 to 1e15."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if abs(value) >= 1e15 or abs(value) < 1e-4:
        return f"{value:.{digits}g}"
    text = f"{value:.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_unit(text: str, key: str) -> str:
    """Append the metric's unit, if it has one."""
    unit = lookup(key).unit
    return f"{text} {unit}" if unit else text


def against(measure: Measure, bound: float, key: str) -> tuple[str, str]:
    """Write a value with its interval, and a bound, with enough digits to see that they differ."""
    digits = 3
    while digits < 12 and measure.value != bound and number(measure.value, digits) == number(bound, digits):
        digits += 1
    value = with_unit(number(measure.value, digits), key)
    return value + interval(measure, digits), with_unit(number(bound, digits), key)


def interval(measure: Measure, digits: int = 3) -> str:
    """Write ` [low, high]` with `?` for an end that is not known; nothing where there is no spread."""
    if measure.low is None and measure.high is None:
        return ""
    if measure.low == measure.high:
        return ""
    low, high = ("?" if end is None else number(end, digits) for end in (measure.low, measure.high))
    return f" [{low}, {high}]"


def listed(words: Iterable[str], most: int = 3) -> str:
    """Join words as `a, b and c`; beyond `most`, say how many more there are."""
    names: Sequence[str] = tuple(words)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))


def chance(p: float | None) -> str:
    """Write a probability as `P = 0.61`; near 0 and 1 as a bound rather than a false certainty."""
    if p is None:
        return "P not known"
    if p > 0.999 or p < 0.001:
        return "P > 0.999" if p > 0.5 else "P < 0.001"
    return f"P = {math.floor(p * 1000) / 1000:.3f}" if p > 0.99 else f"P = {p:.2f}"


def percent(share: float) -> str:
    """Write a share as a whole percentage; `<1 %` and `>99 %` rather than a false 0 or 100."""
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 < share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")
