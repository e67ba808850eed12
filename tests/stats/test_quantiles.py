"""Percentiles: literal numbers, coverage where the truth is known, and bounded-memory selection."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import quantiles, selection
from harness.stats.order import Ranks, quantile_ranks
from harness.stats.quantiles import Quantile, mean, quantile, quantile_interval, samples_needed, summarise

INTS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=60)
SHARES = st.floats(0.01, 0.999)


@pytest.mark.parametrize(("p", "n"), [(0.9, 36), (0.99, 368), (0.999, 3688), (0.5, 6), (0.1, 36)])
def test_samples_needed_is_the_first_n_with_two_finite_ends(p, n):
    assert samples_needed(p) == n
    assert all(map(math.isfinite, quantile_interval(np.arange(n), p)))
    assert not all(map(math.isfinite, quantile_interval(np.arange(n - 1), p)))


def test_quantile_is_the_order_statistic_of_the_contract():
    ordered = np.arange(1, 101)
    assert [quantile(ordered, p) for p in (0.5, 0.9, 0.99, 0.999)] == [51, 91, 100, 100]
    assert quantile(np.arange(5), 0.5) == 2 and quantile(np.arange(7), 0.9) == 6
    assert quantile(np.array([7]), 0.5) == 7


def test_ranks_of_a_hundred_match_published_tables():
    assert quantile_ranks(100, 0.5, 0.95) == Ranks(40, 61)  # Hahn & Meeker, table A.15
    assert quantile_ranks(10, 0.5, 0.95) == Ranks(2, 9)


def test_ranks_match_scipys_binomial():
    from scipy import stats

    for n, p in [(7, 0.5), (50, 0.9), (368, 0.99), (5000, 0.999), (100_000, 0.37)]:
        low, high = stats.binom.ppf([0.025, 0.975], n, p)
        expected = Ranks(int(low) or None, int(high) + 1 if high + 1 <= n else None)
        assert quantile_ranks(n, p, 0.95) == expected


def test_too_few_samples_leave_the_upper_end_unbounded():
    low, high = quantile_interval(np.arange(367), 0.99)
    assert math.isinf(high) and low == 358.0


@pytest.mark.parametrize(("sigma", "p", "truth"), [(0.5, 0.99, 3.2), (0.5, 0.999, 4.69), (0.5, 0.5, 1.0)])
def test_lognormal_is_covered_in_185_of_200(sigma, p, truth):
    rng = np.random.default_rng(7)
    ordered = np.sort(rng.lognormal(0.0, sigma, size=(200, 4000)), axis=1)
    exact = math.exp(sigma * {0.5: 0.0, 0.99: 2.3263479, 0.999: 3.0902323}[p])
    assert exact == pytest.approx(truth, rel=1e-2)
    covered = sum(low <= exact <= high for low, high in (quantile_interval(row, p) for row in ordered))
    assert covered >= 185


@given(INTS, SHARES)
def test_the_interval_contains_the_value_and_order_does_not_matter(samples, p):
    ordered = np.sort(np.array(samples, dtype=np.int64))
    low, high = quantile_interval(ordered, p)
    value = quantile(ordered, p)
    assert low <= value <= high
    assert summarise(np.array(samples, dtype=np.int64), [p])[p] == Quantile(value, low, high)


@given(st.integers(1, 400), SHARES)
def test_more_confidence_never_narrows(n, p):
    ordered = np.arange(n)
    narrow, wide = quantile_interval(ordered, p, 0.8), quantile_interval(ordered, p, 0.99)
    assert wide.low <= narrow.low and narrow.high <= wide.high


@settings(max_examples=60)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9), min_size=1, max_size=40), st.data())
def test_selection_equals_sorting(samples, data):
    ranks = data.draw(st.lists(st.integers(0, len(samples) - 1), min_size=1, max_size=6))
    assert selection.at_ranks(np.array(samples), ranks) == {r: sorted(samples)[r] for r in ranks}


def test_selection_over_several_chunks_of_a_mapped_file(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "CHUNK", 1000)
    monkeypatch.setattr(quantiles, "SORT_UP_TO", 10)
    samples = np.random.default_rng(1).lognormal(14, 1, 70_123).astype(np.int64)
    np.save(tmp_path / "s.npy", samples)
    mapped = np.load(tmp_path / "s.npy", mmap_mode="r")
    ps = (0.5, 0.9, 0.99, 0.999)
    ordered = np.sort(samples)
    assert summarise(mapped, ps) == {p: Quantile(quantile(ordered, p), *quantile_interval(ordered, p)) for p in ps}
    assert mean(mapped[3:]) == pytest.approx(samples[3:].mean(), rel=1e-12)


def test_a_private_mapping_keeps_its_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "RELEASE_EVERY", 1)
    np.save(tmp_path / "s.npy", np.zeros(selection.CHUNK + 5, dtype=np.int64))
    private = np.load(tmp_path / "s.npy", mmap_mode="c")
    private[0] = selection.CHUNK + 5
    assert mean(private) == mean(private) == 1.0


BIG = """
import sys, numpy as np
from harness.stats.quantiles import summarise
samples = np.load(sys.argv[1], mmap_mode="r")
peak = lambda: int(next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")))
summarise(samples[:10], [0.5])
before = peak()
summarise(samples, [0.5, 0.9, 0.99, 0.999])
print(peak() - before)
"""


def test_thirty_million_mapped_samples_stay_on_disk(tmp_path):
    values = np.random.default_rng(2).lognormal(14, 0.5, 1_000_000).astype(np.int64)
    mapped = np.lib.format.open_memmap(tmp_path / "b.npy", mode="w+", dtype=np.int64, shape=(30_000_000,))
    for start in range(0, mapped.size, values.size):
        mapped[start : start + values.size] = values
    del mapped
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(tmp_path / "b.npy")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 110 * 1024  # KiB; the file has 240 MB


def test_the_child_gets_these_modules_without_scipy():
    code = (
        "import sys, harness.stats.quantiles, harness.stats.steady, harness.stats.stopping;"
        "sys.exit('scipy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("call", [quantile, quantile_interval])
def test_no_samples_are_refused(call):
    with pytest.raises(ValueError, match="no samples"):
        call(np.array([]), 0.5)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_impossible_shares_are_refused(p):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        quantile_interval(np.arange(5), p)
