"""The noise between runs: what their rows share, and what is each row's own."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.between import run_noise


def drawn(runs: int, rows: int, common: float, own: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, common, (runs, 1)) + rng.normal(0, own, (runs, rows)) + np.arange(rows)


def test_common_and_own_noise_are_told_apart():
    found = run_noise(drawn(200, 12, 0.05, 0.01))
    assert found.common.error == pytest.approx(0.05, rel=0.15) and found.common.df == 199
    assert [part.error for part in found.own] == pytest.approx([0.01] * 12, rel=0.3)


def test_few_runs_tell_little_of_what_is_common_and_more_of_the_rest():
    found = run_noise(drawn(4, 20, 0.02, 0.01))
    assert found.common.df == 3
    assert min(part.df for part in found.own) > 5  # moderated by the other rows


def test_a_noisy_row_keeps_its_noise():
    values = drawn(8, 10, 0.0, 0.01)
    values[:, 3] += np.random.default_rng(1).normal(0, 0.2, 8)
    found = run_noise(values)
    assert found.own[3].error > 5 * max(part.error for row, part in enumerate(found.own) if row != 3)


def test_one_row_has_common_noise_only():
    found = run_noise(drawn(6, 1, 0.03, 0.0))
    assert found.common.error > 0.0 and found.own[0].error == pytest.approx(0.0, abs=1e-12)


def test_a_row_that_some_runs_lack():
    values = drawn(6, 5, 0.02, 0.01)
    values[2:4, 1] = np.nan
    found = run_noise(values)
    assert all(np.isfinite(part.error) and part.error > 0 for part in found.own)


def test_two_runs_do_not_tell():
    with pytest.raises(ValueError, match="3 are needed"):
        run_noise(drawn(2, 5, 0.1, 0.1))
