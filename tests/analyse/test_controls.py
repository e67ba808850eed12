"""What the controls of a run tell, on requests written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from harness.analyse.controls import KINDS, control_folder, controls
from harness.evidence.run import read_run

from .handwritten import _written, run_folder


def write(run: Path, factors: Mapping[str, float], *, blocks: int = 5, spread: float = 0.0, drift: float = 0.1) -> None:
    """Write controls of 200 requests around 1 ms times a factor, on a host that drifts the same for all in a block."""
    rng = np.random.default_rng(2)
    for block in range(blocks):
        host = np.exp(drift * rng.standard_normal())
        for name in KINDS:
            own = np.exp(spread * rng.standard_normal() + 0.02 * rng.standard_normal(200))
            _written(control_folder(run, name, block), {"interactive": factors[name] * host * own}, ())


def found(run: Path) -> list[tuple[str, float]]:
    """Return code and ratio of each note."""
    return [(note.code, note.data.get("ratio")) for note in controls(run, read_run(run))]


def test_a_run_without_controls_says_nothing_of_them(tmp_path: Path) -> None:
    assert controls(run_folder(tmp_path, "a"), read_run(tmp_path)) == ()


def test_a_twin_is_a_twin_and_five_percent_are_seen(tmp_path: Path) -> None:
    """The host drifts by 10 % between blocks, which all three share."""
    run = run_folder(tmp_path, "a")
    write(run, {"same": 1.0, "twin": 1.0, "slower": 1.05}, spread=0.005)
    (twin, same), (slower, more) = found(run)
    assert (twin, slower) == ("control_passed", "control_passed")
    assert same == pytest.approx(1.0, abs=0.02) and more == pytest.approx(1.05, abs=0.02)


def test_a_twin_that_differs_is_a_miss(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "a")
    write(run, {"same": 1.0, "twin": 1.1, "slower": 1.05}, spread=0.005)
    (note, _) = controls(run, read_run(run))
    assert note.code == "control_missed" and note.data["p"] < 0.05
    assert "told apart, though it is the same" in note.message and "5 blocks" in note.message


@pytest.mark.parametrize("slower", [1.0, 0.9])
def test_work_that_is_not_seen_is_a_miss_also_where_it_seems_faster(tmp_path: Path, slower: float) -> None:
    run = run_folder(tmp_path, "a")
    write(run, {"same": 1.0, "twin": 1.0, "slower": slower}, spread=0.005)
    (_, note) = controls(run, read_run(run))
    assert note.code == "control_missed" and "not told apart" in note.message


def test_a_host_too_noisy_for_five_percent_misses_them(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "a")
    write(run, {"same": 1.0, "twin": 1.0, "slower": 1.05}, spread=0.3)
    assert [code for code, _ in found(run)] == ["control_passed", "control_missed"]


def test_two_blocks_are_too_few_to_say(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "a")
    write(run, dict.fromkeys(KINDS, 1.0), blocks=2)
    (note,) = controls(run, read_run(run))
    assert (note.code, note.data["blocks"]) == ("control_unknown", 2)


def test_only_blocks_that_all_three_have_whole_count(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "a")
    write(run, {"same": 1.0, "twin": 1.0, "slower": 1.05}, spread=0.005)
    (control_folder(run, "twin", 1) / "outcome.json").write_bytes(b"{")
    (control_folder(run, "slower", 3) / "requests" / "interactive" / "latency.npy").unlink()
    assert [note.data["blocks"] for note in controls(run, read_run(run))] == [3, 3]


def test_no_control_is_the_same_everywhere(tmp_path: Path) -> None:
    """Equal to the last digit: no error can be computed, and nothing is told apart."""
    run = run_folder(tmp_path, "a")
    for block in range(3):
        for name in KINDS:
            _written(control_folder(run, name, block), {"interactive": np.full(50, 2.0)}, ())
    assert [code for code, _ in found(run)] == ["control_passed", "control_missed"]
