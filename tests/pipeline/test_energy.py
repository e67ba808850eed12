"""Energy on the CPU through the whole pipeline, in real processes: counters that rise with the clock, at 40 W."""

from __future__ import annotations

import pytest

from harness.evidence.folder import read_outcome
from harness.evidence.run import cold_folder
from harness.launch.process import ProcessLauncher
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.probes import rapl

WATTS = 40
SUITE = """
description = "energy"
targets = ["anywhere.toml"]
[dataset.synthetic]
rows = 8
[[candidate]]
name = "m"
path = "m.fake.toml"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.05
[budget]
seconds = 2
trials = 2
max_trials = 2
[policy.objectives]
energy_per_inference_mj = { weight = 1, target = 1, limit = 1000 }
"""


@pytest.fixture
def opened(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "anywhere.toml").write_text('description = "anywhere"\nruntime = "fake"\n')
    (tmp_path / "m.fake.toml").write_text('latency_ms = 2.0\nclock = "real"\n')
    return open_new(Request(what=(str(tmp_path / "suite.toml"),), out=tmp_path / "out"))


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """A package whose counter, read off the clock, rises by 40 W."""
    import time

    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("energy_uj", "0"), ("max_energy_range_uj", "65532610987")):
        (zone / name).write_text(text)
    read = rapl.read_text

    def by_the_clock(path):
        return str(time.perf_counter_ns() * WATTS // 1000 % 65532610987) if path.endswith("energy_uj") else read(path)

    monkeypatch.setattr(rapl, "read_text", by_the_clock)
    monkeypatch.setattr(rapl.RaplProbe.__init__, "__defaults__", (tmp_path,))


def test_a_row_has_the_energy_of_its_requests(opened, counting):
    done = run(*opened, places={"process": ProcessLauncher()})
    (row,) = done.ranking.rows
    energy = row.metrics["energy_per_inference_mj"]
    assert (energy.unit, row.place) == ("mJ", 1)
    outcomes = [read_outcome(cold_folder(done.folder, "m@anywhere", number)) for number in range(1, energy.trials + 1)]
    (request_s,) = [w.elapsed_ns / w.samples / 1e9 for each in outcomes[:1] for w in each.windows]
    assert energy.value == pytest.approx(WATTS * 1e3 * request_s, rel=0.2)
    assert {reason.code for reason in row.reasons} & {"package_energy", "package_energy_shared"}


def test_where_there_are_no_counters_the_row_has_no_place_and_the_run_says_why(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(rapl.RaplProbe.__init__, "__defaults__", (tmp_path,))
    done = run(*opened, places={"process": ProcessLauncher()})
    (row,) = done.ranking.rows
    assert row.place is None and "energy_per_inference_mj" not in row.metrics
    assert "metric_unknown" in {reason.code for reason in row.reasons}
    (note,) = [note for note in done.ranking.notes if note.code == "energy_unknown"]
    assert "no RAPL: /sys/class/powercap has no package" in note.message
