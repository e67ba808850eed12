"""MLPerf LoadGen drives a model in this process: the oracle that our own traffic is compared with.

One thread: LoadGen calls back into Python where a query is issued, and the model is run inside that call. That is the
least that a system under test can do; the usual queue and worker threads of Python submissions only add to it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np
from inprocess import Seen

Infer = Callable[[Any], Any]
_AT_EASE_NS = 10**12
"""A latency target that no run misses: whether a run is valid is not asked here."""
_SAMPLE = re.compile(
    r'"name":"Sample".*"ph":"b".*"ts":([\d.]+).*"sample_seq":(\d+).*"issue_start_ns":(\d+),"complete_ns":(\d+)'
)


def single_stream(infer: Infer, feeds: Sequence[Any], seconds: float) -> Seen:
    """Send one query after another."""
    return _traced(infer, feeds, _settings(lg.TestScenario.SingleStream, seconds))


def server(infer: Infer, feeds: Sequence[Any], seconds: float, rate: float, seed: int) -> Seen:
    """Send queries as a Poisson process; the same seed gives the same arrivals."""
    settings = _settings(lg.TestScenario.Server, seconds)
    settings.server_target_qps, settings.schedule_rng_seed = rate, seed
    return _traced(infer, feeds, settings)


def offline(infer: Infer, batches: Sequence[Any], rows: int, samples: int) -> Seen:
    """Send all samples in one query, which is served in batches of `rows`."""
    settings = _settings(lg.TestScenario.Offline, 0.001)
    settings.min_query_count, settings.offline_expected_qps = 1, samples / 0.0011
    begun = 0

    def issue(queries: Sequence[Any]) -> None:
        nonlocal begun
        begun = len(queries)
        for first in range(0, len(queries), rows):
            infer(batches[first // rows % len(batches)])
            lg.QuerySamplesComplete([lg.QuerySampleResponse(q.id, 0, 0) for q in queries[first : first + rows]])

    with tempfile.TemporaryDirectory() as folder:
        _run(issue, settings, Path(folder), trace=False)
        per_s = _value(Path(folder), "Samples per second")
    none = np.zeros(0, dtype=np.int64)
    return Seen(none, none, none, per_s)


def _settings(scenario: Any, seconds: float) -> Any:
    settings = lg.TestSettings()
    settings.scenario, settings.mode = scenario, lg.TestMode.PerformanceOnly
    settings.min_duration_ms = max(1, round(seconds * 1e3))
    settings.min_query_count = 1
    settings.server_target_latency_ns = _AT_EASE_NS
    return settings


def _traced(infer: Infer, feeds: Sequence[Any], settings: Any) -> Seen:
    count = len(feeds)

    def issue(queries: Sequence[Any]) -> None:
        for query in queries:
            infer(feeds[query.index % count])
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    with tempfile.TemporaryDirectory() as folder:
        _run(issue, settings, Path(folder), trace=True)
        return _read(Path(folder) / "mlperf_log_trace.json")


def _run(issue: Callable[[Any], None], settings: Any, folder: Path, trace: bool) -> None:
    output = lg.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = str(folder), False
    logs = lg.LogSettings()
    logs.log_output, logs.enable_trace = output, trace
    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(64, 64, lambda _: None, lambda _: None)
    try:
        lg.StartTestWithLogSettings(sut, qsl, settings, logs)
    finally:
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)


def _read(trace: Path) -> Seen:
    """Read each sample's times off LoadGen's trace: its own numbers, to the ns; `ts` is in µs.

    By lines, since the file is not JSON: keys of log entries are quoted twice.
    """
    found = sorted(tuple(map(float, each.groups())) for each in map(_SAMPLE.search, trace.open()) if each)
    sequence, late, latency = (np.array([each[k] for each in found], dtype=np.int64) for k in (1, 2, 3))
    assert np.array_equal(np.sort(sequence), np.arange(len(found))), f"{trace}: samples are missing"
    due = np.array([round(each[0] * 1e3) for each in found], dtype=np.int64)
    done = due + latency
    idle = np.r_[True, done[:-1] < due[1:]]
    return Seen(latency, late[idle], due - due[0], len(due) / ((done[-1] - due[0]) / 1e9))


def _value(folder: Path, name: str) -> float:
    """Read one number of LoadGen's summary."""
    for line in (folder / "mlperf_log_summary.txt").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return float(value)
    raise ValueError(f"{folder}: LoadGen's summary has no '{name}'")
