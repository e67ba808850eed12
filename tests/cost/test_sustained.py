"""The throughput that a price is put on, in literal numbers, and what holds for any evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cost.sustained import Way, sustained


def way(*per_s: float, latency: float = 1.0, low: float | None = None, high: float | None = None) -> Way:
    ends = (latency if low is None else low, latency if high is None else high)
    return Way(np.array(per_s, dtype=np.float64), latency, *ends)


SINGLE = way(100, 110, 90, latency=1.0, high=1.2)
EIGHT = way(400, 440, 360, latency=3.0, high=4.0)
LARGE = way(900, 990, 810, latency=9.0, high=math.inf)


@pytest.mark.parametrize(
    ("limit", "per_s", "certain"),
    [
        (None, [900, 990, 810], [900, 990, 810]),  # no limit: the fastest, whatever its latency
        (9.5, [900, 990, 810], [400, 440, 360]),  # the fastest seems to keep it, the second certainly does
        (8.9, [400, 440, 360], [400, 440, 360]),
        (3.5, [400, 440, 360], [100, 110, 90]),
        (1.1, [100, 110, 90], None),  # nothing is certain
    ],
)
def test_what_seems_to_keep_the_limit_and_what_certainly_does(limit, per_s, certain):
    found = sustained([SINGLE, EIGHT, LARGE], limit)
    assert found.per_s.tolist() == per_s
    assert (None if found.certain_per_s is None else found.certain_per_s.tolist()) == certain


@pytest.mark.parametrize("ways", [[], [SINGLE], [SINGLE, EIGHT, LARGE]])
def test_where_no_way_keeps_the_limit_there_is_no_throughput(ways):
    assert sustained(ways, 0.99) is None


def test_a_block_is_priced_by_what_the_others_chose():
    """The lucky block of each way does not count for it: 300 is chosen by the others in no block."""
    lucky = way(300, 100, 100)
    steady = way(130, 130, 130)
    found = sustained([lucky, steady], None)
    assert found.per_s.tolist() == [130, 100, 100]  # blocks 1 and 2 are priced by `lucky`, which block 0 chose


def test_a_single_block_chooses_and_prices():
    assert sustained([way(100)], None).per_s.tolist() == [100]
    assert sustained([way(100), way(400)], None).per_s.tolist() == [400]


def test_where_none_seems_to_keep_the_limit_the_nearest_of_those_that_may_counts():
    ways = [way(100, latency=7, low=2), way(400, latency=6, low=4.9), way(900, latency=5.5, low=5.1)]
    found = sustained(ways, 5.0)  # the third has the least latency, but certainly breaks it
    assert (found.per_s.tolist(), found.certain_per_s) == ([400], None)


def test_choosing_on_the_same_block_would_be_too_cheap_on_average():
    """Two equal ways whose blocks vary by 20 %: the price is unbiased, the luckiest block's is 12 % too fast."""
    logs = 0.2 * np.random.default_rng(7).standard_normal((2, 4000))
    table = np.exp(logs)
    found = sustained([Way(row, 1.0, 1.0, 1.0) for row in table], None)
    assert np.log(found.per_s).mean() == pytest.approx(0.0, abs=0.02)
    assert np.log(table.max(axis=0)).mean() > 0.1


RATE = st.floats(1e-3, 1e6)
LATENCY = st.floats(1e-3, 1e3)


@st.composite
def evidence(draw):
    blocks = draw(st.integers(1, 6))
    ways = []
    for _ in range(draw(st.integers(0, 5))):
        latency = draw(LATENCY)
        high = draw(st.one_of(st.just(math.inf), st.floats(1.0, 10.0).map(lambda f, x=latency: f * x)))
        low = draw(st.one_of(st.just(-math.inf), st.floats(0.1, 1.0).map(lambda f, x=latency: f * x)))
        ways.append(Way(np.array([draw(RATE) for _ in range(blocks)]), latency, low, high))
    return ways


@given(evidence(), LATENCY)
def test_every_blocks_throughput_is_that_of_a_way_that_may_keep_the_limit(ways, limit):
    found = sustained(ways, limit)
    if found is None:
        return
    within = [w for w in ways if w.latency_low_ms <= limit]
    for block, per_s in enumerate(found.per_s):
        assert per_s in [w.throughput_per_s[block] for w in within]
    if found.certain_per_s is not None:
        sure = [w for w in ways if w.latency_high_ms <= limit]
        for block, per_s in enumerate(found.certain_per_s):
            assert per_s in [w.throughput_per_s[block] for w in sure]


@given(evidence(), LATENCY)
def test_nothing_is_certain_that_has_no_upper_end(ways, limit):
    found = sustained([w._replace(latency_high_ms=math.inf) for w in ways], limit)
    assert found is None or found.certain_per_s is None


@given(evidence(), LATENCY)
def test_there_is_a_throughput_unless_every_way_certainly_breaks_the_limit(ways, limit):
    assert (sustained(ways, limit) is None) == all(w.latency_low_ms > limit for w in ways)


@given(evidence(), LATENCY, st.integers(0, 5))
def test_a_block_does_not_decide_its_own_way(ways, limit, block):
    """If a block alone becomes a hundred times faster for one way, the others' choice for it stays."""
    found = sustained(ways, limit)
    if found is None or block >= len(found.per_s) or len(found.per_s) < 2:
        return
    within = [w for w in ways if w.latency_ms <= limit]
    if not within:
        return
    scale = np.ones(len(found.per_s))
    scale[block] = 100.0
    again = sustained([Way(w.throughput_per_s * scale, *w[1:]) for w in within], None)
    assert again.per_s[block] == pytest.approx(100.0 * found.per_s[block])
