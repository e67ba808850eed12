"""What must hold for any field of candidates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.score.rank import rank
from harness.score.records import Entry, Ranking
from harness.score.words import name_of
from harness.spec.policy import Limit, Objective, Policy

P50, COST = "latency_p50_ms", "cost_per_million_usd"
WIDE = Policy(
    limits={P50: Limit(max=50)},
    objectives={
        P50: Objective(weight=3, target=0.001, limit=10_000),
        COST: Objective(weight=1, target=0.0001, limit=1000),
        "accuracy": Objective(weight=2, target=1.0, limit=0.0),
    },
)
BLOCKS, ROWS = 5, 60


class Cell(NamedTuple):
    """Plain data that an entry is made from; cost is exact."""

    name: str
    latency: float
    cost: float
    wrong: int
    seed: int
    status: str


cells = st.builds(
    Cell,
    name=st.text("abcdefgh", min_size=1, max_size=3),
    latency=st.floats(0.1, 100),
    cost=st.floats(0.01, 10),
    wrong=st.integers(0, 12),
    seed=st.integers(0, 99),
    status=st.sampled_from(["measured"] * 6 + ["dropped", "failed", "skipped"]),
)
fields = st.lists(cells, min_size=1, max_size=6, unique_by=lambda cell: cell.name)
fast = settings(max_examples=60, deadline=None)


def build(make, cell: Cell) -> Entry:
    rng = np.random.default_rng(cell.seed)
    trials = cell.latency * np.exp(rng.normal(0, 0.05, BLOCKS))
    correct = make.right(ROWS, rng.permutation(ROWS)[: cell.wrong])
    return make.entry(cell.name, {P50: trials}, {COST: cell.cost}, correct, status=cell.status)


def decide(make, field) -> Ranking:
    return rank([build(make, cell) for cell in field], WIDE, suite="s", draws=300)


def order(made: Ranking, besides: str = "") -> list[str]:
    return [row.candidate for row in made.rows if row.candidate != besides]


def row_of(made: Ranking, name: str):
    return next(row for row in made.rows if row.candidate == name)


@fast
@given(fields)
def test_no_row_vanishes_and_all_shares_are_shares(make, field):
    made = decide(make, field)
    assert sorted(order(made)) == sorted(cell.name for cell in field)
    placed = [row for row in made.rows if row.place is not None]
    for row in made.rows:
        assert all(0.0 <= p <= 1.0 for p in [*row.limits.values(), *row.utilities.values()])
        assert row.score is None or 0.0 <= row.score <= 1.0
        assert row.reasons or row.place
        assert row.place is not None or not row.eligible
    assert [row.place for row in made.rows] == [*range(1, len(placed) + 1), *[None] * (len(made.rows) - len(placed))]
    for row in placed:
        assert 1 <= row.rank_low <= row.place <= row.rank_high <= len(placed)
        assert row.may_be_best == (row.rank_low == 1)
        assert sum(row.acceptability) == pytest.approx(1.0)
    if placed:
        assert sum(row.p_best for row in placed) <= 1.0 + 1e-9
        assert all(row.eligible for row in placed) <= (sum(row.p_best for row in placed) > 1.0 - 1e-9)
        assert any(row.pareto for row in placed)
        assert placed[0].may_be_best


@fast
@given(fields, st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(make, field, random):
    shuffled = random.sample(field, len(field))
    assert decide(make, shuffled) == decide(make, field)


@fast
@given(fields, st.data())
def test_a_dominated_candidate_reorders_nothing(make, field, data):
    model = data.draw(st.sampled_from(field))
    worse = model._replace(
        name="zz", latency=model.latency * 1.5, cost=model.cost * 1.5, wrong=model.wrong + 3, status=model.status
    )
    before, after = decide(make, field), decide(make, [*field, worse])
    assert order(after, besides="zz") == order(before)
    for row in before.rows:
        assert row_of(after, row.candidate).score == row.score
        assert row_of(after, row.candidate).eligible == row.eligible


@fast
@given(fields, cells)
def test_an_ineligible_candidate_changes_no_rank_at_all(make, field, extra):
    outside = extra._replace(name="zz", latency=500.0)
    before, after = decide(make, field), decide(make, [*field, outside])
    assert not row_of(after, "zz").eligible
    assert order(after, besides="zz") == order(before)
    for row in before.rows:
        same = row_of(after, row.candidate)
        assert (same.rank_low, same.rank_high, same.limits) == (row.rank_low, row.rank_high, row.limits)
        assert same.p_best == pytest.approx(row.p_best) if row.p_best is not None else same.p_best is None


@fast
@given(fields, st.data(), st.floats(1.01, 10))
def test_better_in_one_metric_is_never_worse_in_rank_or_score(make, field, data, factor):
    chosen = data.draw(st.sampled_from([cell._replace(status="measured") for cell in field]))
    others = [cell for cell in field if cell.name != chosen.name]
    metric = data.draw(st.sampled_from(["latency", "cost"]))
    better = chosen._replace(**{metric: getattr(chosen, metric) / factor})
    before = row_of(decide(make, [*others, chosen]), chosen.name)
    after = row_of(decide(make, [*others, better]), chosen.name)
    assert after.score >= before.score - 1e-12
    assert after.eligible >= before.eligible
    if before.place is not None:
        assert after.place <= before.place


@fast
@given(fields)
def test_the_order_follows_the_score(make, field):
    placed = [row for row in decide(make, field).rows if row.place is not None]
    scores = [row.score for row in placed if row.status != "dropped"]
    assert scores == sorted(scores, reverse=True)
    if scores:
        assert placed[0].status != "dropped"


@fast
@given(cells.map(lambda cell: cell._replace(status="measured", latency=5.0)))
def test_a_twin_ties_and_shares_the_chances(make, cell):
    made = decide(make, [cell, cell._replace(name="twin")])
    one, two = made.rows
    assert [(row.rank_low, row.rank_high) for row in made.rows] == [(1, 2), (1, 2)]
    assert one.p_best == two.p_best == pytest.approx(0.5, abs=0.0 if one.eligible else 0.5)
    assert one.acceptability == two.acceptability
    assert [name_of(row) for row in made.rows] == sorted(name_of(row) for row in made.rows)
