"""Cold starts of scripted models without a suite: one job, one real process behind a real door."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from harness.evidence.files import save_array
from harness.launch.base import Terms, run_job
from harness.serverless.launcher import ContainerLauncher, FunctionLauncher
from harness.spec.outcome import Outcome
from harness.spec.suite import Candidate
from harness.spec.target import Lifecycle, Limits, Target
from harness.spec.variant import Variant
from harness.spec.wire import ColdStart

FAKE = "harness.runtimes.fake:FakeRuntime"
LAUNCHERS = {"function": FunctionLauncher, "container": ContainerLauncher}
needs_client = pytest.mark.skipif(find_spec("awslambdaric") is None, reason="awslambdaric is not installed")
PLACES = [pytest.param("function", marks=needs_client), "container"]


def cold_start(
    folder: Path,
    place: str = "function",
    *,
    limits: Limits | None = None,
    lifecycle: Lifecycle | None = None,
    entry: str = FAKE,
    launcher: type | None = None,
    requests: int = 4,
    python: str | None = None,
    **script: object,
) -> Outcome:
    """Start a fake with this script; the staging root is `folder`'s parent, and rows are [8, 1] classes there."""
    root = folder.parent
    root.mkdir(parents=True, exist_ok=True)
    path = root / "artefacts" / f"{folder.name}.fake.toml"
    path.parent.mkdir(exist_ok=True)
    lines = {"latency_ms": 0.1, "clock": "real"} | script
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    save_array(root / "inputs" / "x.npy", np.arange(8, dtype=np.float32)[:, None] % 10)
    limits = limits or Limits()
    job = ColdStart(
        candidate=Candidate(name="fake", path=str(path)),
        target=Target(
            name="place",
            description="here",
            runtime="fake",
            launcher=place,
            limits=limits,
            lifecycle=lifecycle or Lifecycle(init_s=20.0, timeout_s=20.0),
        ),
        variant=Variant(format="fake", path=str(path.relative_to(root))),
        entry=entry,
        rows="inputs",
        requests=requests,
        seconds=5.0,
    )
    return run_job((launcher or LAUNCHERS[place])(), folder, job, Terms(root, limits, python))
