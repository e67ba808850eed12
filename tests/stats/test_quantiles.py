"""Percentiles: literal numbers, coverage where the truth is known, and bounded memory."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import quantiles
from harness.stats.quantiles import Ranks, quantile, quantile_ranks, samples_needed, summarise

INTS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=60)
FRACTIONS = st.floats(0.01, 0.999)


@pytest.mark.parametrize(("p", "n"), [(0.9, 36), (0.99, 368), (0.999, 3688), (0.5, 6), (0.1, 36)])
def test_samples_needed_is_the_first_n_with_two_finite_ends(p, n):
    assert samples_needed(p) == n
    assert all(map(math.isfinite, quantile(np.arange(n), p)))
    assert not all(map(math.isfinite, quantile(np.arange(n - 1), p)))


def test_quantile_is_the_order_statistic_of_the_contract():
    ordered = np.arange(1, 101)
    assert [quantile(ordered, p).value for p in (0.5, 0.9, 0.99, 0.999)] == [51, 91, 100, 100]
    assert quantile(np.arange(5), 0.5).value == 2 and quantile(np.arange(7), 0.9).value == 6
    assert quantile(np.array([7]), 0.5) == (7, -math.inf, math.inf)
    assert quantile(np.arange(1, 101), 0.5) == (51, 40, 61)


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
    made = quantile(np.arange(367), 0.99)
    assert math.isinf(made.high) and made.low == 358.0


@pytest.mark.parametrize(("sigma", "p", "truth"), [(0.5, 0.99, 3.2), (0.5, 0.999, 4.69), (0.5, 0.5, 1.0)])
def test_lognormal_is_covered_in_185_of_200(sigma, p, truth):
    rng = np.random.default_rng(7)
    ordered = np.sort(rng.lognormal(0.0, sigma, size=(200, 4000)), axis=1)
    exact = math.exp(sigma * {0.5: 0.0, 0.99: 2.3263479, 0.999: 3.0902323}[p])
    assert exact == pytest.approx(truth, rel=1e-2)
    covered = sum(low <= exact <= high for _, low, high in (quantile(row, p) for row in ordered))
    assert covered >= 185


@given(INTS, FRACTIONS)
def test_the_interval_contains_the_value_and_order_does_not_matter(samples, p):
    ordered = np.sort(np.array(samples, dtype=np.int64))
    made = quantile(ordered, p)
    assert made.low <= made.value <= made.high
    assert summarise(np.array(samples, dtype=np.int64), [p]) == {p: made}


@given(st.integers(1, 400), FRACTIONS)
def test_more_confidence_never_narrows(n, p):
    ordered = np.arange(n)
    narrow, wide = quantile(ordered, p, 0.8), quantile(ordered, p, 0.99)
    assert wide.low <= narrow.low and narrow.high <= wide.high


def test_a_mapped_file_is_summarised_over_several_copied_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(quantiles, "_COPY_SAMPLES", 1000)
    samples = np.random.default_rng(1).lognormal(14, 1, 70_123).astype(np.int64)
    np.save(tmp_path / "s.npy", samples)
    mapped = np.load(tmp_path / "s.npy", mmap_mode="r")
    ps = (0.5, 0.9, 0.99, 0.999)
    for passed, plain in ((mapped, samples), (mapped[3:], samples[3:]), (mapped[::2], samples[::2])):
        ordered = np.sort(plain)
        assert summarise(passed, ps) == {p: quantile(ordered, p) for p in ps}
    assert np.array_equal(mapped, samples)


def test_samples_and_the_changes_of_a_private_mapping_are_kept(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros(5, dtype=np.int64))
    private = np.load(tmp_path / "s.npy", mmap_mode="c")
    private[:] = [5, 4, 3, 2, 1]
    assert summarise(private, [0.5])[0.5].value == summarise(private, [0.5])[0.5].value == 3.0
    assert list(private) == [5, 4, 3, 2, 1]


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


def test_thirty_million_mapped_samples_need_the_memory_of_one_copy(tmp_path):
    values = np.random.default_rng(2).lognormal(14, 0.5, 1_000_000).astype(np.int64)
    mapped = np.lib.format.open_memmap(tmp_path / "b.npy", mode="w+", dtype=np.int64, shape=(30_000_000,))
    for start in range(0, mapped.size, values.size):
        mapped[start : start + values.size] = values
    mapped_size = mapped.size
    del mapped
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(tmp_path / "b.npy")], capture_output=True, text=True, check=True
    )
    copy_kib = 8 * mapped_size / 1024
    assert int(done.stdout) < 1.3 * copy_kib  # twice without the release of mapped pages


def test_the_child_gets_these_modules_without_scipy():
    code = "import sys, harness.stats.stopping; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("call", [lambda: quantile(np.array([]), 0.5), lambda: summarise(np.array([]), [0.5])])
def test_no_samples_are_refused(call):
    with pytest.raises(ValueError, match="no samples"):
        call()


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_impossible_fractions_are_refused(p):
    for call in (lambda: quantile(np.arange(5), p), lambda: samples_needed(p)):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            call()
