from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.run import cells
from harness.pipeline import plan
from harness.scenarios.offline import Offline
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Budget, Candidate, Suite
from harness.spec.target import Target

NAMES = st.lists(st.text("abc@", min_size=1, max_size=4), min_size=1, max_size=8, unique=True)
SEEDS = st.integers(0, 2**32)


def suite(seconds=60.0, windows=(1.0,), candidates=2):
    return Suite(
        description="",
        targets=("t",),
        candidate=tuple(Candidate(name=f"c{i}", path="x.onnx") for i in range(candidates)),
        scenario=tuple(SingleStream(name=f"s{i}", seconds=w) for i, w in enumerate(windows)),
        budget=Budget(seconds=seconds),
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


def test_the_fraction_of_windows_in_literal_numbers():
    overheads = {"a": 1.0, "b": 1.0}
    # 3 blocks in 0.9 * 60 - 6 = 48 s: 16 s each, less 2 s of overhead; 2 * 10 s * 1.3 = 26 s are wanted
    assert plan.window_fraction(suite(60, (4, 6)), overheads, 3, 6.0) == pytest.approx(14 / 26)
    assert plan.window_fraction(suite(600, (4, 6)), overheads, 3, 6.0) == 1.0
    assert plan.window_fraction(suite(1, (4, 6)), overheads, 3, 6.0) == plan.SHORTEST_WINDOW
    assert plan.window_fraction(suite(), {}, 3, 6.0) == 1.0


@given(
    st.floats(1, 1e4),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=3),
    st.lists(st.floats(0, 5), min_size=1, max_size=6),
    st.integers(1, 20),
    st.floats(0, 100),
)
def test_windows_fit_the_budget_or_are_as_short_as_they_may_be(seconds, windows, overheads, blocks, spent):
    fraction = plan.window_fraction(suite(seconds, windows), dict(enumerate(overheads)), blocks, spent)
    assert plan.SHORTEST_WINDOW <= fraction <= 1
    measuring = fraction * sum(windows) * len(overheads) + sum(overheads)
    assert fraction == plan.SHORTEST_WINDOW or spent + blocks * measuring <= seconds


@given(st.floats(1, 1e4), st.floats(1, 1e4))
def test_a_larger_budget_never_shortens_windows(budget, more):
    overheads = {"a": 1.0}
    assert plan.window_fraction(suite(budget), overheads, 5, 1.0) <= plan.window_fraction(
        suite(budget + more), overheads, 5, 1.0
    )


def test_an_offline_scenario_counts_once_whatever_its_batch_sizes():
    one = suite(windows=(2.0,))
    many = Suite(
        description="",
        targets=("t",),
        candidate=one.candidate,
        scenario=(Offline(name="o", seconds=2.0, batch_sizes=(1, 2, 4)),),
        budget=one.budget,
    )
    assert plan.window_fraction(many, {"a": 1.0}, 20, 0) == plan.window_fraction(one, {"a": 1.0}, 20, 0)
