"""The kernels that compare cores."""

from __future__ import annotations

from harness.probes.kernels import core_speed


def test_both_kernels_take_a_time_that_a_clock_can_tell():
    speed = core_speed()
    assert 0.1 < speed.integer_ms < 5_000 and 0.1 < speed.float_ms < 5_000
