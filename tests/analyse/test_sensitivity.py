"""What a run could have told apart, in words."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse.sensitivity import sensitivity
from harness.score.records import Entry
from harness.spec.policy import Objective, Policy

P99 = "latency_p99_ms"
POLICY = Policy(objectives={P99: Objective(weight=1, target=0.1, limit=10)})


def entries(spread, blocks=6, rows=8):
    rng = np.random.default_rng(1)
    drift = np.exp(0.3 * rng.standard_normal(blocks))
    values = [drift * np.exp(spread * rng.standard_normal(blocks)) for _ in range(rows)]
    return [
        Entry(candidate=f"c{i}", target="t", status="measured", trials={P99: tuple(v)}) for i, v in enumerate(values)
    ]


def share(text):
    return float(text.partition("difference of ")[2].partition("%")[0])


def test_it_says_what_is_found_and_what_a_finer_answer_takes():
    text = sensitivity(entries(0.02), POLICY)
    assert text.startswith("6 blocks find a difference of ") and "in p99 with 90% power; 2% would take about " in text
    assert 3 < share(text) < 9  # spread of a difference 2.8 %, six blocks


def test_drift_common_to_a_block_hides_nothing():
    assert share(sensitivity(entries(0.02), POLICY)) < share(sensitivity(entries(0.10), POLICY))


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_pair_nothing_is_said(rows):
    assert sensitivity(entries(0.02, rows=rows), POLICY) is None
