"""What a run could have told apart, in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.analyse.sensitivity import sensitivity
from harness.score.rank import rank
from harness.score.records import Entry, Measure
from harness.spec.policy import Objective, Policy

P99 = "latency_p99_ms"
POLICY = Policy(objectives={P99: Objective(weight=1, target=0.1, limit=10)})


def entries(spread, blocks=6, rows=8, seed=1, slower=1.0):
    """Rows that drift together; `slower` is how much longer the last one takes."""
    rng = np.random.default_rng(seed)
    drift = np.exp(0.3 * rng.standard_normal(blocks))
    values = [drift * np.exp(spread * rng.standard_normal(blocks)) for _ in range(rows)]
    return [entry(f"c{i}", v * (slower if i == rows - 1 else 1.0)) for i, v in enumerate(values)]


def entry(name, values):
    value = float(np.exp(np.log(values).mean()))
    measure = Measure(value=value, low=value / 2, high=value * 2, n=5000, trials=len(values), unit="ms")
    return Entry(candidate=name, target="t", status="measured", metrics={P99: measure}, trials={P99: tuple(values)})


def test_it_says_what_is_found_and_what_a_finer_answer_takes():
    found = sensitivity(entries(0.02), POLICY)
    data = found.data
    assert found.message == (
        f"6 blocks tell any two of 8 rows apart that differ by {data['ratio']:.1%} in p99, in 90% of runs; "
        f"2% would take about {data['wanted_blocks']}"
    )
    assert (found.code, data["metric"], data["blocks"], data["rows"]) == ("sensitivity", P99, 6, 8)
    assert 0.03 < data["ratio"] < 0.09  # spread of a difference 2.8 %, six blocks
    assert data["wanted_blocks"] > 6


def test_two_rows_are_the_plain_paired_t_test():
    """A difference of that size is found with 90 % power by a two-sided test at 5 %."""
    two = entries(0.02, blocks=8, rows=2)
    ratio = sensitivity(two, POLICY).data["ratio"]
    logs = np.log(two[0].trials[P99]) - np.log(two[1].trials[P99])
    error, critical = logs.std(ddof=1) / math.sqrt(8), stats.t.ppf(0.975, 7)
    assert 1 - stats.nct.cdf(critical, 7, math.log1p(ratio) / error) == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("rows", [2, 12])
def test_the_ranking_finds_what_is_said_to_be_found(rows):
    """The last row is slower by what the run itself says it finds; the ranking tells it from each other row."""
    told, pairs = 0, 0
    for seed in range(60):
        ratio = sensitivity(entries(0.02, rows=rows, seed=seed), POLICY).data["ratio"]
        found = rank(entries(0.02, rows=rows, seed=seed + 500, slower=1 + ratio), POLICY, suite="s", draws=10)
        last = next(row for row in found.rows if row.candidate == f"c{rows - 1}")
        told += last.rank_low - 1
        pairs += rows - 1
    print(f"{told} of {pairs} pairs")
    assert 0.75 <= told / pairs <= 0.99


def test_more_rows_need_a_larger_difference():
    assert (
        sensitivity(entries(0.02, rows=12), POLICY).data["ratio"]
        > sensitivity(entries(0.02, rows=3), POLICY).data["ratio"]
    )


def test_drift_common_to_a_block_hides_nothing():
    assert sensitivity(entries(0.02), POLICY).data["ratio"] < sensitivity(entries(0.10), POLICY).data["ratio"]


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_pair_nothing_is_said(rows):
    assert sensitivity(entries(0.02, rows=rows), POLICY) is None
