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


def test_it_says_what_is_found_and_what_a_finer_answer_takes():
    found = sensitivity(entries(0.02), POLICY)
    data = found.data
    assert found.message == (
        f"6 blocks find a difference of {data['ratio']:.1%} in p99 with 90% power; "
        f"2% would take about {data['wanted_blocks']}"
    )
    assert (found.code, data["metric"], data["blocks"]) == ("sensitivity", P99, 6)
    assert 0.03 < data["ratio"] < 0.09  # spread of a difference 2.8 %, six blocks
    assert data["wanted_blocks"] > 6


def test_drift_common_to_a_block_hides_nothing():
    assert sensitivity(entries(0.02), POLICY).data["ratio"] < sensitivity(entries(0.10), POLICY).data["ratio"]


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_pair_nothing_is_said(rows):
    assert sensitivity(entries(0.02, rows=rows), POLICY) is None
