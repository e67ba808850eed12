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
    plain |= {"candidate": "c", "target": "t", "status": "measured", "eligible": True, "pareto": False}
    plain |= {"may_be_best": False}
    plain |= {"reasons": (), "metrics": {}, "limits": {}, "utilities": {}}
    return Row(**(plain | fields))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (measure(), "2.5 [2, 3]"),
        (measure(value=0.0, low=0.0, high=0.0), "0 [0, 0]"),
        (measure(value=1234.5, low=1000.0, high=2000.0), "1234 [1000, 2000]"),
        (measure(high=None), ">2 [≈2.5]"),
        (measure(high=None, basis="pooled"), ">2 [≈2.5]"),
        (measure(low=None, high=None, basis="pooled"), "2.5 [?]"),
        (measure(low=None), "2.5 [0, 3]"),
        (measure(low=None, high=None, trials=1), "2.5 [?]"),
        (measure(basis="exact", low=2.5, high=2.5, trials=1), "2.5"),
        (None, "–"),
    ],
)
def test_values_with_their_intervals(given, text):
    assert cells.value(given) == text


@pytest.mark.parametrize(
    ("p", "text"), [(None, "–"), (0.61, "61 %"), (1.0, "100 %"), (0.999, ">99 %"), (0.004, "<1 %"), (0.0001, "<1 %")]
)
def test_the_chance_to_be_best(p, text):
    assert cells.best(row(p_best=p)) == text


def test_what_is_not_ranked_is_a_dash_and_never_a_zero():
    nothing = row(eligible=False)
    assert (cells.place(nothing), cells.ranks(nothing), cells.score(nothing), cells.best(nothing)) == ("–",) * 4
    assert cells.bar(nothing, 6) == ""


def test_places_are_marked_and_scores_have_their_intervals():
    first = row(place=1, rank_low=1, rank_high=3, may_be_best=True, score=0.5, score_low=0.4, score_high=0.61)
    assert (cells.place(first), cells.ranks(first), cells.score(first)) == ("1 ●", "1–3", "0.500 [0.400, 0.610]")
    third = row(place=3, rank_low=3, rank_high=3)
    assert (cells.place(third), cells.ranks(third)) == ("3", "3")
    assert cells.score(row(score=0.5)) == "0.500"


@pytest.mark.parametrize(
    ("low", "place", "high", "of", "drawn"),
    [
        (1, 1, 1, 1, ""),
        (1, 1, 1, 2, "▕█·▏"),
        (1, 2, 2, 2, "▕░█▏"),
        (2, 3, 4, 6, "▕·░█░··▏"),
        (1, 1, 18, 18, "▕█░░░░░░░░░░░▏"),
        (18, 18, 18, 18, "▕···········█▏"),
        (40, 40, 40, 40, "▕···········█▏"),
        (11, 20, 29, 40, "▕···░░█░░░···▏"),
    ],
)
def test_bars_are_aligned_over_all_places(low, place, high, of, drawn):
    assert cells.bar(row(place=place, rank_low=low, rank_high=high), of) == drawn


def test_trials_are_counted_whatever_the_interval_is_from():
    known = {"latency_p99_ms": measure(basis="pooled", trials=5), "load_ms": measure(trials=2)}
    assert cells.trials(row(metrics=known)) == "5"
    assert cells.trials(row(metrics={"accuracy": measure(basis="rows", trials=1)})) == "–"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"place": 1}, ""),
        ({"eligible": False}, "not eligible"),
        ({"status": "undecided", "place": 1}, "undecided"),
        ({"status": "failed", "failure": "oom", "eligible": False}, "failed: oom"),
        ({"status": "skipped", "eligible": False}, "skipped"),
        ({"status": "dropped", "place": 3}, ""),
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


def test_details_are_left_to_the_report_and_one_warning_is_kept():
    said = {
        "tied": "not told apart from b",
        "no_upper_end": "p99 has none",
        "behind": "mostly in p99",
        "disturbed": "3 %",
        "not_steady": "no",
    }
    reasons = tuple(diagnostic(code, text) for code, text in said.items())
    assert cells.why(row(reasons=reasons)) == "mostly in p99; warning: 3 %"
    left = (diagnostic("dropped", "left after block 5"), *reasons)
    assert cells.why(row(status="dropped", reasons=left)) == "left after block 5; warning: 3 %"
