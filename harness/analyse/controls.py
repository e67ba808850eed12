"""What the controls of a run tell: whether this host let a twin be a twin, and 5 % more work be seen."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from harness.analyse.trials import TrialMetrics, read_trial
from harness.errors import EvidenceError
from harness.evidence.run import RunRecord
from harness.spec.arrays import Floats
from harness.spec.diagnostics import Diagnostic, diagnostic

SAME, TWIN, SLOWER = "same", "twin", "slower"
KINDS = (SAME, TWIN, SLOWER)
FEWEST_BLOCKS = 3
ALPHA = 0.05


def control_folder(run: Path, name: str, block: int) -> Path:
    """Return the folder of a control's trial in a block of its own."""
    return run / "controls" / name / f"trial-{block + 1:02d}"


def controls(run: Path, record: RunRecord) -> tuple[Diagnostic, ...]:
    """Say what the controls of a run found; nothing where it had none."""
    found = {name: _trials(run, record, name) for name in KINDS}
    shared = sorted(set.intersection(*({t.block for t in trials} for trials in found.values())))
    if not shared:
        return ()
    if len(shared) < FEWEST_BLOCKS:
        text = f"the controls had {len(shared)} blocks only: what this host lets be seen is not known"
        return (diagnostic("control_unknown", text, blocks=len(shared)),)
    parts = {name: _medians(found[name], shared, record.suite.traffic[0].name) for name in KINDS}
    return (_twin(*_compared(parts[TWIN], parts[SAME])), _slower(*_compared(parts[SLOWER], parts[SAME])))


def _trials(run: Path, record: RunRecord, name: str) -> list[TrialMetrics]:
    found = []
    for folder in sorted((run / "controls" / name).glob("trial-[0-9][0-9]")):
        try:
            trial = read_trial(folder, int(folder.name[-2:]) - 1, record.suite.scenario)
        except EvidenceError:
            continue
        if trial is not None and trial.outcome.status == "ok":
            found.append(trial)
    return found


def _medians(trials: Sequence[TrialMetrics], shared: Sequence[int], scenario: str) -> Floats:
    """Return the logarithm of each shared block's median latency."""
    samples = [trial.latencies(scenario) for trial in trials if trial.block in shared]
    return np.log([float(np.median(each)) for each in samples if each is not None])


def _compared(one: Floats, other: Floats) -> tuple[float, float, int]:
    """Return the mean log-ratio of medians, paired by block, the two-sided p of no difference, and the blocks."""
    ratios = one - other
    effect, blocks = float(ratios.mean()), ratios.size
    error = float(ratios.std(ddof=1)) / math.sqrt(blocks)
    p = 2.0 * float(special.stdtr(blocks - 1, -abs(effect) / error)) if error > 0 else float(effect == 0.0)
    return effect, p, blocks


def _twin(effect: float, p: float, blocks: int) -> Diagnostic:
    data: dict[str, Any] = {"ratio": math.exp(effect), "p": p, "blocks": blocks}
    seen = f"a twin of the leader came out at {math.exp(effect):.3f} of its median (p = {p:.2g}, {blocks} blocks)"
    if p < ALPHA:
        return diagnostic("control_missed", f"{seen}: told apart, though it is the same: trust small gaps less", **data)
    return diagnostic("control_passed", f"{seen}: not told apart, as is right", **data)


def _slower(effect: float, p: float, blocks: int) -> Diagnostic:
    data: dict[str, Any] = {"ratio": math.exp(effect), "p": p, "blocks": blocks}
    seen = f"the leader with at least 5 % more work came out at {math.exp(effect):.3f} of its median"
    seen += f" (p = {p:.2g}, {blocks} blocks)"
    if p < ALPHA and effect > 0:
        return diagnostic("control_passed", f"{seen}: told apart, as is right", **data)
    return diagnostic("control_missed", f"{seen}: not told apart: 5 % was below what this host lets be seen", **data)
