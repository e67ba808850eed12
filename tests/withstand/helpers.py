"""Suites of scripted models, and the command line as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run

TIMEOUT_S = 120.0
Scripts = Mapping[str, Mapping[str, object]]


def _toml(value: object) -> str:
    return json.dumps(value)


def write_suite(
    folder: Path,
    candidates: Scripts,
    *,
    trials: int = 1,
    phase_timeout_s: float = 60.0,
    memory_mib: int | None = None,
    seconds: float = 1.0,
    max_samples: int = 2000,
) -> Path:
    """Write fakes, a target called `place` and a suite judged by latency alone; returns the suite's file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in candidates.items():
        lines = [f"{key} = {_toml(value)}" for key, value in script.items()]
        (folder / f"{name}.fake.toml").write_text("\n".join(lines) + "\n")
    limits = f"[limits]\nmemory_mib = {memory_mib}\n" if memory_mib else ""
    (folder / "place.toml").write_text(f'description = "here"\nruntime = "fake"\n{limits}')
    entries = "".join(f'[[candidate]]\nname = "{n}"\npath = "{n}.fake.toml"\n' for n in candidates)
    file = folder / "suite.toml"
    file.write_text(
        'description = "scripted"\ntargets = ["place.toml"]\n'
        "[dataset.synthetic]\nrows = 32\n"
        f"{entries}"
        '[[scenario]]\nname = "one"\nkind = "single_stream"\n'
        f"seconds = {seconds}\nmax_samples = {max_samples}\n"
        f"[budget]\nseconds = 600\ntrials = {trials}\nmax_trials = {trials}\n"
        f'phase_timeout_s = {phase_timeout_s}\nrace = "off"\n'
        "[policy.objectives]\n"
        "latency_p50_ms = { weight = 1, target = 0.01, limit = 1000 }\n"
        "latency_p99_ms = { weight = 1, target = 0.01, limit = 1000 }\n"
    )
    return file


def command(*args: object) -> list[str]:
    """Return the command line that runs `harness` with these arguments in a process of its own."""
    return [sys.executable, "-c", "from harness.cli.app import main; main()", *map(str, args)]


def run_cli(*args: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `harness` with these arguments to its end."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=TIMEOUT_S, env={**os.environ, **(env or {})}
    )


def run_here(suite: Path, out: Path) -> Path:
    """Run a suite from this process, which saves a start of the command line; returns its run folder."""
    folder, record = open_new(Request([str(suite)], out=out))
    run(folder, record)
    return folder


@contextmanager
def started_cli(*args: object) -> Iterator[subprocess.Popen[str]]:
    """Start `harness` as the leader of its own process group; nothing of it outlives the test.

    SIGINT means what it does at a terminal, also where the tests themselves were started to ignore it (as shells
    do for what they put in the background).
    """
    process = subprocess.Popen(
        command(*args),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def only_run(out: Path) -> Path:
    """Return the one run folder under `out`."""
    (run,) = (path.parent for path in out.glob("*/run.json"))
    return run


def kill_group(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Signal a whole process group, as a terminal does on Ctrl-C."""
    os.killpg(process.pid, number)


def phase_of(trial: Path) -> str:
    """Return the last phase a trial marked."""
    try:
        lines = (trial / "events.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return str(json.loads(lines[-1])["phase"]) if lines else ""


def outcomes(run: Path) -> dict[str, tuple[int, int]]:
    """Return each finished trial's outcome as (inode, mtime): what must not change when a run is resumed."""
    files = sorted(run.glob("cells/*/trial-[0-9][0-9]/outcome.json"))
    return {str(f.relative_to(run)): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def ranking(run: Path) -> dict[str, Any]:
    """Return ranking.json."""
    found: dict[str, Any] = json.loads((run / "ranking.json").read_text())
    return found


def rows(run: Path) -> dict[str, dict[str, Any]]:
    """Return ranking.json's rows by candidate."""
    return {row["candidate"]: row for row in ranking(run)["rows"]}


def damage(path: Path) -> None:
    """Cut a file in half, as a crash of the machine does."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
