"""What a run could have told apart, in words."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from scipy import stats

from harness.analyse.sensitivity import sensitivity
from harness.score.rank import rank
from harness.score.records import Entry, Measure, RowScores
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
        f"with 6 blocks, a typical pair of 8 rows is told apart in 90 % of runs if its p99 differs by "
        f"{100 * data['ratio']:.1f} %; 2 % would take about {data['wanted_blocks']} blocks"
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


def test_a_large_ratio_is_a_factor():
    found = sensitivity(entries(1.0), POLICY)
    assert found.data["ratio"] > 1
    assert f"if its p99 differs by a factor of {1 + found.data['ratio']:.1f}" in found.message


def scored(spread, seed=1, slower=1.0):
    """Rows that a policy of two objectives ranks by score: p99, and an accuracy over 2,000 rows."""
    rng, found = np.random.default_rng(seed + 1), entries(spread, rows=4, seed=seed, slower=slower)
    right = [rng.random(2000) < 0.95 for _ in found]
    share = [float(each.mean()) for each in right]
    measures = [Measure(value=s, low=s - 0.01, high=s + 0.01, n=2000, trials=1, unit="", basis="rows") for s in share]
    return [
        msgspec.structs.replace(
            each, metrics=each.metrics | {"accuracy": m}, rows={"accuracy": RowScores(values=r.astype(float))}
        )
        for each, m, r in zip(found, measures, right, strict=True)
    ]


def test_where_scores_decide_it_is_their_difference_that_is_said():
    """A gap of that size is told in about nine of ten runs, the noise of dataset rows included."""
    two = Policy(objectives={**POLICY.objectives, "accuracy": Objective(weight=3, target=1.0, limit=0.8)})
    said = sensitivity(scored(0.02), two)
    assert said.data["metric"] is None and f"if its scores differ by {said.data['difference']:.3f}" in said.message
    told = pairs = 0
    for seed in range(60):
        found = rank(scored(0.02, seed, slower=6.0), two, suite="s", draws=10)
        scores = [row.score for row in found.rows]
        gaps = [s - scores[-1] for s in scores[:-1]]
        near = [0.9 < gap / said.data["difference"] < 1.1 for gap in gaps]
        told += sum(n and row.rank_high < 4 for n, row in zip(near, found.rows, strict=False))
        pairs += sum(near)
    print(f"{told} of {pairs} pairs")
    assert pairs >= 20 and told / pairs >= 0.75


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_pair_nothing_is_said(rows):
    assert sensitivity(entries(0.02, rows=rows), POLICY) is None
