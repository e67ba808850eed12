"""Run folders written by hand: a suite of fake candidates, and trials with the requests that a test gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec
import numpy as np

from harness.evidence.files import save_array, write_json
from harness.evidence.folder import LATENCY, PREDICTIONS, SLICES, START, save_requests, write_outcome
from harness.evidence.run import BlockRecord, Prepared, PreparedCell, RunRecord, block_file, cold_folder, trial_folder
from harness.scenarios.offline import Offline
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Memory, Outcome, Window
from harness.spec.policy import Policy
from harness.spec.suite import Candidate, Dataset, Suite
from harness.spec.target import HourlyPrice, Limits, Price, Target

MS = 1_000_000
PRICE = HourlyPrice(usd_per_hour=0.36, source="made up", as_of=date(2026, 8, 1), utilisation=1.0)


def run_folder(
    base: Path,
    *candidates: str,
    policy: Policy | None = None,
    price: Price | None = PRICE,
    limits: Limits | None = None,
) -> Path:
    """Write the records of a run of these candidates on the target `box`."""
    target = Target(name="box", description="a box", runtime="fake", price=price, limits=limits or Limits())
    suite = Suite(
        name="by-hand",
        description="evidence written by a test",
        targets=("box",),
        candidate=tuple(Candidate(name=name, path=f"{name}.fake.toml") for name in candidates),
        scenario=(SingleStream(name="interactive"), Offline(name="offline", batch_sizes=(1, 8))),
        dataset=Dataset(path="data.npz"),
        policy=policy or Policy(),
    )
    record = RunRecord(
        id="run",
        created="2026-08-01T00:00:00+00:00",
        suite=suite,
        suite_file="s.toml",
        base=".",
        targets=(target,),
        seed=1,
    )
    write_json(base / "run.json", record)
    cells = {f"{name}@box": PreparedCell(status="ok") for name in candidates}
    write_json(base / "prepare.json", Prepared(cells=cells, spent_s=2.0))
    return base


def trial(
    run: Path,
    candidate: str,
    block: int,
    latencies_ms: Mapping[str, Sequence[float]],
    slices: Sequence[Sequence[int]] = (),
    **outcome: object,
) -> Path:
    """Write a trial: window → latencies of its requests, which begin every ms from 0. `offline.b8` has batches of 8."""
    return _written(trial_folder(run, f"{candidate}@box", block), latencies_ms, slices, **outcome)


def cold(run: Path, candidate: str, number: int, predictions: np.ndarray | None = None, **outcome: object) -> Path:
    """Write a cold trial (`number` from 1)."""
    folder = cold_folder(run, f"{candidate}@box", number)
    files = {} if predictions is None else {PREDICTIONS: save_array(folder / PREDICTIONS, predictions)}
    return _written(folder, {"interactive": [1000.0]}, (), files=files, **outcome)


def block(run: Path, number: int, wall_s: float) -> None:
    """Write a block's record."""
    write_json(block_file(run, number), BlockRecord(block=number, wall_s=wall_s))


def _written(
    folder: Path, latencies_ms: Mapping[str, Sequence[float]], slices: Sequence[Sequence[int]], **outcome: object
) -> Path:
    files, windows = dict(outcome.pop("files", {})), []
    for name, latencies in latencies_ms.items():
        latency = (np.asarray(latencies) * MS).astype(np.int64)
        files |= save_requests(folder, name, {LATENCY: latency, START: np.arange(len(latency)) * MS})
        scenario, _, size = name.partition(".b")
        windows.append(
            Window(
                name=name,
                scenario=scenario,
                samples=len(latency),
                batch_size=int(size or 1),
                elapsed_ns=int(latency.sum()),
                warm_up_samples=7,
            )
        )
    if slices:
        files[SLICES] = save_array(folder / SLICES, np.array(slices, dtype=np.int64))
    made = Outcome(status="ok", windows=tuple(windows), files=files, memory=Memory())
    write_outcome(folder, msgspec.structs.replace(made, **outcome))
    return folder
