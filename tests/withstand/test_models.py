"""One run with every kind of bad model in it: each has its name, the good ones are measured as if alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from .helpers import only_run, ranking, rows, run_cli, write_suite

GOOD = {"good-1": {"latency_ms": 1.0}, "good-2": {"latency_ms": 2.0}}
BAD = {
    "segfault": ("crash", {"fail_at": "measure", "fail_how": "segfault"}),
    "hang": ("timeout", {"fail_at": "measure", "fail_how": "hang"}),
    "exit0": ("protocol", {"fail_at": "measure", "fail_how": "exit0"}),
    "raise": ("crash", {"fail_at": "measure", "fail_how": "raise"}),
    "bad-load": ("load_error", {"fail_at": "load", "fail_how": "raise"}),
    "nan": ("output_error", {"fail_at": "first", "fail_how": "nan"}),
    "nan-late": ("output_error", {"fail_at": "measure", "fail_how": "nan"}),
    "allocate": ("oom", {"fail_at": "measure", "fail_how": "allocate"}),
    "touch-512": ("oom", {"memory_mib": 512}),
    "bad-script": ("load_error", {"latency": 1.0}),
}
AT_ONCE = ("bad-load", "nan", "touch-512", "bad-script")
"""What fails in the first process of its cell; the others fail at an inference that it does not come to."""
FLOOD = {"flood": {"latency_ms": 1.5, "fail_at": "measure", "fail_how": "flood"}}
SAYS = {"segfault": "SIGSEGV", "hang": "measure:one", "exit0": "exited 0", "nan": "NaN", "bad-script": "latency"}


class Done(NamedTuple):
    """A finished run, and what it printed."""

    run: Path
    code: int
    text: str
    errors: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Run all of them together, two blocks, in 256 MiB each."""
    base = tmp_path_factory.mktemp("models")
    scripts = {**GOOD, **{name: script for name, (_, script) in BAD.items()}, **FLOOD}
    suite = write_suite(base, scripts, trials=2, phase_timeout_s=2.0, memory_mib=256)
    process = run_cli("run", suite, "--out", base / "out", "--strict")
    return Done(only_run(base / "out"), process.returncode, process.stdout, process.stderr)


def test_the_run_ends_with_a_table_and_says_that_cells_failed(done: Done) -> None:
    assert done.code == 5, done.text + done.errors
    assert done.errors == ""
    assert set(rows(done.run)) == {*GOOD, *BAD, *FLOOD}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_has_its_name_and_nothing_is_published(done: Done, name: str) -> None:
    row = rows(done.run)[name]
    assert (row["status"], row["failure"]) == ("failed", BAD[name][0]), row["reasons"]
    assert SAYS.get(name, "") in " ".join(d["message"] for d in row["reasons"])
    assert not row["eligible"]
    assert [row.get(key) for key in ("place", "rank_low", "rank_high", "score", "p_best")] == [None] * 5
    assert not row["metrics"]
    assert BAD[name][0] in " ".join(line for line in done.text.splitlines() if name in line)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_not_tried_again_and_its_evidence_is_kept(done: Done, name: str) -> None:
    trials = sorted((done.run / "cells" / f"{name}@place").iterdir())
    assert [trial.name for trial in trials] == (["cold-01"] if name in AT_ONCE else ["cold-01", "trial-01"])
    assert {"job.json", "events.jsonl", "outcome.json", "worker.log"} <= {file.name for file in trials[-1].iterdir()}


def test_the_log_of_a_segfault_shows_where(done: Done) -> None:
    log = done.run / "cells" / "segfault@place" / "trial-01" / "worker.log"
    assert "Segmentation fault" in log.read_text() and "misbehave" in log.read_text()


def test_the_good_ones_are_measured_as_if_alone(done: Done) -> None:
    """Their clock is virtual: exactly the scripted times, in both blocks, whatever died in a turn beside them."""
    scripted = {**GOOD, **FLOOD}
    for name, script in scripted.items():
        row = rows(done.run)[name]
        assert (row["status"], row["eligible"]) == ("measured", True)
        p50 = row["metrics"]["latency_p50_ms"]
        assert (p50["value"], p50["trials"]) == (script["latency_ms"], 2)
    order = [row["candidate"] for row in ranking(done.run)["rows"] if row["eligible"]]
    assert order == ["good-1", "flood", "good-2"]


def test_a_flood_of_output_is_bounded(done: Done) -> None:
    for trial in (done.run / "cells" / "flood@place").glob("trial-*"):
        assert 1000 < (trial / "worker.log").stat().st_size <= 8 << 20


def test_strict_or_not_the_run_can_be_ranked_again(done: Done) -> None:
    before = rows(done.run)
    again = run_cli("rank", done.run)
    assert again.returncode == 0, again.stderr
    assert rows(done.run) == before
