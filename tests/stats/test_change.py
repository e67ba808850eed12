"""Effects with parts of noise: half-widths, p-values, Holm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats.change import Part, half_width, holm, p_changed, p_differs

PARTS = st.lists(
    st.builds(Part, st.floats(1e-6, 10.0), st.one_of(st.just(math.inf), st.floats(1.0, 60.0))), min_size=1, max_size=4
)


def test_one_part_is_students_interval():
    assert half_width([Part(2.0, 4.0)], 0.025) == pytest.approx(2.0 * stats.t.ppf(0.975, 4))
    assert half_width([Part(2.0)], 0.025) == pytest.approx(2.0 * 1.959964)
    assert p_changed(3.0, [Part(1.5, 7.0)]) == pytest.approx(2.0 * stats.t.sf(2.0, 7), rel=1e-6)


def test_parts_of_known_noise_add_in_squares():
    assert half_width([Part(3.0), Part(4.0), Part(0.0, 2.0)], 0.1) == pytest.approx(half_width([Part(5.0)], 0.1))


def test_without_noise_any_change_is_certain():
    assert p_changed(1e-9, []) == 0.0 and p_changed(0.0, []) == 1.0
    assert p_differs(0.01, [], 0.02) == 0.0 and p_differs(0.02, [], 0.02) == 1.0


@given(PARTS, st.floats(0.001, 0.4))
def test_an_effect_as_large_as_the_half_width_has_that_p(parts, tail):
    assert p_changed(half_width(parts, tail), parts) == pytest.approx(2.0 * tail, rel=1e-4)
    assert p_differs(0.0, parts, half_width(parts, tail)) == pytest.approx(tail, rel=1e-4)


@given(PARTS, st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_the_larger_the_effect_the_surer(parts, one, two):
    small, large = sorted((one, two))
    assert p_changed(large, parts) <= p_changed(small, parts) + 1e-12
    assert p_differs(small, parts, 6.0) <= p_differs(large, parts, 6.0) + 1e-12
    assert p_changed(-large, parts) == p_changed(large, parts)


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_few_degrees_beside_many_are_not_told_too_often(level):
    """The sum of a part of 3 degrees and one that is known; Satterthwaite's t would exceed the level in the tail."""
    rng, n = np.random.default_rng(3), 40_000
    error = np.sqrt(rng.chisquare(3, n) / 3.0)
    effect = rng.normal(0.0, math.sqrt(2.0), n)
    told = np.abs(effect) > [half_width([Part(each, 3.0), Part(1.0)], level / 2.0) for each in error]
    assert told.mean() <= level * 1.15


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_holm_keeps_the_order_and_is_between_p_and_bonferroni(p):
    adjusted = holm(p)
    assert np.all(adjusted >= np.array(p) - 1e-15) and np.all(adjusted <= np.minimum(np.array(p) * len(p), 1.0) + 1e-12)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0.0)
