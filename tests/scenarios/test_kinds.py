"""Both kinds of scenario on a bench without a model: what they send, what they keep, which metrics come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EvidenceError
from harness.evidence.folder import LATENCY, START, save_requests
from harness.scenarios.base import MeasuredWindow, kind
from harness.scenarios.offline import Offline
from harness.scenarios.single_stream import SingleStream
from harness.spec.diagnostics import Diagnostic
from harness.spec.scenario import Scenario
from harness.spec.suite import Candidate
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial, WarmUpRule, Window

MS = 1_000_000


class FakeBench:
    """A bench whose clock is what its calls have taken: `cost` of their rows (ns), or one of `times` after another.

    Reading the clock takes `read_ns`. It fails where something is written in a window.
    """

    def __init__(self, cost=lambda rows: MS, fixed_batch=None, times=None, read_ns=0, **job):
        self.job = Trial(
            candidate=Candidate(name="c", path="c.fake.toml"),
            target=Target(name="t", description="d", runtime="fake"),
            variant=Variant(format="fake"),
            scenarios=(),
            warm_up=WarmUpRule(max_samples=20),
            **job,
        )
        self.fixed_batch = fixed_batch
        self.now, self.calls, self.asked, self.marks = 0, 0, [], []
        self.windows: list[Window] = []
        self.arrays: dict[str, Mapping[str, np.ndarray]] = {}
        self.notes: list[Diagnostic] = []
        self._times = iter(times or repeat(None))
        self._cost, self._read_ns, self._measuring = cost, read_ns, False

    def infer(self, feed: int) -> None:
        self.calls += 1
        self.now += next(self._times) or self._cost(feed)

    def clock(self) -> int:
        self.now += self._read_ns
        return self.now

    def feeds(self, batch_size: int) -> Iterator[int]:
        self.asked.append(batch_size)
        return repeat(batch_size)

    def mark(self, phase: str) -> None:
        assert not self._measuring
        self.marks.append(phase)

    @contextmanager
    def measuring(self, window: str) -> Iterator[None]:
        self.mark(f"measure:{window}")
        self._measuring = True
        yield
        self._measuring = False

    def keep(self, window: Window, arrays: Mapping[str, np.ndarray]) -> None:
        assert not self._measuring
        self.windows.append(window)
        self.arrays[window.name] = arrays

    def note(self, diagnostic: Diagnostic) -> None:
        assert not self._measuring
        self.notes.append(diagnostic)

    def saved(self, folder: Path) -> list[MeasuredWindow]:
        """Write what was kept as the child does, and return it as the parent sees it."""
        for name, arrays in self.arrays.items():
            save_requests(folder, name, arrays)
        return [MeasuredWindow(window, folder) for window in self.windows]


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
    assert (window.samples, window.elapsed_ns) == (400, 400 * MS)
    assert (bench.asked, bench.notes) == ([1], [])
    assert bench.marks == ["warm_up:one", "measure:one"]
    assert bench.calls == window.warm_up_samples + window.samples
    assert bench.arrays["one"][LATENCY].tolist() == [MS] * 400
    assert bench.arrays["one"][START].tolist() == [MS * (window.warm_up_samples + n) for n in range(400)]


def test_single_stream_goes_on_to_the_samples_the_job_needs_but_not_for_ever() -> None:
    noisy = (np.random.default_rng(0).lognormal(0, 1.0, 2000) * 10 * MS).astype(int).tolist()
    plain = executed(one(), times=noisy)
    assert plain.windows[0].samples < 100 and plain.windows[0].ended_by == "time"
    longer = executed(one(), times=noisy, min_samples=200, max_duration_factor=20.0)
    assert longer.windows[0].samples >= 200
    bounded = executed(one(), times=noisy, min_samples=200, max_duration_factor=2.0)
    assert plain.windows[0].samples < bounded.windows[0].samples < 200


def test_latency_and_throughput_come_from_the_evidence(tmp_path: Path) -> None:
    scenario = one(max_samples=1000)
    bench = executed(scenario, times=[*repeat(MS, 40), *[MS, 3 * MS] * 1000])
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    taken = bench.arrays["one"][LATENCY] / 1e6
    assert set(taken.tolist()) == {1.0, 3.0}
    assert found.values["latency_mean_ms"] == pytest.approx(taken.mean())
    assert found.values["throughput_per_s"] == pytest.approx(1e3 / taken.mean())
    assert found.values["latency_p99_ms"] == 3.0
    assert found.quantiles["latency_p99_ms"].value == 3.0
    assert found.counts["latency_p99_ms"] == found.counts["latency_mean_ms"] == len(taken)
    assert found.rates == ({"throughput_per_s": found.values["throughput_per_s"], **_values(found.quantiles)},)


def _values(quantiles: Mapping[str, object]) -> dict[str, float]:
    return {key: quantile.value for key, quantile in quantiles.items()}


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
    noisy = cycle((np.random.default_rng(0).lognormal(0, 1.0, 5000) * 10 * MS).astype(int).tolist())
    bench = executed(many(), times=noisy, min_samples=10_000, max_duration_factor=1.0)
    assert [(w.name, w.scenario, w.batch_size) for w in bench.windows] == [
        ("many.b1", "many", 1),
        ("many.b4", "many", 4),
        ("many.b16", "many", 16),
    ]
    assert bench.asked == [1, 4, 16] and bench.notes == []
    assert bench.marks == [f"{phase}:many.b{n}" for n in (1, 4, 16) for phase in ("warm_up", "measure")]
    for window in bench.windows:
        assert window.ended_by == "time" and 0.9e9 < window.elapsed_ns < 1.5e9


def test_offline_counts_the_best_batch_size(tmp_path: Path) -> None:
    scenario = many(max_samples=500)
    bench = executed(scenario, cost=lambda rows: (9 + rows) * MS)
    found = kind(scenario).metrics(scenario, bench.saved(tmp_path))
    assert found.values == {"throughput_per_s": pytest.approx(16 / 0.025), "best_batch_size": 16.0}
    assert [rate["throughput_per_s"] for rate in found.rates] == pytest.approx([1 / 0.010, 4 / 0.013, 16 / 0.025])
    assert [rate["latency_p50_ms"] for rate in found.rates] == [10.0, 13.0, 25.0]
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
    assert 2.7e9 < window.elapsed_ns < 3.5e9, "the whole time is for this size"
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
    st.lists(st.integers(1, 50 * MS), min_size=1, max_size=60),
    st.integers(0, 1000),
    st.sampled_from([one(max_samples=300), many(max_samples=300), many(max_samples=300, batch_sizes=(8,))]),
)
def test_requests_do_not_overlap_and_their_time_adds_up(times: list[int], read_ns: int, scenario: Scenario) -> None:
    """In a closed loop no request begins before the one before it has ended, also from one window to the next."""
    bench = executed(scenario, times=cycle(times), read_ns=read_ns)
    ended = 0
    for window in bench.windows:
        start, latency = (bench.arrays[window.name][name] for name in (START, LATENCY))
        assert start.dtype == latency.dtype == np.int64
        assert len(start) == len(latency) == window.samples <= scenario.max_samples
        assert start[0] >= ended and (np.diff(start) >= 0).all()
        assert (start[:-1] + latency[:-1] <= start[1:]).all()
        assert set((latency - read_ns).tolist()) <= set(times)
        assert window.elapsed_ns == latency.sum()
        ended = start[-1] + latency[-1]
    assert ended <= bench.now
