"""A run of many rows, written by hand: requests, memory, phases and predictions of each; one crashed, one skipped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from harness.evidence.files import save_array, write_json
from harness.evidence.run import Prepared, PreparedCell
from harness.spec.outcome import Launched, Memory
from harness.spec.policy import Limit, Objective, Policy
from harness.spec.variant import ParityReport, Variant

from ..analyse.handwritten import block, cold, run_folder, trial

POLICY = Policy(
    limits={"latency_p99_ms": Limit(max=1000.0), "accuracy": Limit(min=0.3)},
    objectives={
        "latency_p99_ms": Objective(weight=3, target=0.1, limit=1000.0),
        "accuracy": Objective(weight=2, target=0.99, limit=0.5),
        "cost_per_million_usd": Objective(weight=1, target=0.01, limit=1000.0),
    },
)
_NS, _MIB, _CLASSES, _ROWS = 1_000_000_000, 1 << 20, 10, 400
_PHASES = ("hello", "import", "load", "loaded", "first", "warm_up:interactive", "measure:interactive", "close")
_HOST = {"cpu": "a made-up processor", "cpus": 2}


def many(base: Path, rows: int = 50, trials: int = 5, requests: int = 2000, name: str = "net-{:02d}") -> Path:
    """Write a run of `rows` candidates on one target; medians from 0.2 to 20 ms, the slower the better they predict."""
    names = [name.format(number) for number in range(rows)]
    run = run_folder(base, *names, policy=POLICY)
    rng = np.random.default_rng(rows)
    labels = rng.integers(0, _CLASSES, _ROWS)
    save_array(run / "prepare" / "dataset" / "evaluation" / "labels.npy", labels)
    cells = {f"{each}@box": _prepared(number) for number, each in enumerate(names)}
    cells[f"{names[-1]}@box"] = PreparedCell(status="skipped", why="no such device")
    write_json(run / "prepare.json", Prepared(cells=cells, dataset="prepare/dataset", spent_s=9.0))
    for number, each in enumerate(names[:-1]):
        _one(run, each, number / rows, labels, rng, trials, requests)
    for number in range(trials):
        block(run, number, 20.0)
    if rows > 3:
        trial(run, names[-2], trials, {}, status="failed", failure="crash", message="ended by SIGSEGV")
    return run


def _one(
    run: Path, name: str, place: float, labels: np.ndarray, rng: np.random.Generator, trials: int, requests: int
) -> None:
    median = 0.2 * 100.0**place
    right = rng.random(labels.size) < 0.7 + 0.25 * place
    predictions = np.eye(_CLASSES)[np.where(right, labels, (labels + 1) % _CLASSES)].astype(np.float32)
    fresh = {"load_ns": int(median * 3e7), "first_inference_ns": int(median * 2e6), "launched": _launched()}
    held = Memory(baseline_bytes=50 * _MIB, loaded_bytes=70 * _MIB, peak_bytes=int((80 + 200 * place) * _MIB))
    more = {"memory": held, "begin_ns": _NS // 5, "duration_ns": _NS, "versions": {"fake": "1.0"}}
    _watched(cold(run, name, 1, predictions, **fresh, **more), place)
    for number in range(trials):
        slow = median * rng.lognormal(0, 0.03)
        windows = {window: slow * rng.lognormal(0, 0.3, requests) for window in ("interactive", "offline.b1")}
        trial(run, name, number, windows, fresh=False, launched=_launched())


def _launched() -> Launched:
    return Launched(launcher="process", wall_ns=_NS, begin_ns=1, host=_HOST)


def _watched(folder: Path, place: float) -> None:
    """Write what the child marked, and what was seen of it from outside."""
    at = np.linspace(0.2, 1.0, len(_PHASES)) * _NS
    events = (b'{"phase":"%s","t_ns":%d}\n' % (name.encode(), t) for name, t in zip(_PHASES, at, strict=True))
    (folder / "events.jsonl").write_bytes(b"".join(events))
    seen = (f"{int(t)},{int((10 + 60 * t / _NS * (1 + place)) * _MIB)}\n" for t in np.linspace(0.01, 1, 12) * _NS)
    (folder / "telemetry.csv").write_text("t_ns,process.rss_bytes\n" + "".join(seen))


def _prepared(number: int) -> PreparedCell:
    parity = ParityReport(rows=256, max_abs_diff=1e-6, top1_agreement=1.0)
    variant = Variant(
        format="onnx", digest=f"{number:064x}", bytes=1000 * (number + 1), steps=("a-to-b",), parity=parity
    )
    return PreparedCell(status="ok", variant=variant)


def reworded(run: Path, name: str) -> None:
    """Give a ranked run a reason, a warning and a note that say `name`, as a model's error message could."""
    path = run / "ranking.json"
    ranking = msgspec.json.decode(path.read_bytes())
    ranking["rows"][0]["reasons"][0] |= {"message": name, "severity": "warning"}
    ranking["notes"][0]["message"] = name
    path.write_bytes(msgspec.json.encode(ranking))
