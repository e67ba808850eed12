"""Verdicts on changes: worse, better, same within a margin, or ambiguous; the family of all verdicts in mind.

Of one family, all metrics of all rows, "worse" and "better" are told by Holm's procedure: with probability 1 - alpha
none of them is wrong. It is the family-wise rate that is bounded, not the false discovery rate of Benjamini and
Hochberg, because a single false "worse" stops a release or wakes somebody up. A change must also be beyond its margin:
what is certain, but too small to matter, is not told. "Same" is told by two one-sided tests at 5 % for each metric on
its own: a family-wise level there would only turn sameness into ambiguity.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from harness.score.changes import Change
from harness.score.records import Entry
from harness.score.verdicts import Verdict, Word
from harness.spec.metrics import lookup, split_key
from harness.spec.policy import Policy, keys_of
from harness.stats.change import half_width, holm, p_changed, p_differs

SAME_ALPHA = 0.05
DETECT = 0.05
"""A row is suspect as long as a worsening by so much, relative, is not ruled out."""
_RULED_OUT = 0.025
_MARGINS = {
    "latency_p50_ms": 0.02,
    "latency_p90_ms": 0.03,
    "latency_p95_ms": 0.03,
    "latency_p99_ms": 0.05,
    "latency_p99_9_ms": 0.10,
    "latency_mean_ms": 0.02,
    "device_p50_ms": 0.02,
    "throughput_per_s": 0.02,
    "cost_per_million_usd": 0.02,
    "load_ms": 0.10,
    "first_inference_ms": 0.10,
    "energy_per_inference_mj": 0.03,
    "artefact_mib": 0.01,
    "memory_peak_mib": 0.02,
    "gpu_memory_peak_mib": 0.02,
    "accuracy": 0.005,
    "output_agreement": 0.005,
    "fp32_agreement": 0.005,
}
_OTHER = 0.05
_ALWAYS = (
    *("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "load_ms", "memory_peak_mib", "gpu_memory_peak_mib"),
    *("artefact_mib", "accuracy", "rmse"),
)


def margin_of(key: str, given: Mapping[str, float]) -> float:
    """Return up to which change a metric is the same: relative, or a difference where its scale is linear."""
    name = split_key(key)[1]
    return given.get(key, given.get(name, _MARGINS.get(name, _OTHER)))


def judged_metrics(policy: Policy, entries: Iterable[Entry], only: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the metrics to judge: `only` these where given, else the policy's and a few that every run has."""
    found = dict.fromkeys(key for entry in entries for key in entry.metrics if lookup(key).better != "none")
    own = set(keys_of(policy))
    return tuple(key for key in found if (key in only if only else key in own or split_key(key)[1] in _ALWAYS))


def judge(changes: Mapping[tuple[str, str], Change], margins: Mapping[str, float], alpha: float) -> list[Verdict]:
    """Judge changes, by (row, metric), as one family."""
    known = [of for of, change in changes.items() if not change.unknown]
    p = {of: p_changed(changes[of].effect, changes[of].parts) for of in known}
    adjusted = dict(zip(known, holm([p[of] for of in known]).tolist(), strict=True))
    return [
        _judged(of, change, margin_of(of[1], margins), p.get(of), adjusted.get(of), alpha)
        for of, change in changes.items()
    ]


def _judged(
    of: tuple[str, str], change: Change, margin: float, p: float | None, adjusted: float | None, alpha: float
) -> Verdict:
    row, key = of
    metric, allowed = lookup(key), _as_effect(margin, change)
    word, why = _word(change, allowed, adjusted, alpha, metric.better == "lower")
    low, high = _interval(change)
    return Verdict(
        row=row,
        metric=key,
        verdict=word,
        unit=metric.unit,
        base=change.base,
        new=change.new,
        change=None if math.isnan(change.effect) else _shown(change.effect, change),
        low=low,
        high=high,
        relative=change.log,
        margin=margin,
        basis=change.basis,
        n=change.n,
        p=p,
        p_adjusted=adjusted,
        suspect=_is_suspect(change, allowed, metric.better == "lower"),
        why=why,
    )


def _word(
    change: Change, allowed: float, adjusted: float | None, alpha: float, lower_is_better: bool
) -> tuple[Word, str]:
    """Return the verdict, and why it is ambiguous."""
    if change.unknown or adjusted is None:
        return "ambiguous", change.unknown
    if p_differs(change.effect, change.parts, allowed) < SAME_ALPHA:
        return "same", ""
    if adjusted < alpha and abs(change.effect) > allowed:
        return ("worse" if (change.effect > 0.0) == lower_is_better else "better"), ""
    if adjusted < alpha:
        return "ambiguous", "changed, but perhaps by less than the margin"
    return "ambiguous", "neither a change nor sameness is shown"


def _is_suspect(change: Change, allowed: float, lower_is_better: bool) -> bool:
    """Whether measuring again is needed to rule out a worsening that matters."""
    if change.unknown or change.basis in ("rows", "exact"):
        return False
    matters = max(allowed, math.log1p(DETECT)) if change.log else allowed
    worsening = change.effect if lower_is_better else -change.effect
    return worsening + half_width(change.parts, _RULED_OUT) > matters


def _as_effect(margin: float, change: Change) -> float:
    """Return a margin in the unit of the effect: relative ones on logarithms."""
    return math.log1p(margin) if change.log else margin


def _interval(change: Change) -> tuple[float | None, float | None]:
    if change.unknown:
        return None, None
    half = half_width(change.parts, _RULED_OUT) if change.parts else 0.0
    return _shown(change.effect - half, change), _shown(change.effect + half, change)


def _shown(effect: float, change: Change) -> float:
    """Return an effect as it is shown: relative where it is one of logarithms."""
    return math.expm1(min(effect, 700.0)) if change.log else effect
