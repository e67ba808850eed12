"""How a budget is spent, as pure rules: orders, numbers of blocks, lengths of windows and turns, groups by memory."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.run import cells
from harness.launch.rounds import has_turn
from harness.pipeline import plan
from harness.pipeline.plan import Cost, Windows
from harness.scenarios.closed_loop import Length
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Budget, Candidate, Suite
from harness.spec.target import Target
from harness.spec.wire import SLOW_S

NAMES = st.lists(st.text("abc@", min_size=1, max_size=4), min_size=1, max_size=8, unique=True)
SEEDS = st.integers(0, 2**32)
SECONDS = st.floats(0.01, 100.0)
COSTS = st.builds(
    Cost,
    setup_s=st.floats(0.05, 20.0),
    request_s=st.floats(1e-5, 20.0),
    others_s=st.floats(0.0, 20.0),
    needed=st.integers(1, 20_000),
    least_s=st.just(0.0) | st.floats(0.0, 20.0),
    gap_s=st.just(0.0) | st.floats(1e-5, 1000.0),
)
FIELDS = st.lists(COSTS, min_size=1, max_size=12).map(lambda costs: {f"c{i}": cost for i, cost in enumerate(costs)})
WINDOWS = st.builds(Windows, first_s=st.floats(0.01, 10.0), others_s=st.floats(0.0, 10.0))


def suite(trials=3, most=30):
    return Suite(
        description="",
        targets=("t",),
        candidate=tuple(Candidate(name=f"c{i}", path="x.onnx") for i in range(2)),
        scenario=(SingleStream(name="s"),),
        budget=Budget(trials=trials, max_trials=most),
    )


def test_cells_are_every_candidate_on_every_target():
    targets = [Target(name=name, description="", runtime="fake") for name in ("t", "u")]
    assert [cell.name for cell in cells(suite(), targets)] == ["c0@t", "c1@t", "c0@u", "c1@u"]


@given(NAMES, SEEDS, st.integers(0, 50))
def test_a_block_is_every_cell_once_numbered_on(names, seed, number):
    made = plan.block(names, seed, number)
    assert sorted(planned.cell for planned in made) == sorted(names)
    assert {planned.block for planned in made} == {number}
    first = number * len(names)
    assert [planned.sequence for planned in made] == list(range(first, first + len(names)))
    assert plan.block(names, seed, number) == made


def test_orders_differ_between_blocks_and_seeds_and_favour_no_cell():
    names = tuple("abcd")
    orders = {tuple(p.cell for p in plan.block(names, seed, number)) for seed in (0, 1) for number in range(40)}
    assert len(orders) > 12  # of 24
    first = [plan.block(names, 7, number)[0].cell for number in range(400)]
    assert all(60 <= first.count(name) <= 140 for name in names)  # 100 expected, sd 8.7


def test_a_run_wants_five_blocks_a_quick_one_three_or_what_the_suite_asks_for():
    assert plan.wanted_blocks(suite(), quick=False) == 5
    assert plan.wanted_blocks(suite(most=2), quick=False) == 2, "no more than the suite allows"
    assert plan.wanted_blocks(suite(), quick=True) == 3
    assert plan.wanted_blocks(suite(trials=8), quick=False) == plan.wanted_blocks(suite(trials=8), quick=True) == 8


A_SECOND = Windows(first_s=1.0, others_s=2.0)
QUICK = Cost(setup_s=0.5, request_s=0.001, others_s=0.1, needed=500)


def test_the_cost_of_a_trial_in_literal_numbers():
    assert A_SECOND.cost_s(QUICK, 1.0) == pytest.approx(0.5 + 1.12 * 3.0)
    assert A_SECOND.cost_s(QUICK, 0.1) == pytest.approx(0.5 + 1.12 * 0.3)
    assert A_SECOND.cost_s(QUICK, 4.0) == pytest.approx(0.5 + 1.12 * (4.0 + 2.0)), "only the first scenario grows"
    slow = Cost(setup_s=5.0, request_s=10.0, others_s=30.0, needed=500)
    assert A_SECOND.cost_s(slow, 0.1) == pytest.approx(5.0 + 1.12 * (2 * 10.0 + 30.0)), "two requests at the least"


def test_a_window_under_a_quota_costs_a_turn_at_least():
    quota = QUICK._replace(least_s=1.0)
    assert A_SECOND.cost_s(quota, 0.1) == pytest.approx(0.5 + 1.12 * (1.0 + 0.2))
    assert A_SECOND.cost_s(quota, 4.0) == A_SECOND.cost_s(QUICK, 4.0)
    assert plan.turn(3.0, 1.0, 0.001, 1.0) == plan.Turn(1.0, 50 / 3)


def test_the_number_of_blocks_in_literal_numbers():
    shortest = A_SECOND.cost_s(QUICK, plan.SHORTEST)  # 0.836 s
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 30.0, 5, 30) == 5
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 66.8, 5, 30) == 8, "processes start in a second: eight take 12 %"
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 1000.0, 5, 30) == plan.MOST_BLOCKS
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 7 * shortest, 5, 30) == 3
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 0.1, 5, 30) == plan.FEWEST_BLOCKS
    assert plan.planned_blocks([], A_SECOND, 0.1, 5, 30) == 5
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 1000.0, 5, 3) == 3, "the suite allows no more"
    assert plan.planned_blocks([QUICK] * 2, A_SECOND, 1000.0, 5, 1) == 1


@given(FIELDS, WINDOWS, st.floats(0.1, 1e4), st.floats(0.0, 1e4), st.integers(2, 30))
def test_blocks_fit_the_budget_are_more_than_wanted_only_where_cheap_and_grow_with_it(
    field, windows, budget_s, more_s, wanted
):
    costs = list(field.values())
    blocks = plan.planned_blocks(costs, windows, budget_s, wanted, 30)
    assert plan.FEWEST_BLOCKS <= blocks <= max(wanted, plan.MOST_BLOCKS)
    setup_s = math.fsum(cost.setup_s for cost in costs)
    assert blocks <= max(wanted, plan.FEWEST_BLOCKS) or blocks * setup_s <= plan.SETUP_FRACTION * budget_s * (1 + 1e-9)
    shortest = math.fsum(windows.cost_s(cost, plan.SHORTEST) for cost in costs)
    assert blocks == plan.FEWEST_BLOCKS or blocks * shortest <= budget_s * (1 + 1e-9)
    assert blocks <= plan.planned_blocks(costs, windows, budget_s + more_s, wanted, 30)


@given(FIELDS, WINDOWS, st.integers(2, 30))
def test_a_budget_of_the_seconds_wanted_buys_the_blocks_that_are_wanted(field, windows, wanted):
    costs = list(field.values())
    seconds = plan.seconds_wanted(costs, windows, wanted)
    assert plan.planned_blocks(costs, windows, seconds * (1 + 1e-9), wanted, 30) >= wanted


def total(field, windows, stretch):
    return math.fsum(windows.cost_s(cost, stretch[name]) for name, cost in field.items())


@given(FIELDS, WINDOWS, st.floats(0.0, 1e4))
def test_a_block_takes_the_room_that_it_has_or_as_little_as_it_can(field, windows, room_s):
    stretch = plan.stretches(field, windows, room_s)
    assert stretch.keys() == field.keys()
    assert all(each >= plan.SHORTEST for each in stretch.values())
    least = total(field, windows, dict.fromkeys(field, plan.SHORTEST))
    assert total(field, windows, stretch) <= max(room_s, least) * (1 + 1e-9)


@given(FIELDS, WINDOWS, st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_more_room_shortens_no_window(field, windows, room_s, more_s):
    less, more = (plan.stretches(field, windows, seconds) for seconds in (room_s, room_s + more_s))
    assert all(less[name] <= more[name] * (1 + 1e-9) for name in field)


@given(FIELDS, WINDOWS, st.floats(0.0, 1e4))
def test_all_cells_are_stretched_alike_but_for_those_that_have_enough(field, windows, room_s):
    stretch = plan.stretches(field, windows, room_s)
    most = plan.stretches(field, windows, 1e12)
    level = max(stretch.values())
    for name, each in stretch.items():
        assert each == pytest.approx(min(level, most[name]))
        assert most[name] >= plan.useful(field[name], windows) * (1 - 1e-9) >= 1 - 1e-9


@given(FIELDS, WINDOWS, st.floats(1.0, 1e4))
def test_room_is_used_as_far_as_longer_windows_serve(field, windows, room_s):
    stretch = plan.stretches(field, windows, room_s)
    most = plan.stretches(field, windows, 1e12)
    if total(field, windows, dict.fromkeys(field, plan.SHORTEST)) <= room_s:
        used = total(field, windows, stretch)
        assert used >= min(room_s, total(field, windows, most)) * (1 - 1e-3)


def test_stretches_in_literal_numbers():
    windows = Windows(first_s=1.0, others_s=0.0)
    fast = Cost(setup_s=0.1, request_s=0.0001, others_s=0.0, needed=1000)
    slow = Cost(setup_s=0.1, request_s=0.01, others_s=0.0, needed=1000)
    assert plan.stretches({"fast": fast, "slow": slow}, windows, 1e9) == pytest.approx({"fast": 1.0, "slow": 10.0})
    half = plan.stretches({"fast": fast, "slow": slow}, windows, 0.2 + 1.12)
    assert half == pytest.approx({"fast": 0.5, "slow": 0.5}, rel=1e-6)
    loads_long = fast._replace(setup_s=8.0)
    assert plan.stretches({"a": loads_long}, windows, 1e9) == pytest.approx({"a": 16.0}), "most time is for measuring"


def test_nothing_to_stretch():
    assert plan.stretches({}, A_SECOND, 1.0) == {}


@pytest.mark.parametrize(
    ("blocks_left", "last_s", "seconds"),
    [(5, None, 9.7 / 5), (1, 3.0, 9.7), (0, 3.0, 9.7 / 3), (-4, 2.0, 9.7 / 5), (0, 30.0, 9.7), (0, None, 9.7)],
)
def test_the_room_of_a_block_is_an_equal_part_of_what_is_left_and_like_the_last_beyond_the_plan(
    blocks_left, last_s, seconds
):
    assert plan.room(10.0, 0.0, blocks_left, last_s) == pytest.approx(seconds)
    assert plan.room(10.0, 11.0, blocks_left, last_s) == 0.0


@given(st.floats(1.0, 1e4), st.integers(2, 30), st.integers(0, 20))
def test_blocks_that_take_their_room_stay_within_the_budget(budget_s, planned, more):
    spent, last_s = 0.0, None
    for done in range(planned + more):
        last_s = plan.room(budget_s, spent, planned - done, last_s)
        spent += last_s
    assert 0.9 * budget_s <= spent <= budget_s


@given(SECONDS, SECONDS, st.floats(1e-5, 20.0))
def test_a_cell_sees_the_same_moments_as_the_typical_one(window_s, typical_s, request_s):
    """Its turns, spread over the rounds that it rests in, last as long as the block does."""
    turn = plan.turn(window_s, typical_s, request_s)
    typical = plan.turn(typical_s, typical_s, 1e-5)
    own = Length(window_s, turn.seconds, 1).turns
    rounds = Length(typical_s, typical.seconds, 1).turns
    assert turn.every >= 1 and typical.every == 1
    assert own <= rounds
    assert own * turn.every == pytest.approx(rounds)
    assert sum(has_turn(number, turn.every) for number in range(rounds)) in (own - 1, own, own + 1)
    assert turn.seconds >= request_s


@given(SECONDS, st.floats(1e-5, 20.0))
def test_a_turn_is_a_fiftieth_of_the_window_but_holds_some_requests(window_s, request_s):
    turn = plan.turn(window_s, window_s, request_s)
    requests = plan.FEW if request_s <= SLOW_S else 4 if request_s <= plan.VERY_SLOW_S else 1
    assert turn.seconds >= min(window_s, requests * request_s) * (1 - 1e-9)
    plain = min(plan.TURN_S, max(plan.SHORTEST_TURN_S, window_s / plan.TURNS))
    assert turn.seconds <= max(1.5 * plain, window_s if window_s < plain else 0.0, requests * request_s) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("window_s", "typical_s", "request_s", "seconds", "every"),
    [
        (1.0, 1.0, 0.0001, 0.02, 1),
        (10.0, 10.0, 0.0001, 0.025, 1),
        (0.1, 0.1, 0.0001, 0.1 / 12, 1),
        (1.0, 1.0, 0.004, 0.064, 50 / 16),  # 16 requests of 4 ms: it rests in two of three rounds
        (10.0, 10.0, 0.01, 0.16, 400 / 62),
        (10.0, 10.0, 0.05, 0.2, 8),  # four of 50 ms
        (5.0, 1.0, 0.005, 0.1, 1),  # a longer window has longer turns
        (1.0, 1.0, 0.5, 0.5, 25),
        (5.0, 1.0, 5.0, 5.0, 50),
    ],
)
def test_turns_in_literal_numbers(window_s, typical_s, request_s, seconds, every):
    turn = plan.turn(window_s, typical_s, request_s)
    assert (turn.seconds, turn.every) == pytest.approx((seconds, every))


NEED = st.builds(plan.Needs, st.integers(0, 1000), st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]))
NEEDS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), NEED, max_size=10)


@given(NEEDS, st.integers(0, 2000))
def test_groups_fit_into_memory_and_on_the_gpu_and_keep_the_order(needs, free):
    names = list(needs)
    found = plan.groups(names, needs, free)
    assert [name for group in found for name in group] == names
    room = plan.MEMORY_FRACTION * free
    for group in found:
        on_gpu = [needs[name].device_share for name in group if needs[name].device_share > 0]
        assert len(group) == 1 or sum(needs[name].memory_bytes for name in group) <= room
        assert len(on_gpu) <= 1 or sum(on_gpu) <= plan.MEMORY_FRACTION
    for group, following in itertools.pairwise(found):
        both = [needs[name] for name in (*group, following[0])]
        memory, share = sum(each.memory_bytes for each in both), sum(each.device_share for each in both)
        assert memory > room or share > plan.MEMORY_FRACTION, "as many side by side as fit"


def test_groups_in_literal_numbers():
    memory = {name: plan.Needs(size) for name, size in {"a": 300, "b": 300, "c": 700, "d": 10}.items()}
    assert plan.groups("abcd", memory, 1000) == (("a", "b"), ("c",), ("d",))
    assert plan.groups("abcd", memory, 10_000) == (("a", "b", "c", "d"),)
    assert plan.groups("ab", {}, 0) == (("a", "b"),), "what is not known is taken as nothing"
    assert plan.groups("", {}, 0) == ()


def test_cells_on_a_gpu_that_takes_one_process_at_a_time_are_alone_on_it():
    needs = {name: plan.Needs(10, share) for name, share in zip("abcde", (1.0, 0.0, 1.0, 0.0, 1.0), strict=True)}
    assert plan.groups("abcde", needs, 1000) == (("a", "b"), ("c", "d"), ("e",))
    assert not plan.side_by_side(1.0, 3) and plan.side_by_side(0.15, 3) and plan.side_by_side(0.0, 3)


@given(st.integers(1, 100_000), st.integers(1, 60))
def test_requests_that_are_needed_of_each_trial_make_the_whole_with_more_for_fewer_trials(samples, blocks):
    needed = plan.requests_needed(samples, blocks)
    assert needed * max(blocks, 2) >= 1.15 * samples
    assert plan.requests_needed(samples, blocks + 1) <= needed
    assert plan.requests_needed(samples + 1, blocks) >= needed


def test_requests_needed_in_literal_numbers():
    # Student's 0.975 quantile for 4 degrees of freedom is 2.776; (2.776 / 1.960)² = 2.007
    assert plan.requests_needed(368, 5) == math.ceil(368 * 1.15 * 2.0068 / 5) == 170
    assert plan.requests_needed(368, 30) == math.ceil(368 * 1.15 * 1.0889 / 30) == 16


def test_requests_that_wait_wait_together_so_that_more_are_needed():
    """(1 + rho) / (1 - rho)^2, as long as a queue can be expected to end."""
    assert [plan.queue_effect(busy) for busy in (0.0, 0.5, 0.75)] == [1.0, 6.0, 28.0]
    assert plan.queue_effect(0.99) == plan.queue_effect(0.8) == pytest.approx(45.0)
    assert plan.queue_effect(-0.1) == 1.0


def test_windows_serve_up_to_the_requests_that_are_needed():
    half = plan.Windows(first_s=0.5, others_s=0.0)
    cost = plan.Cost(setup_s=0.1, request_s=0.02, others_s=0.0, needed=100)
    assert plan.useful(cost, half) == pytest.approx(4.0), "2 s of half a second"
    assert plan.useful(cost._replace(needed=10), half) == 1.0
    assert plan.useful(cost._replace(gap_s=0.04), half) == pytest.approx(8.0), "arrivals are rarer than requests take"
