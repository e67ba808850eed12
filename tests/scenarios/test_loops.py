"""The hot loops on an injected clock: when warm-up ends, when a window ends, what is recorded."""

from __future__ import annotations

import gc
from itertools import cycle as rotate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.scenarios.closed_loop import Length, durations, measure, timed, warm_up
from harness.spec.wire import WarmUpRule
from harness.worker.trial import quiet_gc

MS = 1_000_000


class Model:
    """Takes the scripted times, the last one for ever; its clock is what it has taken."""

    def __init__(self, *times_ns):
        self.times, self.calls, self.now, self.fed = list(times_ns), 0, 0, []

    def infer(self, feed):
        self.fed.append(feed)
        self.now += self.times[min(self.calls, len(self.times) - 1)]
        self.calls += 1

    def clock(self):
        return self.now


def feeds():
    return rotate([{"row": 0}, {"row": 1}, {"row": 2}])


def warmed(model, seconds=10.0, **rule):
    return warm_up(model.infer, feeds(), model.clock, WarmUpRule(**rule), seconds)


def test_every_sample_is_the_time_of_its_call_and_inputs_rotate():
    model = Model(5, 7, 11)
    assert durations(timed(model.infer, feeds(), 4, model.clock)).tolist() == [5, 7, 11, 11]
    assert [feed["row"] for feed in model.fed] == [0, 1, 2, 0]


def test_warm_up_ends_with_the_first_two_windows_that_agree():
    slow_start = Model(*[4 * MS] * 8, *[3 * MS] * 5, *[2 * MS] * 5, MS)
    found = warmed(slow_start, window_seconds=0.02)
    assert found.steady and found.median_ns == MS
    assert found.samples == 3 + 5 * 5  # a glance of 3, then windows of 5 at 4, 3, 2, 1 and 1 ms


def test_a_model_that_never_settles_is_called_unsteady_at_the_limit():
    ever_slower = Model(*[MS * 1.1**i for i in range(400)])
    found = warmed(ever_slower, seconds=0.2)
    assert not found.steady
    assert ever_slower.now < 0.5e9


def test_a_very_slow_model_is_not_warmed_beyond_its_limit():
    model = Model(10_000 * MS)
    assert warmed(model, seconds=1.0) == (False, 3, 10_000 * MS)


def window(model, seconds=1.0, most_seconds=1.0, least=0, most=1_000_000):
    return measure(model.infer, feeds(), model.clock, Length(seconds, most_seconds, least, most), MS)


def test_equal_samples_are_precise_as_soon_as_p99_has_an_interval():
    found = window(Model(MS), seconds=60)
    assert found.ended_by == "precision" and 368 <= len(found.stamps) < 1500


def test_a_window_ends_with_its_time():
    rng = np.random.default_rng(0)
    found = window(Model(*(rng.lognormal(0, 2, 5000) * MS).astype(int).tolist()), seconds=0.5)
    assert found.ended_by == "time" and 0.4e9 < durations(found.stamps).sum() < 0.7e9


def test_a_window_goes_on_within_its_stretch_to_the_samples_that_are_needed():
    rng = np.random.default_rng(0)
    times = (rng.lognormal(0, 0.5, 5000) * MS).astype(int).tolist()
    assert len(window(Model(*times), seconds=0.1, most_seconds=0.1, least=368).stamps) < 200
    assert len(window(Model(*times), seconds=0.1, most_seconds=2.0, least=368).stamps) >= 368


@given(st.integers(1, 5000))
def test_no_window_has_more_samples_than_it_may(most):
    found = window(Model(MS, 9 * MS), seconds=100, most_seconds=100, least=10_000, most=most)
    assert len(found.stamps) == most and found.ended_by == "samples"
    assert found.stamps.dtype == np.int64


def test_the_collector_is_off_in_a_window_and_on_afterwards():
    with quiet_gc():
        assert not gc.isenabled()
    assert gc.isenabled()
