"""Stopping a run: by Ctrl-C, by SIGTERM or SIGHUP, by kill -9, and a second run that comes too early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..launch.helpers import alive, descendants, gone, wait_for
from .helpers import (
    kill_group,
    only_run,
    outcomes,
    phase_of,
    ranking,
    run_cli,
    started_cli,
    write_suite,
)

VARIED = {
    name: {"latency_ms": ms, "sigma": 0.2, "process_spread": 0.02, "seed": seed}
    for seed, (name, ms) in enumerate({"a": 1.0, "b": 1.01, "c": 1.3}.items())
}
TRIALS = 3
HANG = {"a": {}, "stuck": {"fail_at": "measure", "fail_how": "grandchild"}}


def varied(folder: Path) -> Path:
    """Write a suite of three cells and three blocks."""
    return write_suite(folder, VARIED, trials=TRIALS, max_samples=500)


def frozen(process: subprocess.Popen[str], out: Path) -> Path:
    """Freeze a fork that has begun a trial of the second block, after the first has ended; returns the run."""
    run = wait_for(lambda: next((p.parent for p in out.glob("*/run.json")), None), "the run folder")

    def found() -> bool:
        for trial in run.glob("cells/*/trial-0[2-9]"):
            pid = pid_of(trial)
            if pid and not (trial / "outcome.json").exists() and alive(pid):
                os.kill(pid, signal.SIGSTOP)
                if not (trial / "outcome.json").exists() and phase_of(trial) != "close":
                    return True
                os.kill(pid, signal.SIGCONT)
        assert process.poll() is None, "the run ended before it could be frozen"
        return False

    wait_for(found, "a fork in its trial")
    return run


def seated(process: subprocess.Popen[str]) -> list[int]:
    """Wait until a block has all its processes, a guard, a template and a fork for each cell; returns them."""

    def found() -> list[int] | None:
        pids = descendants(process.pid)
        return pids if len(pids) == 2 + len(VARIED) else None

    return wait_for(found, "a guard, a template and a fork for each cell")


def pid_of(trial: Path) -> int | None:
    """Return the process that a trial named when it had loaded its model."""
    try:
        events = [json.loads(line) for line in (trial / "events.jsonl").read_text().splitlines()]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return next((event["pids"][0] for event in events if event.get("pids")), None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_no_child_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    suite, out = varied(tmp_path / "s"), tmp_path / "out"
    with started_cli("run", suite, "--out", out, "--seed", 7) as process:
        run = frozen(process, out)
        finished, pids = outcomes(run), descendants(process.pid)
        assert 3 <= len(pids) <= 2 + len(VARIED), "a guard, a template and forks, of which some may have ended"
        kill_group(process, number)
        text, _ = process.communicate(timeout=30)
    assert process.returncode == 130, text
    gone(*pids)
    assert "Traceback" not in text
    assert f"harness run --resume {run}" in text
    assert len(finished) >= len(VARIED) and finished.items() <= outcomes(run).items()


def stuck(process: subprocess.Popen[str], out: Path) -> tuple[Path, list[int]]:
    """Wait until the stuck one measures; returns the run and all processes below it."""

    def measuring() -> Path | None:
        found = list(out.glob("*/cells/stuck@place/trial-01"))
        return found[0] if found and phase_of(found[0]) == "measure:one" else None

    trial = wait_for(measuring, "the stuck candidate to measure")
    grandchild = int(wait_for(lambda: (trial / "worker.log").read_text().partition("grandchild ")[2], "its own child"))
    pids = descendants(process.pid)
    assert len(pids) == 5 and grandchild in pids, "guard, template, two forks, and the child of one"
    return only_run(out), [pid for pid in pids if pid != grandchild] + [grandchild]


def test_what_a_stuck_one_has_started_ends_too(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path / "s", HANG), tmp_path / "out"
    with started_cli("run", suite, "--out", out) as process:
        _, pids = stuck(process, out)
        kill_group(process, signal.SIGINT)
        text, _ = process.communicate(timeout=30)
    assert process.returncode == 130, text
    gone(*pids)


def test_a_second_run_is_told_who_measures_and_kill_9_frees_the_machine(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path / "s", HANG), tmp_path / "out"
    quick = write_suite(tmp_path / "quick", {"a": {}})
    with started_cli("run", suite, "--out", out) as process:
        run, pids = stuck(process, out)
        refused = run_cli("run", quick, "--out", tmp_path / "second")
        assert refused.returncode == 2
        assert "another run is measuring" in refused.stderr
        assert f"process {process.pid} " in refused.stderr and str(run) in refused.stderr
        for pid in pids[:-1]:
            held = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
            assert os.environ["HARNESS_LOCK"] in held, "templates and forks hold the machine as long as they live"
        assert all(alive(pid) for pid in pids), "the first goes on undisturbed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    gone(*pids)
    third = run_cli("run", quick, "--out", tmp_path / "third")
    assert third.returncode == 0, third.stderr


def test_a_killed_run_resumes_to_the_ranking_of_an_unbroken_one(tmp_path: Path) -> None:
    suite = varied(tmp_path / "s")
    with started_cli("run", suite, "--out", tmp_path / "broken", "--seed", 7) as process:
        run = frozen(process, tmp_path / "broken")
        pids = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    gone(*pids)
    finished = outcomes(run)
    assert len(finished) >= len(VARIED)
    resumed = run_cli("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert finished.items() <= outcomes(run).items(), "a finished trial is not done again"
    assert len(outcomes(run)) == TRIALS * len(VARIED) and len(list(run.glob("blocks/*.json"))) == TRIALS
    assert list(run.glob("cells/*/trial-*.incomplete-1")), "what was cut off is kept aside"
    whole = run_cli("run", suite, "--out", tmp_path / "whole", "--seed", 7)
    assert whole.returncode == 0, whole.stderr
    assert comparable(run) == comparable(only_run(tmp_path / "whole"))


def comparable(run: Path) -> list[tuple[Any, ...]]:
    """Return each row's name, status, place and number of trials: how long windows are depends on the machine."""
    rows = ranking(run)["rows"]
    return [(row["candidate"], row["status"], row["place"], row["metrics"]["latency_p99_ms"]["trials"]) for row in rows]
