"""From records of cold starts to percentiles, remarks and bars."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from harness.analyse.starts import Start, not_emulated, read_start, start_measures, start_remarks, times_of
from harness.analyse.waterfall import waterfall
from harness.errors import EvidenceError
from harness.evidence.folder import HANDLER, INVOKE, LATENCY, save_requests, write_outcome
from harness.spec.metrics import START_PHASES, lookup
from harness.spec.outcome import Outcome, Started
from harness.spec.target import Lifecycle, Target
from harness.stats.quantiles import quantile

MS = 1_000_000
LIFE = Lifecycle()


def start(number: int, load_ms: float = 10.0, **changes: object) -> Start:
    phases = {
        "own_ns": 5 * MS,
        "interpreter_ns": 20 * MS,
        "imports_ns": 100 * MS,
        "load_ns": round(load_ms * MS),
        "first_ns": 3 * MS,
        "second_ns": 2 * MS,
        "init_ns": round((121 + load_ms) * MS),
    }
    outcome = Outcome(status="ok", started=Started(**(phases | changes)))
    invoke = np.array([3, 2, 1, 1, 2], dtype=np.int64) * MS
    return Start(number, outcome, invoke, invoke // 2)


def test_percentiles_are_those_of_the_starts_with_their_intervals():
    loads = np.linspace(5, 90, 60)
    found = start_measures([start(n, ms) for n, ms in enumerate(loads)], LIFE)
    for key, p in (("cold_load_p50_ms", 0.5), ("cold_load_p90_ms", 0.9), ("cold_load_p99_ms", 0.99)):
        told, measure = quantile(np.round(loads * MS) / MS, p), found[key]
        assert measure.value == pytest.approx(told.value)
        assert measure.low == pytest.approx(told.low)
        assert measure.high == (None if np.isinf(told.high) else pytest.approx(told.high))
        assert (measure.n, measure.trials) == (60, 60)
    assert found["cold_load_p99_ms"].high is None, "60 starts do not bound p99"
    assert found["cold_load_p90_ms"].high is not None
    total = found["cold_total_p50_ms"].value
    assert total == pytest.approx(123 + found["cold_load_p50_ms"].value)


def test_warm_requests_begin_with_the_third_and_starts_are_clusters():
    found = start_measures([start(n) for n in range(10)], LIFE)
    assert found["warm_invoke_p50_ms"].n == 30
    assert found["warm_invoke_p50_ms"].trials == 10
    assert found["warm_invoke_p50_ms"].value == 1.0
    assert found["warm_invoke_p99_ms"].value == 2.0
    assert found["warm_overhead_p50_ms"].value == 0.5


def test_every_metric_of_a_start_is_in_the_catalogue():
    found = start_measures([start(0), start(1, inits=2, lost_ns=5 * MS)], LIFE)
    assert {lookup(key).unit for key in found} == {"ms"}
    assert "cold_lost_p99_ms" in found
    assert "cold_lost_p99_ms" not in start_measures([start(0)], LIFE)
    assert start_measures([], LIFE) == {}


def test_what_is_not_emulated_is_added_to_the_total_alone():
    added = Lifecycle(elsewhere_ms=120.0, elsewhere_source="someone")
    with_it, without = (start_measures([start(0)], life) for life in (added, LIFE))
    for key, measure in with_it.items():
        assert measure.value - without[key].value == pytest.approx(120.0 if "total" in key else 0.0)


def test_a_start_that_failed_has_no_times():
    failed = Start(1, Outcome(status="failed", failure="oom"), np.zeros(0, np.int64), np.zeros(0, np.int64))
    times = times_of([start(0), failed], LIFE)
    assert all(len(values) == 1 for values in times.phases.values())
    assert start_measures([failed], LIFE) == {}


def test_remarks_on_inits_that_were_repeated_and_on_artefacts_that_stayed():
    assert start_remarks([start(0, resident=0.01), start(1)], LIFE) == []
    (repeated,) = start_remarks([start(0, inits=2, lost_ns=10_000 * MS), start(1)], LIFE)
    assert (repeated.code, repeated.data["repeated"]) == ("init_repeated", 1)
    assert "INIT took longer than 10 s in 1 of 2 cold starts" in repeated.message
    (stayed,) = start_remarks([start(0, resident=1.0)], LIFE)
    assert stayed.code == "artefact_resident"
    assert start_remarks([start(0, resident=1.0)], Lifecycle(storage="warm")) == []


def test_what_is_left_out_is_said_once_for_each_kind_of_place():
    places = [
        Target(name=name, description="d", runtime="fake", launcher=launcher, lifecycle=life)
        for name, launcher, life in (
            ("f1", "function", LIFE),
            ("f2", "function", Lifecycle(elsewhere_ms=90.0, elsewhere_source="a paper")),
            ("c", "container", LIFE),
            ("f1", "function", LIFE),
        )
    ]
    said = [note.message for note in not_emulated(places)]
    assert len(said) == 3
    assert said[0].startswith("cold starts of f1 and f2 begin with the process")
    assert said[2] == "f2: 90 ms are added to each cold total for what is not emulated (a paper)"
    assert not_emulated([]) == []


def test_bars_follow_one_another_and_the_total_is_last():
    measures = start_measures([start(n, 10 + n) for n in range(20)], LIFE)
    bars = waterfall(measures, LIFE)
    assert [bar.name for bar in bars] == ["interpreter", "imports", "load", "first", "second", "total"]
    for one, two in itertools.pairwise(bars[:-1]):
        assert two.begin_ms == pytest.approx(one.end_ms)
    assert bars[-1].begin_ms == 0.0
    assert bars[-1].end_ms == pytest.approx(bars[3].end_ms)
    assert all(bar.meaning == START_PHASES[bar.name] for bar in bars)
    assert waterfall({}, LIFE) == ()


def test_what_is_added_and_what_is_lost_are_bars_of_their_own():
    life = Lifecycle(elsewhere_ms=50.0, elsewhere_source="someone")
    bars = waterfall(start_measures([start(0, inits=2, lost_ns=900 * MS)] * 2, life), life)
    assert [bar.name for bar in bars][:3] == ["elsewhere", "lost", "interpreter"]
    assert bars[1].begin_ms == 50.0
    assert bars[2].begin_ms == pytest.approx(950.0)
    assert bars[-1].end_ms == pytest.approx(bars[-3].end_ms)


def test_a_folder_is_read_as_it_was_written(tmp_path: Path):
    assert read_start(tmp_path, 0) is None
    one = start(0)
    files = save_requests(tmp_path, INVOKE, {LATENCY: one.invoke_ns, HANDLER: one.handler_ns})
    write_outcome(tmp_path, Outcome(status="ok", started=one.outcome.started, files=files))
    found = read_start(tmp_path, 4)
    assert found is not None
    assert (found.number, found.started) == (4, one.started)
    np.testing.assert_array_equal(found.invoke_ns, one.invoke_ns)
    (tmp_path / "requests" / "invoke" / "handler.npy").write_bytes(b"damaged")
    with pytest.raises(EvidenceError):
        read_start(tmp_path, 4)


def test_an_outcome_without_phases_is_damaged(tmp_path: Path):
    one = start(0)
    files = save_requests(tmp_path, INVOKE, {LATENCY: one.invoke_ns, HANDLER: one.handler_ns})
    write_outcome(tmp_path, Outcome(status="ok", files=files))
    with pytest.raises(EvidenceError, match="requests or phases are missing"):
        read_start(tmp_path, 0)
