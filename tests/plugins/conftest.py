"""The package `package/`, installed as a third party's would be: its files and a dist-info folder on PYTHONPATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

ENTRY_POINTS = """
[harness.launchers]
niced = example_plugins.launcher:NicedLauncher
[harness.probes]
files = example_plugins.probes:FileProbe
watt = example_plugins.probes:WattProbe
broken = example_plugins.broken:Probe
misspelt = example_plugins.probes:FilesProbe
[harness.scenarios]
burst = example_plugins.burst:KIND
[harness.formats]
table = example_plugins.table:TABLE
grid = example_plugins.table:GRID
[harness.conversions]
table-to-fake = example_plugins.table:TableToFake
grid-to-table = example_plugins.table:GridToTable
[harness.metrics]
top2 = example_plugins.top2:TOP2
first_of_burst_ms = example_plugins.burst:FIRST_OF_BURST
"""
SCENARIO = '[[scenario]]\nname = "one"\nkind = "single_stream"\nmax_samples = 1000\n'
POLICY = "[policy.objectives]\nlatency_p50_ms = { weight = 1, target = 0.01, limit = 1000 }\n"
TIMEOUT_S = 120.0
ROWS, CLASSES = 120, 6


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed distribution's metadata."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "example_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


class Done(NamedTuple):
    """A run that has ended: exit status, what was printed, and its folder (None: it was refused)."""

    status: int
    text: str
    run: Path | None

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run."""
        assert self.run is not None, self.text
        found: dict[str, Any] = json.loads((self.run / name).read_text())
        return found

    def row(self, candidate: str) -> dict[str, Any]:
        """Return the candidate's row of ranking.json."""
        (row,) = (row for row in self.read("ranking.json")["rows"] if row["candidate"] == candidate)
        return row


class Bench:
    """Writes small suites into a folder and runs them by the real command line, plug-ins installed."""

    def __init__(self, folder: Path, site: Path) -> None:
        self._folder = folder
        paths = (str(site), str(Path(__file__).with_name("package")), os.environ.get("PYTHONPATH", ""))
        self._env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(
        self,
        models: Mapping[str, str],
        *,
        target: str = "",
        scenario: str = SCENARIO,
        policy: str = POLICY,
        trials: int = 1,
    ) -> Done:
        """Run a suite of these model files (name → content) on one target of the fake runtime."""
        for name, content in models.items():
            (self._folder / name).write_text(content)
        labels = np.arange(ROWS) % CLASSES
        np.savez(self._folder / "rows.npz", x=labels.astype(np.float32).reshape(-1, 1), labels=labels)
        (self._folder / "place.toml").write_text(f'description = "here"\nruntime = "fake"\n{target}')
        candidates = "".join(f'[[candidate]]\nname = "{n.partition(".")[0]}"\npath = "{n}"\n' for n in models)
        budget = f'[budget]\nseconds = 600\ntrials = {trials}\nmax_trials = {trials}\nrace = "off"\n'
        (self._folder / "suite.toml").write_text(
            'description = "plug-ins"\ntargets = ["place.toml"]\n[dataset]\npath = "rows.npz"\n'
            + candidates
            + scenario
            + budget
            + policy
        )
        return self._harness()

    def _harness(self) -> Done:
        out = self._folder / "out"
        code = "from harness.cli.app import main; main()"
        command = [sys.executable, "-c", code, "run", self._folder / "suite.toml", "--out", out]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=self._env, cwd=self._folder, check=False
        )
        runs = sorted(path.parent for path in out.glob("*/run.json"))
        return Done(done.returncode, done.stdout + done.stderr, runs[-1] if runs else None)


@pytest.fixture
def bench(tmp_path: Path, site: Path) -> Bench:
    return Bench(tmp_path, site)


@pytest.fixture
def fake() -> str:
    """A script of the fake runtime."""
    return f"latency_ms = 0.5\nclasses = {CLASSES}\n"
