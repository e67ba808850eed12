"""The hot loops on an injected clock: when warm-up ends, when a window ends, what is recorded."""

from __future__ import annotations

import gc
from itertools import count, cycle, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenarios.closed_loop import (
    Length,
    durations,
    length_of,
    measure,
    run_window,
    settling,
    timed,
    warm_up,
)
from harness.spec.wire import WarmUpRule
from harness.worker.trial import quiet_gc

from .bench import MS, FakeBench

US = 1_000
MANY = 1_000_000


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
    return cycle([{"row": 0}, {"row": 1}, {"row": 2}])


def warmed(model, seconds=1.0, **rule):
    return warm_up(model.infer, feeds(), model.clock, WarmUpRule(**rule), seconds)


def test_every_sample_is_the_time_of_its_call_and_inputs_rotate():
    model = Model(5, 7, 11)
    assert durations(timed(model.infer, feeds(), 4, model.clock)).tolist() == [5, 7, 11, 11]
    assert [feed["row"] for feed in model.fed] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("request_ns", "samples"),
    [
        (10 * US, 3 + 2 * 2500),  # two windows of half of 5 % of the measured second each
        (MS, 3 + 2 * 25),
        (10 * MS, 3 + 2 * 5),  # five requests are more than 25 ms
        (100 * MS, 1 + 1),  # only one fits into an eighth of the limit
        (500 * MS, 1 + 1),
        (5_000 * MS, 1 + 1),
    ],
)
def test_warm_up_is_sized_by_the_scale(request_ns, samples):
    found = warmed(Model(request_ns))
    assert (found.steady, found.samples) == (True, samples)
    assert (found.spent_ns, found.median_ns) == (samples * request_ns, request_ns)


@pytest.mark.parametrize("request_ns", [10 * US, MS, 10 * MS, 100 * MS, 500 * MS, 5_000 * MS])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 10.0])
def test_warming_up_a_steady_model_costs_a_part_of_the_limit_or_two_requests(request_ns, seconds):
    found = warmed(Model(request_ns), seconds)
    assert found.steady
    assert found.spent_ns <= max(0.3e9 * max(0.5 * seconds, 1.0), 2 * request_ns)


def test_the_two_windows_together_last_half_a_second_at_most_and_ten_milliseconds_at_least():
    assert warmed(Model(MS), seconds=100.0).samples == 3 + 2 * 250
    assert warmed(Model(100 * US), seconds=0.05).samples == 3 + 2 * 50


def test_warm_up_ends_with_the_first_two_windows_that_agree():
    slow_start = Model(*[4 * MS] * 8, *[3 * MS] * 5, *[2 * MS] * 5, MS)
    found = warmed(slow_start, fraction=0.0, least_seconds=0.04)
    assert found.steady and found.median_ns == MS
    assert found.samples == 3 + 4 * 5 + 2 * 20  # a look of 3, windows of 5 at 4, 3, 2 and 1 ms, and two of 20 ms each


@pytest.mark.parametrize(("second_ns", "steady"), [(540 * MS, True), (560 * MS, False)])
def test_single_requests_agree_within_a_tenth(second_ns, steady):
    assert warmed(Model(500 * MS, second_ns)).steady is steady


def test_a_transient_of_a_quarter_of_a_second_is_seen_through():
    """Two windows of a few milliseconds within it would agree with each other."""
    found = warmed(Model(*[20 * MS] * 12, *repeat(MS, 5000)), seconds=10.0)
    assert found.steady and found.median_ns == MS


def test_slow_first_requests_do_not_make_the_windows_short():
    """Windows go by time: thirteen requests, sized by 20 ms each, would last 26 ms and agree within the transient."""
    found = warmed(Model(*[20 * MS] * 3, *[2 * MS] * 150, *repeat(MS, 9000)), seconds=10.0)
    assert found.steady and found.median_ns == MS
    assert found.spent_ns < 2e9


def test_a_model_that_never_settles_is_called_unsteady_at_the_limit():
    ever_slower = Model(*[MS * 1.1**i for i in range(400)])
    found = warmed(ever_slower, seconds=0.2)
    assert not found.steady
    assert 0.5e9 <= ever_slower.now < 1.5e9, "the window that goes beyond the limit is the last"
    longer = Model(*[MS * 1.01**i for i in range(4000)])
    assert not warmed(longer, seconds=20.0).steady
    assert 5e9 <= longer.now < 15e9


def window(bench, seconds=1.0, turn_s=0.025, most=MANY, median_ns=MS):
    with bench.measuring("w"):
        return measure(bench, bench.feeds(1), Length(seconds, turn_s, most), median_ns)


def counted(bench):
    return [count for step, count in bench.steps if step == "counted"]


def test_a_window_is_a_number_of_turns_whoever_shares_them():
    for shared in (False, True):
        bench = FakeBench(shared=shared)
        found = window(bench)
        assert counted(bench) == [25] * 40, "a second in turns of 25 ms"
        assert (found.rounds == np.repeat(np.arange(40), 25)).all()
        assert found.ended_by == "turns"


def test_requests_at_the_start_of_a_shared_turn_do_not_count():
    alone, shared = FakeBench(), FakeBench(shared=True)
    assert window(alone).uncounted == 0
    found = window(shared)
    assert found.uncounted == 40 == shared.calls - len(found.stamps)
    assert [count for step, count in shared.steps if step == "turn"] == [1] * 40


@pytest.mark.parametrize(
    ("request_ns", "not_counted"), [(10 * US, 50), (500 * US, 3), (MS, 1), (20 * MS, 1), (21 * MS, 0), (5_000 * MS, 0)]
)
def test_how_many_do_not_count_is_a_matter_of_scale(request_ns, not_counted):
    assert settling(request_ns) == not_counted
    bench = FakeBench(cost=lambda rows: request_ns, shared=True)
    seconds = max(0.2, 4 * request_ns / 1e9)
    turn_s = max(0.005, request_ns / 1e9)
    found = window(bench, seconds, turn_s, median_ns=request_ns)
    assert found.uncounted == not_counted * (int(found.rounds[-1]) + 1)


def test_uncounted_requests_are_in_no_array_and_others_time_is_in_no_latency():
    warm, cold = [MS] * 25, [9 * MS]
    bench = FakeBench(times=cycle([*cold, *warm]), shared=True, others_ns=70 * MS)
    found = window(bench)
    assert (durations(found.stamps) == MS).all()
    starts = found.stamps[:, 0]
    assert (starts[25::25] - (starts[24:-1:25] + MS) == 79 * MS).all(), "another's turn and one request lie between"


class Throttled(FakeBench):
    """A model of 5 ms of CPU time under a quota of 50 ms in each 100 ms, which others' turns leave unused."""

    def __init__(self, **how) -> None:
        super().__init__(shared=True, others_ns=230 * MS, settle_s=0.1, **how)
        self.period, self.used, self.begun = -1, 0, []

    def next_turn(self) -> bool:
        self.period = -1
        return super().next_turn()

    def infer(self, feed: int) -> None:
        self.calls += 1
        left = 5 * MS
        while left:
            if (now := self.now // (100 * MS)) != self.period:
                self.period, self.used = now, 0
            room = min(left, 50 * MS - self.used, (self.period + 1) * 100 * MS - self.now)
            self.now, self.used, left = self.now + room, self.used + room, left - room
            if self.used >= 50 * MS and left:
                self.now = (self.period + 1) * 100 * MS


def test_under_a_quota_a_turn_counts_when_its_first_period_is_over():
    bench = Throttled()
    found = window(bench, seconds=3.0, turn_s=1.0, median_ns=5 * MS)
    latency = durations(found.stamps)
    assert found.rounds.max() == 2 and len(latency) / (latency.sum() / 1e9) == pytest.approx(100, rel=0.03)
    assert np.quantile(latency, 0.5) == 5 * MS and np.quantile(latency, 0.95) >= 50 * MS
    settled = [count for step, count in bench.steps if step == "turn"]
    assert all(10 <= count <= 20 for count in settled) and found.uncounted == sum(settled)


def test_without_settling_a_short_turn_looks_like_a_whole_core():
    """What the rule is for: the same model in turns of 25 ms."""
    bench = Throttled()
    bench.job = FakeBench().job
    latency = durations(window(bench, seconds=0.5, turn_s=0.025, median_ns=5 * MS).stamps)
    assert latency.max() == 5 * MS


@pytest.mark.parametrize(
    ("seconds", "turn_s", "settle_s", "length"),
    [
        (0.5, 0.025, 0.0, Length(0.5, 0.025, MANY)),
        (0.5, 1.0, 0.1, Length(1.0, 1.0, MANY)),
        (3.0, 1.0, 0.1, Length(3.0, 1.0, MANY)),
        (0.1, 0.025, 0.1, Length(0.2, 0.2, MANY)),
    ],
)
def test_a_window_under_a_quota_holds_a_turn(seconds, turn_s, settle_s, length):
    assert length_of(FakeBench(turn_s=turn_s, settle_s=settle_s).job, seconds, MANY) == length


def test_a_slow_model_has_a_turn_for_each_request():
    bench = FakeBench(cost=lambda rows: 500 * MS, shared=True)
    found = window(bench, seconds=2.0, turn_s=0.5, median_ns=500 * MS)
    assert counted(bench) == [1] * 4 and found.uncounted == 0
    one = FakeBench(cost=lambda rows: 5_000 * MS)
    found = window(one, seconds=1.0, turn_s=5.0, median_ns=5_000 * MS)
    assert (len(found.stamps), found.rounds.tolist()) == (1, [0]), "one request is a window, if longer than was meant"


def test_a_wrong_guess_of_the_scale_is_put_right_after_one_turn():
    bench = FakeBench(cost=lambda rows: MS)
    found = window(bench, median_ns=10 * MS)
    assert counted(bench)[0] in (2, 3) and counted(bench)[1:] == [25] * 39
    assert found.ended_by == "turns"


@pytest.mark.parametrize(("factor", "ended_by"), [(10, "turns"), (40, "time")])
def test_a_model_that_becomes_slower_shortens_its_turns_and_ends_by_time(factor, ended_by):
    bench = FakeBench(times=[*repeat(MS, 200), *repeat(factor * MS, 2000)])
    found = window(bench)
    assert found.ended_by == ended_by
    assert durations(found.stamps).sum() < (3 + 0.025 * factor) * 1e9, "three times its seconds, and one turn too long"
    assert counted(bench)[0] == 25 and counted(bench)[-1] <= 6, "turns keep their seconds, not their requests"


@given(st.integers(1, 5000), st.booleans())
def test_no_window_has_more_samples_than_it_may(most, shared):
    bench = FakeBench(times=cycle([MS, 3 * MS]), shared=shared)
    found = window(bench, seconds=100, turn_s=0.1, most=most)
    assert len(found.stamps) == len(found.rounds) == most and found.ended_by == "samples"
    assert found.stamps.dtype == found.rounds.dtype == np.int64


@given(
    st.floats(0.01, 3.0),
    st.floats(0.002, 3.0),
    st.lists(st.integers(100 * US, 50 * MS), min_size=1, max_size=30),
    st.booleans(),
)
def test_turns_are_numbered_from_0_without_gaps_and_share_the_seconds(seconds, turn_s, times, shared):
    bench = FakeBench(times=cycle(times), shared=shared, others_ns=MS)
    length = Length(seconds, turn_s, MANY)
    assert length.turns == max(1, round(seconds / turn_s))
    found = window(bench, seconds, turn_s)
    turns = len(counted(bench))
    assert turns == length.turns if found.ended_by == "turns" else turns <= length.turns
    assert [np.count_nonzero(found.rounds == turn) for turn in range(turns)] == counted(bench)
    assert (found.stamps[1:, 0] >= found.stamps[:-1, 1]).all()


def test_a_windows_record_tells_all_of_it():
    bench = FakeBench(shared=True, turn_s=0.05)
    run_window(bench, "one", "one.b4", 4, Length(1.0, bench.job.turn_s, MANY))
    (made,) = bench.windows
    assert (made.name, made.scenario, made.batch_size, made.steady) == ("one.b4", "one", 4, True)
    assert (made.warm_up_samples, made.warm_up_ns) == (53, 53 * MS)
    assert (made.samples, made.rounds, made.uncounted, made.ended_by) == (1000, 20, 20, "turns")
    assert made.elapsed_ns == bench.arrays["one.b4"]["latency"].sum()
    assert bench.steps[0] == ("warm_up:one.b4", 53)


def test_a_later_window_of_a_process_warms_up_for_less_time_and_gives_up_sooner():
    """Windows of a tenth of a second: of requests of 50 µs that agree, and of ones that never do."""
    levels = (int(50_000 * (1 + 0.2 * (number // 40 % 7))) for number in count())
    for bench, at_first, afterwards in (
        (FakeBench(lambda rows: 50_000), 0.012, 0.006),
        (FakeBench(times=levels), 0.55, 0.2),
    ):
        for name in ("one.b1", "one.b8"):
            run_window(bench, "one", name, 1, Length(0.1, bench.job.turn_s, MANY))
        once, later = bench.windows
        assert later.warm_up_ns < 1e9 * afterwards < once.warm_up_ns < 1e9 * at_first


def test_a_later_window_of_a_slow_model_warms_up_with_its_first_requests():
    bench = FakeBench(lambda rows: 100 * MS)
    for name in ("one.b1", "one.b8"):
        run_window(bench, "one", name, 1, Length(0.1, bench.job.turn_s, MANY))
    assert [(window.warm_up_samples, window.steady) for window in bench.windows] == [(2, True), (1, True)]


def test_the_collector_is_off_in_a_window_and_on_afterwards():
    with quiet_gc():
        assert not gc.isenabled()
    assert gc.isenabled()
