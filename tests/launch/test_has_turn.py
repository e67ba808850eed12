"""Which rounds a job that rests takes its turns in: as many as it is meant to, evenly spread."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.launch.rounds import has_turn


@given(st.floats(1.0, 50.0))
def test_turns_are_spread_evenly(every):
    taken = [number for number in range(500) if has_turn(number, every)]
    assert taken[0] == 0 and abs(len(taken) - 500 / every) <= 1
    assert all(int(every) <= later - earlier <= int(every) + 1 for earlier, later in pairwise(taken))


def test_five_of_eight():
    assert [has_turn(number, 1.6) for number in range(8)] == [True, False, True, False, True, True, False, True]
