"""What it costs to start a trial, and `harness` itself."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from figure import Figure, median
from made import Model, layered, torch_cnn, trial

from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher

_SHORT_S = 0.01


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
