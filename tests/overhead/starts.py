"""What it costs to start a trial, and `harness` itself."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from figure import Figure, median
from made import Model, layered, torch_cnn, trial

from harness.evidence.folder import read_events
from harness.launch.base import Launcher, Terms, run_job
from harness.launch.means import find
from harness.launch.process import ProcessLauncher
from harness.spec.target import Limits
from harness.spec.wire import Trial

_SHORT_S = 0.01
_LIMITS = Limits(cpus=1.5, memory_mib=1024)
"""A quota (and from three CPUs on a set of CPUs) that one thread does not use up, and memory enough."""


def starts(folder: Path, repetitions: int = 5) -> list[Figure]:
    """Compare the wall time of the shortest trial as a fork of a template and as a fresh process, alternating."""
    figures = []
    for model, high in ((layered(folder, 10), 0.6), (torch_cnn(folder), 0.25)):
        forked, fresh = _walls(model, folder, repetitions)
        ratios = [ours / theirs for ours, theirs in zip(forked, fresh, strict=True)]
        said = f"medians: {np.median(forked):.3f} s, {np.median(fresh):.3f} s"
        name = f"shortest trial of {model.name}: fork of a template ÷ fresh process"
        figures.append(median(name, ratios, 0, high, note=said))
    return figures


def _walls(model: Model, folder: Path, repetitions: int) -> tuple[list[float], list[float]]:
    """Return the wall seconds of trials: forks, fresh processes."""
    launcher, terms, walls = ProcessLauncher(), Terms(folder), ([], [])
    jobs = [trial(model, _SHORT_S, fresh=fresh) for fresh in (False, True)]
    with launcher.block([(jobs[0], terms)]) as ready:
        for number in range(-1, repetitions):  # the first fork also waits for the template
            for place, job in enumerate(jobs):
                own = folder / f"start-{model.target.runtime}-{number}-{place}"
                own.mkdir()
                begin = time.perf_counter()
                outcome = run_job(ready, own, job, terms)
                assert outcome.status == "ok", outcome.message
                assert outcome.fresh == bool(place), "the trial is not what it was meant to be"
                if number >= 0:
                    walls[place].append(time.perf_counter() - begin)
    return walls


def limited_starts(folder: Path, repetitions: int = 40) -> list[Figure]:
    """Compare how long a trial takes to begin with limits that cgroups enforce and without, alternating."""
    means = find()
    if means.missing:
        said = "; ".join(f"{name}: {why}" for name, why in means.missing.items())
        return [Figure("limits: unavailable here", math.nan, "ms", 0, -math.inf, math.inf, note=said)]
    model, plain, limited = layered(folder, 10), Terms(folder), Terms(folder, _LIMITS)
    figures = []
    for fresh in (False, True):
        job, more, walls = trial(model, _SHORT_S, fresh=fresh), [], []
        with ProcessLauncher().block([(job, plain), (job, limited)]) as ready:
            for number in range(-1, repetitions):
                order = (plain, limited) if number % 2 else (limited, plain)
                names = [folder / f"limits-{fresh}-{number}-{place}" for place in range(2)]
                own = {terms: _begun(ready, name, job, terms) for name, terms in zip(names, order, strict=True)}
                if number >= 0:
                    more.append(own[limited].begun_ms - own[plain].begun_ms)
                    walls.append(own[limited].wall_ms - own[plain].wall_ms)
        said = f"to its whole wall time: {np.median(walls):.1f} ms (median)"
        name = f"limits add to the start of a {'fresh process' if fresh else 'fork'}"
        figures.append(median(name, more, -math.inf, 3.0, "ms", note=said))
    return figures


class _Bare(ProcessLauncher):
    """Starts a program that writes when it began, and nothing else: what is left is the launcher's own share."""

    def command(self, folder: Path, terms: Terms) -> list[str]:
        """Return the command line of the program."""
        code = "import sys, time; open(sys.argv[1], 'w').write(str(time.perf_counter_ns()))"
        return [sys.executable, "-S", "-E", "-c", code, str(folder / "began")]


def limits_alone(folder: Path, repetitions: int = 40) -> list[Figure]:
    """Compare how long a bare program takes to begin with limits and without, alternating; the same twice beside it.

    A worker takes 0.2 s to import what it needs, which on a shared host varies by more than limits add.
    """
    if find().missing:
        return []
    launcher, job = _Bare(), trial(layered(folder, 10), _SHORT_S, fresh=True)
    kinds = {"plain": Terms(folder), "again": Terms(folder), "limited": Terms(folder, _LIMITS)}
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(-1, repetitions):
        names = [*kinds][number % 3 :] + [*kinds][: number % 3]
        for name in names:
            own = folder / f"bare-{number}-{name}"
            own.mkdir()
            begin = time.perf_counter_ns()
            launcher.start(own, job, kinds[name]).wait(lambda phase, seconds: None)
            if number >= 0:
                took[name].append((int((own / "began").read_text()) - begin) / 1e6)
    more, twice = ([a - b for a, b in zip(took[name], took["plain"], strict=True)] for name in ("limited", "again"))
    return [
        median("limits add to the start of a bare program", more, -math.inf, 3.0, "ms"),
        median("the same without limits, twice", twice, -1.0, 1.0, "ms"),
    ]


class _Took(NamedTuple):
    """From asking for a trial to its first mark, and to its end, its cgroup removed (ms)."""

    begun_ms: float
    wall_ms: float


def _begun(launcher: Launcher, folder: Path, job: Trial, terms: Terms) -> _Took:
    folder.mkdir()
    begin = time.perf_counter_ns()
    outcome = run_job(launcher, folder, job, terms)
    end = time.perf_counter_ns()
    assert outcome.status == "ok", outcome.message
    return _Took((read_events(folder)[0][0].t_ns - begin) / 1e6, (end - begin) / 1e6)


def command_line(folder: Path, times: int = 9) -> list[Figure]:
    """Time `harness --help`, and count the heavy packages it imports."""
    command = [sys.executable, "-c", "from harness.cli.app import main; main()", "--help"]
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - begin)
    found = subprocess.run(
        [sys.executable, "-X", "importtime", *command[1:]], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    heavy = len(imported & {"numpy", "pandas", "torch", "matplotlib", "onnxruntime", "scipy"})
    return [
        median("harness --help", took, 0, 0.25, "s"),
        Figure("heavy packages imported by --help", heavy, "", 1, 0, 0),
    ]
