"""Nights of a whole suite against its baseline, simulated: alarms without a cause, and a +5 % that is caught."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "stats" / "night_simulation.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("night_simulation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_no_alarm_without_a_cause_and_a_slow_row_is_caught(simulation, noise):
    world = simulation.World(rows=12, noise=noise, spread=0.015)
    alarms, caught, again, told = simulation.simulate(world, 12, seed=4)
    assert (alarms, caught) == (0, 12)
    assert 0 < again < 12 and told <= 0.01
