"""`server` and `multi_stream` on a bench without a model: arrivals, evidence, metrics, what cannot be served."""

from __future__ import annotations

from itertools import cycle, repeat
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EvidenceError
from harness.evidence.files import save_array
from harness.evidence.folder import BATCH, DEVICE, DUE, FREE, LATENCY, SERVER, START
from harness.scenarios.base import MeasuredWindow, kind
from harness.scenarios.multi_stream import MultiStream
from harness.scenarios.server import Server
from harness.stats.queueing import mean_wait_md1, stalled_quantile

from .bench import MS, FakeBench


def server(**fields: object) -> Server:
    rate = {} if {"utilisation", "trace"} & fields.keys() else {"rate_per_s": 500.0}
    return Server(**({"name": "load", "seconds": 10.0} | rate | fields))


def executed(scenario: Server, seed: int = 0, **bench: object) -> FakeBench:
    found = FakeBench(**bench)
    found.job = msgspec.structs.replace(found.job, seed=seed)
    kind(scenario).execute(scenario, found)
    return found


def measured(scenario: Server, folder: Path, **bench: object):
    return kind(scenario).metrics(scenario, executed(scenario, **bench).saved(folder))


def test_an_open_loop_leaves_its_evidence_in_one_turn() -> None:
    bench = executed(server(), shared=True, others_ns=70 * MS)
    (window,) = bench.windows
    kept = bench.arrays["load"]
    assert set(kept) == {DUE, FREE, START, SERVER, LATENCY}
    assert (window.samples, window.rounds, window.ended_by) == (len(kept[DUE]), 1, "turns")
    assert window.samples == window.open_loop.offered == pytest.approx(5000, abs=300)
    assert [step for step, _ in bench.steps] == ["warm_up:load", "measure:load", "turn", "counted"]
    assert window.uncounted == 1, "what others left in the caches is worked off before the window"
    assert (kept[LATENCY] >= MS).all() and (np.diff(kept[DUE]) >= 0).all()
    assert window.elapsed_ns == pytest.approx(10e9, rel=0.02)


def test_the_wait_is_that_of_the_textbook(tmp_path: Path) -> None:
    """M/D/1 at a utilisation of 0.7: rho s / (2 (1 - rho)), on simulated time."""
    found = measured(server(rate_per_s=700.0, seconds=60.0), tmp_path)
    wait_ms = found.values["latency_mean_ms"] - 1.0
    assert wait_ms == pytest.approx(mean_wait_md1(0.7, 1.0), rel=0.1)
    assert found.values["utilisation"] == pytest.approx(0.7, rel=0.03)
    assert found.values["offered_per_s"] == pytest.approx(700, rel=0.03)
    assert found.values["throughput_per_s"] == pytest.approx(700, rel=0.03)
    assert found.values["service_mean_ms"] == 1.0
    assert found.counts["latency_p99_ms"] == pytest.approx(42_000, rel=0.03)
    assert found.values["lindley_error_p99_ms"] == found.values["lateness_p99_9_ms"] == 0.0
    assert found.warnings == ()


def test_a_stall_is_seen_by_all_whom_it_delays(tmp_path: Path) -> None:
    """One call of two seconds in thirty: the formula of the self-test."""
    scenario = server(arrivals="constant", rate_per_s=100.0, seconds=30.0)
    found = measured(scenario, tmp_path, times=[*repeat(MS, 600), 2000 * MS, *repeat(MS, 5000)])
    for key, p in (("latency_p99_ms", 0.99), ("latency_p95_ms", 0.95)):
        assert found.values[key] == pytest.approx(1e3 * stalled_quantile(p, 2.0, 30.0, 0.1), rel=0.02)


def test_a_load_that_cannot_be_served_has_no_latency(tmp_path: Path) -> None:
    bench = executed(server(rate_per_s=3000.0, seconds=2.0))
    (window,) = bench.windows
    assert window.ended_by == "deadline" and window.samples == pytest.approx(3000, rel=0.02)
    assert 2.9e9 < window.elapsed_ns < 3.1e9, "one and a half times its seconds"
    found = kind(server()).metrics(server(), bench.saved(tmp_path))
    (said,) = found.warnings
    assert said.code == "saturated" and said.data["unserved"] == window.open_loop.offered - window.samples
    assert "3e+03 requests/s were offered" in said.message
    assert found.values["throughput_per_s"] == pytest.approx(1000, rel=0.01)
    assert not [key for key in found.values if key.startswith("latency_")] and found.quantiles == {}


def test_a_load_just_above_the_capacity_is_saturated_though_all_is_served(tmp_path: Path) -> None:
    bench = executed(server(arrivals="constant", rate_per_s=1010.0, seconds=2.0))
    assert bench.windows[0].ended_by == "turns"
    found = kind(server()).metrics(server(), bench.saved(tmp_path))
    assert [each.code for each in found.warnings] == ["saturated"] and found.quantiles == {}
    below = measured(server(arrivals="constant", rate_per_s=990.0, seconds=2.0), tmp_path)
    assert below.warnings == () and below.values["latency_p99_ms"] == 1.0


class LateBench(FakeBench):
    """Waits `late_ns` too long for each request."""

    late_ns = 0

    def wait(self, at: int) -> int:
        return super().wait(at + self.late_ns)


@pytest.mark.parametrize(("late_us", "flagged"), [(0, False), (30, False), (80, True)])
def test_a_generator_that_is_late_beyond_its_bound_is_flagged(tmp_path: Path, late_us: int, flagged: bool) -> None:
    bench = LateBench()
    bench.late_ns = late_us * 1000
    scenario = server(rate_per_s=100.0)
    kind(scenario).execute(scenario, bench)
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    assert found.values["lateness_p50_ms"] == found.values["lateness_p99_9_ms"] == late_us / 1000
    assert found.values["lindley_error_p99_ms"] == pytest.approx(late_us / 1000, abs=0.1)
    assert [each.code for each in found.warnings] == ["generator_late"] * flagged
    assert "latency_p99_ms" in found.quantiles, "it is flagged, not hidden"


def test_arrivals_are_the_same_for_all_cells_of_a_block() -> None:
    def due(seed: int, block: int = 0, **how: object) -> list[int]:
        bench = FakeBench(**how)
        bench.job = msgspec.structs.replace(bench.job, seed=seed, block=block)
        kind(server()).execute(server(), bench)
        found = bench.arrays["load"][DUE]
        return (found - found[0]).tolist()

    assert due(1) == due(1, cost=lambda rows: MS // 7)
    assert due(1) != due(2) and due(1) != due(1, block=1)


def test_a_share_follows_what_the_model_can_do(tmp_path: Path) -> None:
    for cost in (MS // 10, 5 * MS):
        found = measured(server(utilisation=0.5, seconds=20.0), tmp_path, cost=lambda rows, cost=cost: cost)
        assert found.values["utilisation"] == pytest.approx(0.5, rel=0.1)
        assert found.values["offered_per_s"] == pytest.approx(0.5e9 / cost, rel=0.1)


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    offsets = np.array([0, 10, 10, 40, 900], dtype=np.int64) * MS
    save_array(tmp_path / "traces" / "load.npy", offsets)
    scenario = server(trace="t.csv", rate_per_s=4 / 0.9, seconds=2.0)
    bench = FakeBench()
    bench.job = msgspec.structs.replace(bench.job, traces=str(tmp_path / "traces"))
    kind(scenario).execute(scenario, bench)
    due = bench.arrays["load"][DUE]
    assert ((due - due[0]) / MS).round().tolist() == [0, 10, 10, 40, 900, 1125, 1135, 1135, 1165], "and again"


def test_a_window_has_a_request_at_least_and_at_most_so_many() -> None:
    rare = executed(server(rate_per_s=0.01, seconds=0.1))
    assert rare.windows[0].samples == 1
    many = executed(server(max_samples=200))
    assert (many.windows[0].samples, many.windows[0].open_loop.offered) == (200, 200)
    assert many.windows[0].open_loop.seconds == pytest.approx(0.4, rel=0.3)


def test_requests_are_batched_as_the_rule_says(tmp_path: Path) -> None:
    scenario = server(rate_per_s=4000.0, max_batch=8, max_wait_ms=1.0, seconds=2.0)
    bench = executed(scenario, cost=lambda rows: (4 + rows) * MS // 8)
    (window,) = bench.windows
    assert (window.open_loop.max_batch, window.open_loop.max_wait_ns, window.batch_size) == (8, MS, 1)
    assert BATCH in bench.arrays["load"]
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    assert 4 < found.values["mean_batch_size"] <= 8 and found.warnings == ()
    assert found.values["throughput_per_s"] == pytest.approx(4000, rel=0.05)
    assert found.values["lindley_error_p99_ms"] == 0.0
    alone = measured(server(rate_per_s=4000.0, seconds=2.0), tmp_path / "alone", cost=lambda rows: (4 + rows) * MS // 8)
    assert [each.code for each in alone.warnings] == ["saturated"], "one at a time it cannot be served"


@pytest.mark.parametrize(
    ("bench", "scenario", "batch", "rows", "codes"),
    [
        ({"fixed_batch": 1}, server(max_batch=4), 1, 1, ["batch_fixed"]),
        ({"fixed_batch": 4}, server(), 1, 4, ["batch_fixed"]),
        ({"fixed_batch": 1}, server(), 1, 1, []),
        ({"most_rows": 2}, server(max_batch=4), 2, 1, ["batch_left_out"]),
        ({}, server(max_batch=4), 4, 1, []),
    ],
)
def test_batches_are_as_large_as_the_model_takes(bench, scenario, batch, rows, codes) -> None:
    found = executed(scenario, **bench)
    assert (found.windows[0].open_loop.max_batch, found.windows[0].batch_size) == (batch, rows)
    assert [note.code for note in found.notes] == codes


def test_where_the_device_is_timed_one_server_keeps_its_times() -> None:
    bench = executed(server(), device_ns=MS // 4)
    assert bench.windows[0].device_timed and len(bench.arrays["load"][DEVICE]) == bench.windows[0].samples


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"rate_per_s": None}, "rate_per_s: missing; give requests per second, or a 'trace', or 'utilisation'"),
        ({"utilisation": 0.5, "rate_per_s": 3.0}, "utilisation: give either this share or an absolute rate"),
        ({"trace": "t.csv", "arrivals": "constant"}, "arrivals: a trace has its own"),
        ({"trace_column": "t"}, "trace_column: there is no 'trace'"),
        ({"serving_threads": 2, "serving_processes": 2}, "serving_processes: give either threads or processes"),
        ({"max_wait_ms": 1.0}, "max_wait_ms: there is nothing to wait for with max_batch = 1"),
        ({}, None),
        ({"trace": "t.csv"}, None),
        ({"utilisation": 0.5}, None),
    ],
)
def test_parameters_that_do_not_fit_together_are_named(fields, problem) -> None:
    found = server(**fields).problems()
    assert found == problem or (found or "").startswith(problem or "-")


def test_evidence_that_is_not_of_an_open_loop_is_refused(tmp_path: Path) -> None:
    bench = executed(server())
    (window,) = bench.saved(tmp_path)
    other = MeasuredWindow(msgspec.structs.replace(window.record, open_loop=None), tmp_path)
    with pytest.raises(EvidenceError, match="not that of an open loop"):
        kind(server()).metrics(server(), [other])


@settings(max_examples=40, deadline=None)
@given(
    st.floats(50.0, 1500.0),
    st.lists(st.integers(MS // 10, 3 * MS), min_size=1, max_size=30),
    st.integers(0, 500),
    st.integers(0, 100),
)
def test_evidence_adds_up_whatever_the_load(rate, times, read_ns, seed) -> None:
    bench = executed(server(rate_per_s=rate, seconds=0.5), seed=seed, times=cycle(times), read_ns=read_ns)
    (window,), kept = bench.windows, bench.arrays["load"]
    due, start, free, latency = (kept[name] for name in (DUE, START, FREE, LATENCY))
    assert all(array.dtype == np.int64 and len(array) == window.samples for array in kept.values())
    assert (start >= due).all() and (start >= free).all() and (due + latency >= start).all()
    assert (start[1:] >= (due + latency)[:-1]).all(), "one server serves one request at a time"
    assert (window.samples < window.open_loop.offered) == (window.ended_by == "deadline")


@pytest.mark.parametrize(
    ("bench", "asked", "calls", "rows"),
    [({}, 8, 1, 8), ({"fixed_batch": 1}, 1, 8, 8), ({"fixed_batch": 3}, 3, 3, 9), ({"most_rows": 4}, 4, 2, 8)],
)
def test_multi_stream_times_whole_queries(tmp_path: Path, bench, asked, calls, rows) -> None:
    scenario = MultiStream(name="queries", samples_per_query=8, seconds=1.0)
    found = FakeBench(cost=lambda n: n * MS, device_ns=1000, **bench)
    kind(scenario).execute(scenario, found)
    (window,) = found.windows
    assert found.asked == [asked] and window.batch_size == rows
    assert (found.arrays["queries"][LATENCY] == rows * MS).all()
    assert (found.arrays["queries"][DEVICE] == calls * 1000).all()
    assert [note.code for note in found.notes] == ["query_divided"] * (calls > 1)
    values = kind(scenario).metrics(scenario, found.saved(tmp_path)).values
    assert values["latency_p99_ms"] == rows and values["throughput_per_s"] == pytest.approx(1000)
