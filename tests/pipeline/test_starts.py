"""Cold starts in a run: rounds before the race, evidence that is kept, rows that fail, and what a row then has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.analyse.reader import open_run
from harness.evidence.run import read_run, start_folder
from harness.launch.process import ProcessLauncher
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run as run_pipeline
from harness.pipeline.starts import Starts, starts_of
from harness.serverless.launcher import ContainerLauncher
from harness.spec.metrics import START_PERCENTILES

from .scripted import Watching, row

SUITE = """
description = "fakes that start cold"
targets = ["box"]
[dataset]
{dataset}
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.05
[[scenario]]
name = "cold"
kind = "cold_start"
samples = 3
requests = 4
seconds = 0.2
[budget]
seconds = 4
trials = 2
max_trials = 2
[[candidate]]
name = "one"
path = "one.fake.toml"
[[candidate]]
name = "two"
path = "two.fake.toml"
[policy.objectives]
cold_total_p50_ms = {{ weight = 1, target = 10, limit = 10000 }}
"""
TARGET = """
description = "a container"
runtime = "fake"
launcher = "container"
[lifecycle]
init_s = 20
timeout_s = 20
"""
ROWS = 'path = "x.npz"'


def opened(base: Path, dataset: str = ROWS, target: str = TARGET, quick: bool = False):
    """Write the suite and make its run folder."""
    import numpy as np

    (base / "targets").mkdir()
    (base / "targets" / "box.toml").write_text(target)
    np.savez(base / "x.npz", x=np.arange(20, dtype=np.float32).reshape(-1, 1) % 10, labels=np.arange(20) % 10)
    for name in ("one", "two"):
        (base / f"{name}.fake.toml").write_text('latency_ms = 0.2\nclock = "real"\n')
    (base / "cold.toml").write_text(SUITE.format(dataset=dataset))
    return open_new(Request([str(base / "cold.toml")], out=base / "results", seed=3, quick=quick))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two fakes in containers; returns its folder, what was ranked, and what was said."""
    watching = Watching()
    folder, record = opened(tmp_path_factory.mktemp("cold"))
    return folder, run_pipeline(folder, record, watching), watching.said


def test_a_row_has_its_steady_state_and_its_starts(finished):
    _, ranked, _ = finished
    metrics = row(ranked, "one").metrics
    assert {"latency_p50_ms", "throughput_per_s"} <= set(metrics)
    assert set(START_PERCENTILES) - set(metrics) == {f"cold_lost_{p}_ms" for p in ("p50", "p90", "p99")}
    total, warm = metrics["cold_total_p50_ms"], metrics["warm_invoke_p50_ms"]
    assert (total.n, total.trials, total.high) == (3, 3, None), "three starts bound nothing"
    assert warm.n == 6, "the third and fourth request of each start"
    assert warm.value > metrics["warm_handler_p50_ms"].value > 0.2
    assert metrics["cold_total_p50_ms"].value > metrics["cold_init_p50_ms"].value > metrics["cold_load_p50_ms"].value


def test_every_start_has_a_folder_and_a_process_of_its_own(finished):
    folder, ranked, _ = finished
    reader = open_run(folder)
    starts = [start for cell in reader.cells for start in reader.starts(cell.name)]
    assert len({pid for start in starts for pid in start.outcome.pids}) == len(starts) == 6
    assert (start_folder(folder, "one@box", 0) / "outcome.json").exists()
    assert row(ranked, "one").blocks != 3, "starts are no blocks"


def test_what_is_left_out_is_said_under_the_table(finished):
    _, ranked, _ = finished
    (note,) = (note for note in ranked.ranking.notes if note.code == "not_emulated")
    assert note.message.startswith("cold starts of box begin with the process; not emulated: placing the instance")


def test_an_undecided_row_asks_for_starts_and_not_for_blocks(finished):
    _, ranked, _ = finished
    (asked,) = (reason for reason in row(ranked, "one").reasons if reason.code == "undecided")
    assert "needs about 3 more cold starts" in asked.message
    assert asked.data["more_starts"] == 3
    assert asked.data["minutes"] is None


def test_how_long_starts_take_is_said_before_most_of_it_is_spent(finished):
    said = [text for text in finished[2] if text.startswith("cold starts")]
    assert said[0] == "cold starts: 3 of 2 cells"
    assert said[1].startswith("cold starts: 3 of 2 cells, about ")


class Counting(ContainerLauncher):
    """Counts the jobs that it starts, by the names of their folders."""

    def __init__(self, started: list[str]) -> None:
        super().__init__()
        self.started = started

    def start(self, folder, job, terms):
        self.started.append(f"{folder.parent.name}/{folder.name}")
        return super().start(folder, job, terms)


def again(folder: Path) -> list[str]:
    """Run the cold starts of a run again; returns the jobs that were started."""
    reader, started = open_run(folder), list[str]()
    places = {"process": ProcessLauncher(), "container": Counting(started)}
    Starts(folder, read_run(folder), reader.prepared, Watching(), places).run()
    return started


def test_a_run_that_was_cut_off_starts_only_what_is_missing(finished, tmp_path):
    folder = Path(shutil.copytree(finished[0], tmp_path / "cut"))
    (start_folder(folder, "one@box", 1) / "outcome.json").unlink()
    damaged = start_folder(folder, "two@box", 2) / "requests" / "invoke" / "latency.npy"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert sorted(again(folder)) == ["one@box/start-002", "two@box/start-003"]
    assert (folder / "cells" / "one@box" / "start-002.incomplete-1").exists()
    assert again(folder) == []


def test_a_cell_that_fails_to_start_is_started_no_more_and_is_no_part_of_the_race(finished, tmp_path):
    folder = Path(shutil.copytree(finished[0], tmp_path / "broken"))
    for number in range(3):
        shutil.rmtree(start_folder(folder, "one@box", number))
    script = next((folder / "artefacts").glob("*/one.fake.toml"))
    script.unlink()
    script.write_text('fail_at = "first"\nfail_how = "raise"\n')
    assert again(folder) == ["one@box/start-001"]
    reader = open_run(folder)
    assert reader.failed("one@box", 0)
    assert not reader.failed("two@box", 0)
    entry = next(each for each in reader.entries(reader.record.suite.policy) if each.candidate == "one")
    assert (entry.status, entry.failure, entry.metrics) == ("failed", "crash", {})
    assert "at request 1 it reported RuntimeError: scripted failure" in entry.diagnostics[0].message


def test_synthetic_rows_are_those_of_the_first_trial(tmp_path):
    folder, record = opened(tmp_path, dataset="synthetic = { rows = 5 }")
    ranked = run_pipeline(folder, record, Watching())
    assert row(ranked, "one").metrics["cold_total_p50_ms"].n == 3
    job = json.loads((start_folder(folder, "one@box", 0) / "job.json").read_text())
    assert job["rows"] == "cells/one@box/cold-01/inputs"
    assert (folder / job["rows"] / "x.npy").exists()


def test_a_quick_run_has_ten_starts_and_a_suite_without_a_word_thirty_six(tmp_path):
    _, record = opened(tmp_path, quick=True)
    assert starts_of(record).samples == 3, "the suite asks for fewer"
    suite = record.suite
    import msgspec

    plain = msgspec.structs.replace(record, suite=msgspec.structs.replace(suite, scenario=suite.traffic))
    assert starts_of(plain).samples == 10
    assert starts_of(msgspec.structs.replace(plain, quick=False)).samples == 36
