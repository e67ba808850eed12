"""Stopping a run: by Ctrl-C, by SIGTERM, by kill -9, and a second run that comes too early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..launch.helpers import alive, gone, wait_for
from .helpers import (
    children,
    kill_group,
    only_run,
    outcomes,
    phase_of,
    ranking,
    run_cli,
    seed_with_last,
    started_cli,
    write_suite,
)

HANG = {"a": {}, "b": {}, "stuck": {"fail_at": "measure", "fail_how": "grandchild"}}
SEED = seed_with_last(list(HANG), "stuck")


def measuring(process: subprocess.Popen[str], out: Path) -> tuple[Path, list[int]]:
    """Wait until the stuck one measures; returns the run and everything the harness has started."""

    def stuck() -> Path | None:
        found = list(out.glob("*/cells/stuck@place/trial-01"))
        return found[0] if found and phase_of(found[0]) == "measure:one" else None

    trial = wait_for(stuck, "the stuck candidate to measure")
    grandchild = wait_for(lambda: (trial / "worker.log").read_text().partition("grandchild ")[2], "its own child")
    pids = [*children(process.pid), int(grandchild)]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    return only_run(out), pids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_no_child_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    suite, out = write_suite(tmp_path / "s", HANG), tmp_path / "out"
    with started_cli("run", suite, "--out", out, "--seed", SEED) as process:
        run, pids = measuring(process, out)
        finished = outcomes(run)
        kill_group(process, number)
        text, _ = process.communicate(timeout=30)
    assert process.returncode == 130, text
    gone(*pids)
    assert "Traceback" not in text
    assert f"harness run --resume {run}" in text
    assert len(finished) == 2 and outcomes(run) == finished


def test_a_second_run_is_told_who_measures_and_kill_9_frees_the_machine(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path / "s", HANG), tmp_path / "out"
    quick = write_suite(tmp_path / "quick", {"a": {}})
    with started_cli("run", suite, "--out", out, "--seed", SEED) as process:
        run, pids = measuring(process, out)
        refused = run_cli("run", quick, "--out", tmp_path / "second")
        assert refused.returncode == 2
        assert "another run is measuring" in refused.stderr
        assert f"process {process.pid} " in refused.stderr and str(run) in refused.stderr
        held = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pids[0]}/fd").iterdir()]
        assert os.environ["HARNESS_LOCK"] in held, "the child holds the machine as long as it lives"
        assert all(alive(pid) for pid in pids), "the first goes on undisturbed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    gone(pids[0])
    os.kill(pids[1], signal.SIGKILL)
    third = run_cli("run", quick, "--out", tmp_path / "third")
    assert third.returncode == 0, third.stderr


VARIED = {
    name: {"latency_ms": ms, "sigma": 0.2, "process_spread": 0.02, "seed": seed}
    for seed, (name, ms) in enumerate({"a": 1.0, "b": 1.01, "c": 1.3}.items())
}


def test_a_killed_run_resumes_to_the_ranking_of_an_unbroken_one(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s", VARIED, trials=2, max_samples=500)
    with started_cli("run", suite, "--out", tmp_path / "broken", "--seed", 7) as process:
        run, child = frozen_in_a_later_trial(process, tmp_path / "broken")
        finished = outcomes(run)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    gone(child)
    assert outcomes(run) == finished and 2 <= len(finished) < 6
    resumed = run_cli("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert finished.items() <= outcomes(run).items(), "a finished trial is not done again"
    assert len(outcomes(run)) == 6
    assert list(run.glob("cells/*/trial-*.incomplete-1")), "what was cut off is kept aside"
    whole = run_cli("run", suite, "--out", tmp_path / "whole", "--seed", 7)
    assert whole.returncode == 0, whole.stderr
    assert comparable(run) == comparable(only_run(tmp_path / "whole"))


def frozen_in_a_later_trial(process: subprocess.Popen[str], out: Path) -> tuple[Path, int]:
    """Freeze a child that has begun a trial but not finished it, after two others; returns run and child."""
    run = wait_for(lambda: next((p.parent for p in out.glob("*/run.json")), None), "the run folder")

    def frozen() -> int | None:
        if len(outcomes(run)) < 2:
            return None
        for child in children(process.pid):
            with suppress(ProcessLookupError):  # it may have ended in the meantime
                os.kill(child, signal.SIGSTOP)
                begun = [t for t in run.glob("cells/*/trial-*") if phase_of(t) and not (t / "outcome.json").exists()]
                if begun:
                    return child
                os.kill(child, signal.SIGCONT)
        return None

    return run, wait_for(frozen, "a child in its trial")


_HOST = ("load_ms", "memory_baseline_mib", "memory_loaded_mib", "memory_peak_mib")


def comparable(run: Path) -> list[dict[str, Any]]:
    """Return the rows of ranking.json without what depends on the machine's state."""
    rows = json.loads(json.dumps(ranking(run)["rows"]))
    for row in rows:
        row["reasons"] = [reason for reason in row["reasons"] if reason["severity"] != "warning"]
        for key in _HOST:
            row["metrics"].pop(key, None)
    assert rows[0]["metrics"]["latency_p99_ms"]["trials"] == 2
    return list(rows)
