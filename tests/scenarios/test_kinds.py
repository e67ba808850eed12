"""Both kinds of scenario on a bench without a model: what they send, what they keep, which metrics come of it."""

from __future__ import annotations

from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EvidenceError
from harness.evidence.folder import DEVICE, LATENCY, ROUND, START
from harness.scenarios.base import MeasuredWindow, kind
from harness.scenarios.offline import Offline
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Window
from harness.spec.scenario import Scenario

from .bench import MS, FakeBench


def executed(scenario: Scenario, **bench: object) -> FakeBench:
    """Execute a scenario through its registered kind."""
    found = FakeBench(**bench)
    kind(scenario).execute(scenario, found)
    return found


def one(**fields: object) -> SingleStream:
    return SingleStream(**({"name": "one", "seconds": 1.0} | fields))


def many(**fields: object) -> Offline:
    return Offline(**({"name": "many", "seconds": 3.0, "batch_sizes": (1, 4, 16)} | fields))


def test_single_stream_sends_one_row_at_a_time_into_one_window() -> None:
    bench = executed(one(max_samples=400))
    (window,) = bench.windows
    assert (window.name, window.scenario, window.batch_size, window.steady) == ("one", "one", 1, True)
    assert (window.samples, window.elapsed_ns, window.ended_by) == (400, 400 * MS, "samples")
    assert (window.rounds, window.uncounted) == (16, 0)
    assert (bench.asked, bench.notes) == ([1], [])
    assert [step for step, _ in bench.steps if ":" in step] == ["warm_up:one", "measure:one"]
    assert bench.calls == window.warm_up_samples + window.samples
    assert bench.arrays["one"][LATENCY].tolist() == [MS] * 400
    assert bench.arrays["one"][START].tolist() == [MS * (window.warm_up_samples + n) for n in range(400)]
    assert bench.arrays["one"][ROUND].tolist() == np.repeat(np.arange(16), 25).tolist()


@pytest.mark.parametrize("shared", [False, True])
def test_where_the_device_is_timed_its_percentiles_are_metrics_too(tmp_path: Path, shared: bool) -> None:
    bench = executed(one(max_samples=400), device_ns=MS // 4, shared=shared)
    (window,) = bench.windows
    assert window.device_timed and len(bench.arrays["one"][DEVICE]) == window.samples == 400
    found = kind(one()).metrics(one(), bench.saved(tmp_path))
    assert (found.values["device_p50_ms"], found.values["device_p99_ms"]) == (0.25, 0.25)
    assert found.counts["device_p50_ms"] == 400 and {"device_p50_ms", "latency_p50_ms"} <= found.quantiles.keys()


def test_where_it_is_not_there_are_none(tmp_path: Path) -> None:
    bench = executed(one(max_samples=400))
    assert not bench.windows[0].device_timed and DEVICE not in bench.arrays["one"]
    found = kind(one()).metrics(one(), bench.saved(tmp_path))
    assert not [key for key in found.values if key.startswith("device_")]


def test_a_window_lasts_its_seconds_whatever_the_spread() -> None:
    """No precision ends it early: the windows of a block's cells have to span the same moments."""
    for times in (repeat(MS), cycle((np.random.default_rng(0).lognormal(0, 1.0, 2000) * MS).astype(int).tolist())):
        (window,) = executed(one(), times=times).windows
        assert (window.rounds, window.ended_by) == (40, "turns")
        assert 0.9e9 < window.elapsed_ns < 1.1e9


def test_turns_are_as_long_as_the_job_says() -> None:
    for turn_s, rounds in ((0.005, 200), (0.025, 40), (0.5, 2), (3.0, 1)):
        (window,) = executed(one(), turn_s=turn_s).windows
        assert window.rounds == rounds


def test_latency_and_throughput_come_from_the_evidence(tmp_path: Path) -> None:
    scenario = one(max_samples=1000)
    bench = executed(scenario, times=[*repeat(MS, 53), *[MS, 3 * MS] * 1000])
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    taken = bench.arrays["one"][LATENCY] / 1e6
    assert set(taken.tolist()) == {1.0, 3.0}
    assert found.values["latency_mean_ms"] == pytest.approx(taken.mean())
    assert found.values["throughput_per_s"] == pytest.approx(1e3 / taken.mean())
    assert found.values["latency_p99_ms"] == 3.0
    assert found.quantiles["latency_p99_ms"].value == 3.0
    assert found.counts["latency_p99_ms"] == found.counts["latency_mean_ms"] == len(taken)


@pytest.mark.parametrize(("bound", "noted"), [(None, 0), (1, 0), (4, 1)])
def test_single_stream_says_when_the_model_takes_batches_only(tmp_path: Path, bound: int | None, noted: int) -> None:
    scenario = one(max_samples=400)
    bench = executed(scenario, fixed_batch=bound)
    assert bench.asked == [bound or 1] and bench.windows[0].batch_size == (bound or 1)
    assert [note.code for note in bench.notes] == ["batch_fixed"] * noted
    assert [note.data for note in bench.notes] == [{"batch_size": 4}] * noted
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    assert found.values["throughput_per_s"] == pytest.approx(1000 * (bound or 1))
    assert found.values["latency_p50_ms"] == 1.0


def test_offline_gives_each_batch_size_its_part_of_the_time() -> None:
    noisy = cycle((np.random.default_rng(0).lognormal(0, 0.3, 5000) * 10 * MS).astype(int).tolist())
    bench = executed(many(), times=noisy)
    assert [(w.name, w.scenario, w.batch_size) for w in bench.windows] == [
        ("many.b1", "many", 1),
        ("many.b4", "many", 4),
        ("many.b16", "many", 16),
    ]
    assert bench.asked == [1, 4, 16] and bench.notes == []
    phases = [step for step, _ in bench.steps if ":" in step]
    assert phases == [f"{phase}:many.b{n}" for n in (1, 4, 16) for phase in ("warm_up", "measure")]
    for window in bench.windows:
        assert (window.ended_by, window.rounds) == ("turns", 40) and 0.7e9 < window.elapsed_ns < 1.3e9


def test_offline_leaves_out_batches_of_which_one_takes_longer_than_the_scenario_lasts() -> None:
    """It is to last 3 s; the limit is three times that."""
    bench = executed(many(batch_sizes=(32, 1, 8)), cost=lambda rows: rows * 500 * MS, row_ns=500.0 * MS)
    assert bench.asked == [1, 8]
    (note,) = bench.notes
    assert (note.code, note.data) == ("batch_left_out", {"sizes": [32]}) and "32 left out" in note.message
    assert all(window.samples >= 1 for window in bench.windows)
    nothing_else = executed(many(batch_sizes=(8, 32)), cost=lambda rows: rows * 5000 * MS, row_ns=5000.0 * MS)
    assert nothing_else.asked == [8], "the smallest is always measured"


@pytest.mark.parametrize(
    ("most", "asked", "left_out"), [(16, [1, 4, 16], []), (8, [1, 4], [16]), (2, [1], [4, 16]), (None, [1, 4, 16], [])]
)
def test_batches_larger_than_the_model_takes_are_left_out_and_said(most, asked, left_out) -> None:
    bench = executed(many(), most_rows=most)
    assert bench.asked == asked
    assert [note.data for note in bench.notes] == [{"sizes": left_out}] * bool(left_out)
    assert all(f"the model takes {most} rows at most" in note.message for note in bench.notes)


def test_where_all_batches_are_too_large_the_largest_that_fits_is_measured() -> None:
    assert executed(many(batch_sizes=(32, 64)), most_rows=8).asked == [8]


def test_offline_counts_the_best_batch_size(tmp_path: Path) -> None:
    scenario = many(max_samples=500)
    bench = executed(scenario, cost=lambda rows: (9 + rows) * MS)
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    assert found.values == {"throughput_per_s": pytest.approx(16 / 0.025), "best_batch_size": 16.0}
    assert found.quantiles == {}
    assert found.counts == {"throughput_per_s": bench.windows[2].samples}


def test_offline_finds_the_best_size_though_it_is_not_the_largest(tmp_path: Path) -> None:
    scenario = many(batch_sizes=(16, 4, 1), max_samples=500)
    slower = executed(scenario, cost=lambda rows: (16 if rows > 4 else 1) * MS)
    found = kind(scenario).metrics(scenario, slower.saved(tmp_path))
    assert found.values["best_batch_size"] == 4.0


@pytest.mark.parametrize(("sizes", "noted"), [((1, 4, 16), 1), ((1,), 1), ((4,), 0)])
def test_offline_measures_only_the_size_that_the_model_takes(sizes: tuple[int, ...], noted: int) -> None:
    noisy = (np.random.default_rng(0).lognormal(0, 1.0, 5000) * 10 * MS).astype(int).tolist()
    bench = executed(many(batch_sizes=sizes), fixed_batch=4, times=noisy)
    (window,) = bench.windows
    assert (window.name, window.batch_size, bench.asked) == ("many.b4", 4, [4])
    assert 2.5e9 < window.elapsed_ns < 3.7e9, "the whole time is for this size"
    assert [note.code for note in bench.notes] == ["batch_fixed"] * noted
    assert all("many" in note.message and note.data == {"batch_size": 4} for note in bench.notes)


def test_a_size_named_twice_is_a_problem() -> None:
    assert many(batch_sizes=(1, 8, 1)).problems() == "batch_sizes: a size is named twice"
    assert many().problems() is None and one().problems() is None


@pytest.mark.parametrize("scenario", [one(max_samples=400), many(max_samples=400)], ids=["single_stream", "offline"])
def test_evidence_that_does_not_fit_its_record_is_refused(tmp_path: Path, scenario: Scenario) -> None:
    bench = executed(scenario)
    for bad in ({"samples": 399}, {"elapsed_ns": 0}, {"name": "other"}):
        record = Window(**({f: getattr(bench.windows[0], f) for f in Window.__struct_fields__} | bad))
        bench.saved(tmp_path)
        with pytest.raises(EvidenceError):
            kind(scenario).metrics(scenario, [MeasuredWindow(record, tmp_path)])


@given(
    st.lists(st.integers(MS // 10, 50 * MS), min_size=1, max_size=60),
    st.integers(0, 1000),
    st.booleans(),
    st.sampled_from([one(max_samples=300), many(max_samples=300), many(max_samples=300, batch_sizes=(8,))]),
)
def test_requests_do_not_overlap_and_their_time_adds_up(
    times: list[int], read_ns: int, shared: bool, scenario: Scenario
) -> None:
    """In a closed loop no request begins before the one before it has ended, also from one window to the next."""
    bench = executed(scenario, times=cycle(times), read_ns=read_ns, shared=shared, others_ns=MS)
    ended = 0
    for window in bench.windows:
        start, latency, turn = (bench.arrays[window.name][name] for name in (START, LATENCY, ROUND))
        assert start.dtype == latency.dtype == turn.dtype == np.int64
        assert len(start) == len(latency) == len(turn) == window.samples <= scenario.max_samples
        assert start[0] >= ended and (np.diff(start) >= 0).all()
        assert (start[:-1] + latency[:-1] <= start[1:]).all()
        assert np.unique(turn).tolist() == list(range(window.rounds)) and (np.diff(turn) >= 0).all()
        assert set((latency - read_ns).tolist()) <= set(times)
        assert window.elapsed_ns == latency.sum()
        ended = start[-1] + latency[-1]
    assert ended <= bench.now
