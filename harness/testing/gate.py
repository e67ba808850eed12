"""One cell, measured by the real pipeline and judged against bounds that were given before it was measured.

The number of trials is fixed before measuring, and nothing is measured again because of how it came out: looking again
until a bound holds would make any bound hold.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import SpecError
from harness.evidence.files import write_json
from harness.evidence.run import RunRecord
from harness.pipeline.conclude import RankedRun
from harness.pipeline.request import Request, open_new, seconds
from harness.pipeline.run import run
from harness.score.records import Measure, Row
from harness.score.words import measured, short_name, text_of
from harness.spec.check import check_policy
from harness.spec.metrics import nearest
from harness.spec.policy import Limit, Objective, Policy

_OBJECTIVE = {"latency_p50_ms": Objective(weight=1.0, target=0.001, limit=100_000.0)}
"""A policy needs an objective; with one row it decides nothing."""


class Asked(NamedTuple):
    """What is to be measured and how it is to be judged; a `model` is a file, or a candidate of `suite`."""

    model: str
    target: str
    at_most: Mapping[str, float]
    at_least: Mapping[str, float]
    suite: str | None = None
    inputs: Path | None = None
    dims: Mapping[str, int] = {}
    trials: int = 8
    budget: str = "30s"
    confidence: float = 0.95


class Verdict(NamedTuple):
    """What became of the bounds: all hold for certain, one certainly does not, or the evidence cannot tell.

    `lines` say why. `metrics` are the measured values with their intervals, by metric key. `folder` is the run's.
    """

    kind: str
    lines: tuple[str, ...]
    metrics: Mapping[str, Measure]
    folder: Path


HOLDS, BROKEN, CANNOT_TELL = "holds", "broken", "cannot tell"


def gate(asked: Asked, out: Path) -> Verdict:
    """Measure a cell and judge it; evidence is kept under `out`.

    Raises SpecError if what is asked cannot be right, BusyError if another run is measuring on this machine.
    """
    policy = policy_of(asked)
    folder, record = open_new(_request(asked, out))
    record = _narrowed(record, asked, policy)
    check_policy(policy, "harness_cell", [scenario.name for scenario in record.suite.scenario])
    write_json(folder / "run.json", record)
    return verdict(run(folder, record))


def policy_of(asked: Asked) -> Policy:
    """Turn bounds into a policy. Raises SpecError if there are none, or one is no number."""
    both = [*asked.at_most.items(), *asked.at_least.items()]
    if not both:
        raise SpecError("harness_cell", "no bound is given", 'say for instance at_most={"latency_p99_ms": 20}')
    for key, bound in both:
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise SpecError("harness_cell", f"{key}: {bound!r} is no number", "give it in the metric's unit")
    keys = dict.fromkeys(key for key, _ in both)
    limits = {key: Limit(min=asked.at_least.get(key), max=asked.at_most.get(key)) for key in keys}
    return Policy(limits=limits, objectives=_OBJECTIVE, confidence=asked.confidence)


def _request(asked: Asked, out: Path) -> Request:
    dims = tuple(f"{name}={size}" for name, size in asked.dims.items())
    what: Sequence[str] = [asked.suite or asked.model]
    return Request(what, [asked.target], out, seconds(asked.budget), dims=dims, rows=asked.inputs)


def _narrowed(record: RunRecord, asked: Asked, policy: Policy) -> RunRecord:
    """Leave one candidate in a run that is not begun yet; fix its number of trials, and its policy."""
    suite = record.suite
    kept = suite.candidate
    if asked.suite is not None:
        kept = tuple(candidate for candidate in kept if candidate.name == asked.model)
        names = [candidate.name for candidate in suite.candidate]
        if not kept:
            raise SpecError("harness_cell", f"{asked.suite} has no '{asked.model}'", nearest(asked.model, names))
    budget = msgspec.structs.replace(suite.budget, trials=asked.trials, max_trials=asked.trials, race="off")
    reference = suite.reference if suite.reference == kept[0].name else None
    changed = msgspec.structs.replace(suite, candidate=kept, reference=reference, budget=budget, policy=policy)
    return msgspec.structs.replace(record, suite=changed, synthetic_policy=False)


def verdict(ranked: RankedRun) -> Verdict:
    """Judge the only row of a run by its policy's limits."""
    (row,) = ranked.ranking.rows
    told = tuple(_told(row, key, ranked.policy) for key in ranked.policy.limits)
    lines = (*(text_of(reason) for reason in row.reasons if reason.code != "best_score"), *told)
    return Verdict(_kind(row), lines, row.metrics, ranked.folder)


def _kind(row: Row) -> str:
    codes = {reason.code for reason in row.reasons}
    if row.status == "failed" or "limit_broken" in codes:
        return BROKEN
    return HOLDS if row.eligible and row.status == "measured" else CANNOT_TELL


def _told(row: Row, key: str, policy: Policy) -> str:
    """Say of one bound what was measured, and how likely it holds."""
    limit, measure = policy.limits[key], row.metrics.get(key)
    ends = [f"{word} {end:g}" for word, end in (("at least", limit.min), ("at most", limit.max)) if end is not None]
    bound = f"{short_name(key)} {' and '.join(ends)}"
    if measure is None:
        return f"{bound}: not measured"
    p = row.limits.get(key)
    chance = "P(holds) not known yet" if p is None else f"P(holds) = {p:.3g}, {policy.confidence:g} is asked for"
    return f"{bound}: {measured(measure, key)}, {measure.trials} trials; {chance}"
