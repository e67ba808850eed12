"""The arithmetic of `make overhead`; the figures themselves are not tests, they take minutes of a quiet machine."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module


def test_a_figure_is_missed_only_if_its_interval_is_outside_too(scripts):
    figure = scripts("figure")
    inside = figure.Figure("x", 1.0, "", 1, 0.98, 1.02)
    near = inside._replace(value=1.03, interval=(1.01, 1.05))
    far = inside._replace(value=1.05, interval=(1.03, 1.07))
    assert (inside.reached, near.reached, far.reached) == (True, False, False)
    assert (inside.missed, near.missed, far.missed) == (False, False, True)
    assert [figure.text(each).split()[0] for each in (inside, near, far)] == ["ok", "unclear", "MISSED"]
    assert figure.text(inside._replace(note="one\ntwo")).splitlines()[1:] == ["        one", "        two"]


def test_the_interval_of_a_median_covers_it_in_95_percent_of_samples(scripts):
    figure, rng, trials = scripts("figure"), np.random.default_rng(0), 2_000
    for n in (7, 120):
        found = [figure.median("x", rng.lognormal(0, 0.5, n), 0, 9).interval for _ in range(trials)]
        covered = np.mean([low <= 1.0 <= high for low, high in found])
        assert 0.94 <= covered <= 0.99, (n, covered)


def test_a_ratio_of_spreads_is_that_of_the_samples(scripts):
    figure, values = scripts("figure"), np.random.default_rng(0).standard_normal(8)
    found = figure.spread("x", 0.25 * values, values, 1.0)
    assert found.value == pytest.approx(0.25) and found.interval[0] < 0.25 < found.interval[1] < 1


def test_each_cycle_gives_a_model_as_many_turns_alone_as_in_rounds(scripts):
    schedule = scripts("rounds").Schedule([12, 8, 2], seed=1)
    assert schedule(0, 6) == [0, 1, 2, 3, 4, 5] and schedule.kinds == [[], [], []]
    for number in (1, 2):
        places = schedule(number, 6)
        for model, turns in enumerate((12, 8, 2)):
            kinds = schedule.kinds[model]
            assert places.count(model + 3) == 1  # the bare loop
            assert places.count(model) * number == len(kinds)
            assert kinds.count("alone") == turns * number, model
            assert kinds.count("rounds") == turns * number, model
