"""Builders of entries with honest intervals, so that tests name only what they are about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import special

from harness.score.records import Entry, Measure, RowScores
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import lookup
from harness.spec.policy import Limit, Objective, Policy


def between(key: str, trials: Sequence[float], n: int = 5000) -> Measure:
    """The geometric mean of positive trials (arithmetic on a linear metric) with Student's t interval."""
    values = np.array([value for value in trials if not math.isnan(value)])
    log = lookup(key).scale == "log"
    scaled = np.log(values) if log else values
    back = math.exp if log else float
    k, unit = len(values), lookup(key).unit
    if k == 1:
        return Measure(value=float(values[0]), low=None, high=None, n=n, trials=1, unit=unit)
    half = special.stdtrit(k - 1, 0.975) * scaled.std(ddof=1) / math.sqrt(k)
    low, value, high = (float(back(scaled.mean() + step)) for step in (-half, 0.0, half))
    return Measure(value=value, low=low, high=high, n=n * k, trials=k, unit=unit)


def of_rows(correct: np.ndarray) -> Measure:
    share = float(np.mean(correct))
    half = 1.96 * math.sqrt(share * (1 - share) / len(correct))
    return Measure(value=share, low=share - half, high=share + half, n=len(correct), trials=3, unit="", basis="rows")


class Make:
    """What tests are made from."""

    between = staticmethod(between)
    of_rows = staticmethod(of_rows)

    @staticmethod
    def entry(
        name: str,
        trials: Mapping[str, Sequence[float]] | None = None,
        exact: Mapping[str, float] | None = None,
        correct: np.ndarray | None = None,
        **more: object,
    ) -> Entry:
        metrics = {key: between(key, values) for key, values in (trials or {}).items()}
        for key, value in (exact or {}).items():
            metrics[key] = Measure(
                value=value, low=value, high=value, n=1, trials=1, unit=lookup(key).unit, basis="exact"
            )
        if correct is not None:
            metrics["accuracy"] = of_rows(correct)
        metrics.update(more.pop("metrics", {}))
        more_rows = more.pop("rows", {})
        said = [diagnostic(code, text) for code, text in more.pop("said", {}).items()]
        fields = {"target": "cpu", "status": "measured", "diagnostics": tuple(said)} | more
        kept = {key: tuple(values) for key, values in (trials or {}).items()}
        rows = {} if correct is None else {"accuracy": RowScores(values=np.asarray(correct, dtype=float))}
        return Entry(candidate=name, metrics=metrics, trials=kept, rows=rows | more_rows, **fields)

    @staticmethod
    def texts(diagnostics: Sequence[Diagnostic]) -> tuple[str, ...]:
        """The messages alone."""
        return tuple(each.message for each in diagnostics)

    @staticmethod
    def codes(diagnostics: Sequence[Diagnostic]) -> list[str]:
        return [each.code for each in diagnostics]

    @staticmethod
    def right(n: int, wrong: Sequence[int] = ()) -> np.ndarray:
        """A correctness vector of n rows that is wrong on the given rows."""
        correct = np.ones(n, dtype=bool)
        correct[list(wrong)] = False
        return correct


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The policy of DESIGN.md."""
    return Policy(
        limits={"accuracy": Limit(min=0.95), "latency_p99_ms": Limit(max=5)},
        objectives={
            "latency_p99_ms": Objective(weight=3, target=0.5, limit=5),
            "cost_per_million_usd": Objective(weight=2, target=0.05, limit=2),
            "accuracy": Objective(weight=3, target=0.99, limit=0.95),
        },
    )


@pytest.fixture(scope="session")
def fastest() -> Policy:
    """A single positive objective."""
    return Policy(objectives={"latency_p50_ms": Objective(weight=1, target=0.1, limit=10)})
