"""A real run of fakes in processes of their own: one that is measured, one that crashes, and a hostile version."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.export.base import Source, open_source
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run

SUITE = """
description = "fakes"
targets = ["here"]
[dataset]
path = "x.npz"
[[candidate]]
name = "quick"
path = "quick.fake.toml"
version = 'v1 "final" \\ 2'
[[candidate]]
name = "broken"
path = "broken.fake.toml"
[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.2
[budget]
seconds = 2
trials = 2
max_trials = 2
[policy.limits]
latency_p90_ms = { max = 1.5 }
[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.1, limit = 100 }
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, to be left as it is."""
    base = tmp_path_factory.mktemp("exported")
    (base / "targets").mkdir()
    (base / "targets/here.toml").write_text('description = "here"\nruntime = "fake"\n')
    np.savez(base / "x.npz", x=np.zeros((4, 1), np.float32), labels=np.zeros(4, np.int64))
    (base / "quick.fake.toml").write_text("latency_ms = 1.0\nsigma = 0.1\n")
    (base / "broken.fake.toml").write_text('latency_ms = 1.0\nfail_at = "first"\n')
    (base / "fakes.toml").write_text(SUITE)
    return run(*open_new(Request([str(base / "fakes.toml")], out=base / "results"))).folder


@pytest.fixture(scope="session")
def source(made: Path) -> Source:
    return open_source(made)


@pytest.fixture
def run_copy(made: Path, tmp_path: Path) -> Path:
    """A copy of the run, to do harm to."""
    return Path(shutil.copytree(made, tmp_path / "run"))
