"""Memory is measured as it was touched: 200 MiB more is 200 MiB more."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.spec.outcome import Outcome

from ..launch.helpers import launched, trial_of

MIB = 1 << 20


def peak_over_baseline(folder: Path, memory_mib: int) -> float:
    """Return what a fake holding `memory_mib` has at its peak above its baseline (MiB)."""
    outcome: Outcome = launched(folder, trial_of(folder, memory_mib=memory_mib))
    memory = outcome.memory
    assert memory.peak_bytes is not None and memory.baseline_bytes is not None
    return (memory.peak_bytes - memory.baseline_bytes) / MIB


def test_touching_200_mib_shows_as_200_mib(tmp_path: Path) -> None:
    without = peak_over_baseline(tmp_path / "without", 0)
    held = peak_over_baseline(tmp_path / "held", 200)
    assert held - without == pytest.approx(200, rel=0.02)


def test_what_is_let_go_again_still_counts_in_the_peak_seen_from_outside(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    launched(folder, trial_of(folder, memory_mib=200, fail_at="measure", fail_how="grandchild"), timeout_s=1.0)
    header, *views = ((folder / "telemetry.csv").read_text()).splitlines()
    column = header.split(",").index("process.peak_bytes")
    assert max(int(view.split(",")[column] or 0) for view in views) > 200 * MIB


def test_the_limit_leaves_its_neighbour_alone(tmp_path: Path) -> None:
    """The limit is the child's own: the next trial, without one, may touch what the last could not."""
    limited = launched(tmp_path / "limited", trial_of(tmp_path / "limited", memory_mib=512), memory_mib=256)
    free = launched(tmp_path / "free", trial_of(tmp_path / "free", memory_mib=512))
    assert (limited.failure, free.status) == ("oom", "ok")
