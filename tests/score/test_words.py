from __future__ import annotations

import pytest

from harness.score.records import More
from harness.score.words import (
    against,
    chance,
    duration,
    interval,
    listed,
    needs,
    number,
    percent,
    rounded,
    short_name,
    worse_word,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(7.1234, "7.12"), (0.952, "0.952"), (1234.5, "1234"), (100, "100"), (0, "0"), (0.00123, "0.00123")],
)
def test_three_digits_are_enough(value, text):
    assert number(value) == text


def test_close_numbers_get_the_digits_that_tell_them_apart(make):
    measure = make.entry("a", exact={"latency_p99_ms": 5.0004}).metrics["latency_p99_ms"]
    assert against(measure, 5.0, "latency_p99_ms") == ("5.0004 ms", "5 ms")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("latency_p99_ms", "p99"),
        ("offline.latency_p99_ms", "p99 (offline)"),
        ("memory_peak_mib", "peak memory"),
        ("cost_per_million_usd", "cost per million"),
        ("accuracy", "accuracy"),
    ],
)
def test_short_names(key, name):
    assert short_name(key) == name


def test_worse_words():
    assert worse_word("offline.latency_p99_ms") == "slower"
    assert worse_word("cost_per_million_usd") == "more expensive"
    assert worse_word("rmse") == "worse in RMSE"


def test_lists_shares_and_chances():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed("abcde") == "a, b, c and 2 more"
    assert [percent(p) for p in (0, 0.001, 0.834, 0.999, 1)] == ["0 %", "<1 %", "83 %", ">99 %", "100 %"]
    assert [chance(p) for p in (None, 0.61, 0.9996, 0.9459)] == [
        "P not known",
        "P = 0.61",
        "P > 0.999",
        "P = 0.95",
    ]


def test_an_end_that_is_not_known_is_shown_as_such(make):
    entry = make.entry("a", trials={"latency_p99_ms": [1.0, 1.1, 1.2]})
    assert interval(entry.metrics["latency_p99_ms"]).startswith(" [0.")
    assert interval(make.entry("a", exact={"load_ms": 3.0}).metrics["load_ms"]) == ""
    assert interval(make.entry("a", trials={"load_ms": [3.0]}).metrics["load_ms"]) == " [?, ?]", "one trial"


def test_what_is_missing_is_written_in_requests_rows_or_blocks():
    assert needs(More(3, 412), 200) == "about 420 more requests, 4 min"
    assert needs(More(rows=8127), 200) == "about 8,200 more labelled rows", "rows take no blocks"
    assert needs(More(blocks=1), 30) == "about 1 more block, 30 s"
    assert needs(More(blocks=2)) == "about 2 more blocks"
    assert needs(More()) == ""
    assert [rounded(n) for n in (1, 99, 101, 12_345)] == [1, 99, 110, 13_000]


def test_durations_are_rounded_up():
    assert [duration(s) for s in (0.2, 40, 90, 91, 7000, 9000)] == ["1 s", "40 s", "90 s", "2 min", "117 min", "2.5 h"]
