"""What stands in a cell of the table, in literal texts."""

from __future__ import annotations

import pytest

from harness.report import cells
from harness.score.records import Measure, Ranking, Row
from harness.spec.diagnostics import diagnostic
from harness.spec.policy import Limit, Objective, Policy


def measure(value=2.5, low=2.0, high=3.0, trials=3, basis="between"):
    return Measure(value=value, low=low, high=high, n=100, trials=trials, unit="ms", basis=basis)


def row(**fields):
    plain = dict.fromkeys(Row.__struct_fields__)
    plain |= {"candidate": "c", "target": "t", "status": "measured", "eligible": True, "tie": False, "pareto": False}
    plain |= {"reasons": (), "metrics": {}, "limits": {}, "utilities": {}}
    return Row(**(plain | fields))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (measure(), "2.5 [2, 3]"),
        (measure(value=0.0, low=0.0, high=0.0), "0 [0, 0]"),
        (measure(value=1234.5, low=1000.0, high=2000.0), "1234 [1000, 2000]"),
        (measure(high=None), ">2.5"),
        (measure(low=None), "2.5 [0, 3]"),
        (measure(low=None, high=None, trials=1), "2.5 [?]"),
        (measure(basis="exact", low=2.5, high=2.5, trials=1), "2.5"),
        (None, "–"),
    ],
)
def test_values_with_their_intervals(given, text):
    assert cells.value(given) == text


@pytest.mark.parametrize(
    ("p", "text"), [(None, "–"), (0.61, "61 %"), (1.0, "100 %"), (0.004, "<1 %"), (0.0001, "<1 %")]
)
def test_the_chance_to_be_best(p, text):
    assert cells.best(row(p_best=p)) == text


def test_what_is_not_ranked_is_a_dash_and_never_a_zero():
    assert (cells.rank(row()), cells.score(row()), cells.best(row())) == ("–", "–", "–")


def test_ranks_show_their_ties_and_scores_their_intervals():
    first = row(rank=1, rank_low=1, rank_high=1, score=0.5, score_low=0.4, score_high=0.61)
    assert (cells.rank(first), cells.score(first)) == ("1", "0.500 [0.400, 0.610]")
    assert cells.rank(row(rank=2, rank_low=2, rank_high=3, tie=True)).startswith("2=")
    assert cells.score(row(score=0.5)) == "0.500"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"eligible": False}, "not eligible"),
        ({"status": "failed", "failure": "oom", "eligible": False}, "failed: oom"),
        ({"status": "skipped", "eligible": False}, "skipped"),
        ({"status": "dropped"}, ""),
    ],
)
def test_what_became_of_a_row(fields, text):
    assert cells.status(row(**fields)) == text


def test_columns_are_the_policys_first_and_none_is_empty():
    policy = Policy(
        limits={"accuracy": Limit(min=0.9)},
        objectives={
            "load_ms": Objective(weight=1, target=1, limit=9),
            "cost_per_million_usd": Objective(weight=1, target=1, limit=9),
        },
    )
    known = {key: measure() for key in ("latency_p50_ms", "load_ms", "accuracy", "first_inference_ms")}
    ranking = Ranking(suite="s", rows=(row(metrics=known), row(candidate="d")))
    assert cells.columns(ranking, policy) == ["load_ms", "accuracy", "latency_p50_ms"]
    assert cells.columns(Ranking(suite="s", rows=(row(),)), policy) == []


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("latency_p99_ms", ("p99", "ms")),
        ("offline.throughput_per_s", ("throughput (offline)", "1/s")),
        ("cost_per_million_usd", ("cost per million", "USD")),
        ("accuracy", ("accuracy", "")),
    ],
)
def test_headings_are_a_name_and_its_unit(key, parts):
    assert cells.heading(key) == parts


def test_only_the_first_line_of_a_reason_is_for_the_table():
    said = [diagnostic("failed", "RuntimeError: no\n  at line 3"), diagnostic("behind", "b"), diagnostic("behind", "c")]
    assert cells.why(row(reasons=tuple(said))) == "RuntimeError: no; b"
    assert cells.first_line("  \n ") == ""


def test_ties_are_left_to_the_rank_and_one_warning_is_kept():
    said = {"tied": "ties with b", "behind": "mostly in p99", "steal": "3 %", "not_steady": "no"}
    reasons = tuple(diagnostic(code, text) for code, text in said.items())
    assert cells.why(row(reasons=reasons)) == "mostly in p99; warning: 3 %"
    left = (diagnostic("dropped", "left after block 5"), *reasons)
    assert cells.why(row(status="dropped", reasons=left)) == "left after block 5; warning: 3 %"
