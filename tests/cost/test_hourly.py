from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cost.hourly import cost_per_million, is_old

POSITIVE = st.floats(1e-6, 1e6)


def test_a_million_at_a_hundred_a_second_for_36_cents_an_hour_costs_a_dollar():
    assert cost_per_million(0.36, 100, 1.0) == pytest.approx(1.0, rel=1e-12)  # 10,000 s = 2.778 h
    assert cost_per_million(0.36, 100, 0.5) == pytest.approx(2.0, rel=1e-12)
    assert cost_per_million(0.0, 100, 0.5) == 0.0


@given(POSITIVE, POSITIVE, st.floats(0.01, 1))
def test_cost_is_the_price_of_the_time_that_a_million_take(price, rate, utilisation):
    hours = 1e6 / rate / utilisation / 3600
    assert cost_per_million(price, rate, utilisation) == pytest.approx(price * hours, rel=1e-9)


def test_a_price_is_old_after_a_year():
    assert not is_old(date(2025, 8, 1), date(2026, 8, 1))
    assert is_old(date(2025, 8, 1), date(2026, 8, 2))
