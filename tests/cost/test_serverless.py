"""Bills of functions and containers, in literal numbers of the providers' own price lists."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cost.serverless import MONTH_S, Bill, Size, Use, monthly, pays_from, per_million, rounded_up
from harness.spec.target import ContainerPrice, FunctionPrice

READ = {"source": "a price list", "as_of": date(2026, 9, 20)}
FUNCTION = FunctionPrice(
    usd_per_gb_s=0.0000166667,
    usd_per_million_requests=0.20,
    provisioned_usd_per_gb_s=0.0000041667,
    provisioned_duration_usd_per_gb_s=0.0000097222,
    free_gb_s=400_000,
    free_requests=1_000_000,
    **READ,
)
CONTAINER = ContainerPrice(
    usd_per_vcpu_s=0.000024,
    usd_per_gib_s=0.0000025,
    usd_per_million_requests=0.40,
    idle_usd_per_vcpu_s=0.0000025,
    idle_usd_per_gib_s=0.0000025,
    free_vcpu_s=180_000,
    free_gib_s=360_000,
    free_requests=2_000_000,
    **READ,
)
HALF = Size(0.5, 512 / 1769)


def with_(price, **changes):
    return msgspec.structs.replace(price, **changes)


def test_the_example_of_the_price_list():
    """3 million requests of 1 s with 512 MB in a month: 25.00 USD of compute, 0.60 USD of requests."""
    use = Use(MONTH_S, 3e6, billed_s=3e6)
    assert monthly(FUNCTION, HALF, use) == pytest.approx((0.6, 25.00, 0.0), abs=0.005)
    free = monthly(with_(FUNCTION, free_tier=True), HALF, use)
    assert free == pytest.approx((0.4, 18.33, 0.0), abs=0.005)  # 1,100,000 GB-s and 2 million requests are left
    assert per_million(FUNCTION, HALF, use) == pytest.approx(25.60 / 3, abs=0.005)


def test_provisioned_concurrency_is_paid_while_it_is_kept():
    """1,000 instances of 1 GB for 2 hours, 1.2 million requests of 1 s on them: 30 + 11.67 + 0.24 USD."""
    two_hours = Use(2 * 3600, 1.2e6, billed_s=0.0, kept_billed_s=1.2e6, kept_s=1000 * 7200)
    months = MONTH_S / 7200
    bill = monthly(FUNCTION, Size(1.0, 0.58), two_hours)
    assert [part / months for part in bill] == pytest.approx([0.24, 11.67, 30.00], abs=0.005)


def test_no_free_tier_beside_provisioned_concurrency():
    use = Use(MONTH_S, 1e6, billed_s=1e5, kept_billed_s=1e5, kept_s=MONTH_S)
    assert monthly(with_(FUNCTION, free_tier=True), HALF, use) == monthly(FUNCTION, HALF, use)


def test_a_container_pays_for_cpu_and_memory_while_it_works_or_as_long_as_it_exists():
    use = Use(MONTH_S, 10e6, billed_s=2e6, alive_s=2.5e6)
    size = Size(0.5, 1.0)
    assert monthly(CONTAINER, size, use) == pytest.approx((4.0, 48 + 2.5, 0.0))
    free = monthly(with_(CONTAINER, free_tier=True), size, use)
    assert free == pytest.approx((3.2, (2e6 - 180_000) * 24e-6 + (1e6 - 360_000) * 2.5e-6, 0.0))
    whole = with_(CONTAINER, billing="instance", usd_per_vcpu_s=18e-6, usd_per_gib_s=2e-6, usd_per_million_requests=0.0)
    assert monthly(whole, size, use) == pytest.approx((0.0, 2.5e6 * (18e-6 + 1e-6), 0.0))


def test_kept_containers_pay_idle_prices_between_requests():
    use = Use(MONTH_S, 1e6, billed_s=0.0, kept_billed_s=1e5, kept_s=MONTH_S)
    bill = monthly(CONTAINER, Size(0.5, 1.0), use)
    assert bill.kept == pytest.approx((MONTH_S - 1e5) * 2.5e-6 * 1.5)
    with pytest.raises(ValueError, match="no price"):
        monthly(with_(CONTAINER, idle_usd_per_gib_s=None), Size(0.5, 1.0), use)


def test_without_a_price_nothing_can_be_provisioned():
    use = Use(MONTH_S, 1e6, billed_s=1e5, kept_s=1.0)
    with pytest.raises(ValueError, match="provisioned concurrency has no price"):
        monthly(with_(FUNCTION, provisioned_usd_per_gb_s=None), HALF, use)


@pytest.mark.parametrize(
    ("ms", "step", "billed"), [(0.2, 1, 1), (1.0, 1, 1), (1.0001, 1, 2), (0.1 + 0.2, 0.1, 0.3), (101, 100, 200)]
)
def test_durations_are_rounded_up(ms, step, billed):
    assert rounded_up(np.array([ms / 1e3]), step) == pytest.approx([billed / 1e3])


def test_a_provisioned_function_pays_when_it_is_busy_60_percent_of_the_time():
    assert pays_from(FUNCTION) == pytest.approx(0.6, abs=0.001)
    assert pays_from(with_(FUNCTION, provisioned_usd_per_gb_s=None)) is None
    assert pays_from(with_(FUNCTION, provisioned_usd_per_gb_s=1.0)) is None
    assert pays_from(CONTAINER) is None


SECONDS = st.floats(0.0, 1e7)


@given(SECONDS, SECONDS, st.floats(1.0, 1e9), st.floats(0.125, 10), st.floats(1, 1e6))
def test_a_month_costs_as_much_whatever_span_it_is_told_from(billed_s, alive_s, requests, gib, span_s):
    size, use = Size(gib, gib * 1024 / 1769), Use(MONTH_S, requests, billed_s, alive_s)
    part = Use(*(value * span_s / MONTH_S for value in use))
    for price in (FUNCTION, CONTAINER):
        assert monthly(price, size, part) == pytest.approx(monthly(price, size, use))
        free = monthly(with_(price, free_tier=True), size, use)
        assert 0.0 <= free.total <= monthly(price, size, use).total * (1 + 1e-12)
        assert isinstance(free, Bill)
