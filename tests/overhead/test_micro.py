"""Micro-benchmarks of the hot path (pytest-benchmark; run by `make overhead`, skipped in `make test`)."""

from __future__ import annotations

import os
import time
from itertools import cycle

import numpy as np
import pytest

from harness.probes.base import Probes
from harness.scenarios.closed_loop import timed
from harness.stats.quantiles import summarise

COUNT = 10_000


@pytest.fixture(autouse=True)
def only_when_asked(request):
    if not request.config.getoption("--benchmark-only"):
        pytest.skip("benchmarks run with `make overhead`")


@pytest.mark.benchmark(group="one sample × 10,000")
def test_floor_two_clock_reads_and_an_append(benchmark):
    def floor():
        clock, samples = time.perf_counter_ns, []
        append = samples.append
        for _ in range(COUNT):
            begin = clock()
            append(clock() - begin)

    benchmark(floor)


@pytest.mark.benchmark(group="one sample × 10,000")
def test_hot_loop_around_nothing(benchmark):
    feeds = cycle([{}])
    benchmark(lambda: timed(lambda feed: (), feeds, COUNT, time.perf_counter_ns))


@pytest.mark.benchmark(group="between chunks")
@pytest.mark.benchmark(group="parent")
def test_one_sample_of_all_probes(benchmark):
    probes = Probes()
    probes.start([os.getpid()])
    values = benchmark(probes.sample)
    assert values["process.rss_bytes"] > 0


@pytest.mark.benchmark(group="analysis")
def test_summary_of_a_million_samples(benchmark):
    samples = np.random.default_rng(0).integers(1, 1 << 30, 1_000_000)
    benchmark(lambda: summarise(samples, (0.5, 0.9, 0.95, 0.99, 0.999)))
