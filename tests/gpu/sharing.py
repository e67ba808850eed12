"""Processes that share a GPU in turns: do turns change the level; may trials on a GPU be forks of a template?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cases import target, trial
from figure import Figure, median

from harness.evidence.folder import DEVICE, LATENCY, ROUND, read_requests
from harness.launch.base import Launcher, Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.spec.outcome import Outcome
from harness.spec.wire import Trial

SECONDS, TURNS_S, REPEATS, SHOWN = 1.0, (0.025, 0.1), 5, 8
SCENARIO = "interactive"
CELLS = {
    "resnet50 eager": ("resnet50", target(channels_last=True)),
    "resnet50 graph": ("resnet50", target(mode="graph", channels_last=True)),
    "vit_b16 graph": ("vit_b16", target(mode="graph")),
}


def sharing(folder: Path, out: Path) -> list[Figure]:
    """Measure three cells alone and in rounds with each other, again and again."""
    launcher = ProcessLauncher()
    fresh = run_job(launcher, _new(folder, "fresh"), _job("resnet50 eager", fresh=True, seconds=0.1), Terms(folder))
    assert fresh.status == "ok", fresh.message
    jobs = [(_job(name, fresh=False), Terms(folder)) for name in CELLS]
    with launcher.block(jobs) as ready:
        first, *walls = [_forked(ready, folder, number) for number in range(3)]
        works = all(each.status == "ok" and not each.fresh for each in (first, *walls))
        said = f"fork: {first.status} {first.message[:300]}; {_seconds(walls)} s, fresh: {_seconds([fresh])} s"
        figures = [Figure("trials on a GPU as forks of a template that work", works, "", 3, 1, 1, note=said)]
        figures += _levels(ready, folder, fresh=not works)
    return figures


def _forked(launcher: Launcher, folder: Path, number: int) -> Outcome:
    job = _job("resnet50 eager", fresh=False, seconds=0.1)
    return run_job(launcher, _new(folder, f"fork-{number}"), job, Terms(folder))


def _levels(launcher: Launcher, folder: Path, fresh: bool) -> list[Figure]:
    alone: dict[str, list[Path]] = {name: [] for name in CELLS}
    together: dict[tuple[str, float], list[Path]] = {(name, turn_s): [] for name in CELLS for turn_s in TURNS_S}
    for repeat in range(REPEATS):
        for name in CELLS:
            own = _new(folder, f"alone-{name}-{repeat}")
            outcome = run_job(launcher, own, _job(name, fresh), Terms(folder))
            assert outcome.status == "ok", outcome.message
            alone[name].append(own)
        for turn_s in TURNS_S:
            for name, own in _in_rounds(launcher, folder / f"rounds-{turn_s}-{repeat}", turn_s, fresh).items():
                together[name, turn_s].append(own)
    return [_level(name, turn_s, folders, alone[name]) for (name, turn_s), folders in together.items()]


def _in_rounds(launcher: Launcher, folder: Path, turn_s: float, fresh: bool) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    starts = [Start(launcher, _new(folder, name), _job(name, fresh, turn_s=turn_s), Terms(folder)) for name in CELLS]
    outcomes = take_turns(starts, lambda number, count: rng.permutation(count).tolist())
    assert all(outcome.status == "ok" for outcome in outcomes), [outcome.message for outcome in outcomes]
    return {name: start.folder for name, start in zip(CELLS, starts, strict=True)}


def _level(name: str, turn_s: float, folders: Sequence[Path], alone: Sequence[Path]) -> Figure:
    """Return p50 in rounds ÷ p50 alone, process by process.

    The note has the same of the times on the device, which tells the device's part from the host's, and medians by the
    place of a request in its turn. Places are compared within turns that have as many requests: a turn in a slow moment
    has fewer.
    """
    levels = [_p50_ms(own, LATENCY) for own in alone]
    ratios = [_p50_ms(own, LATENCY) / level for own, level in zip(folders, levels, strict=True)]
    device = [_p50_ms(own, DEVICE) / _p50_ms(by, DEVICE) for own, by in zip(folders, alone, strict=True)]
    arrays = [(read_requests(each, SCENARIO, LATENCY), read_requests(each, SCENARIO, ROUND)) for each in folders]
    turns = [turn / np.median(turn) for each in arrays for turn in _turns(*each) if len(turn) >= SHOWN]
    by_place = np.median([turn[:SHOWN] for turn in turns], axis=0) if turns else np.zeros(0)
    said = f"alone {', '.join(f'{each:.3f}' for each in levels)} ms; on the device the ratio is "
    said += f"{', '.join(f'{each:.3f}' for each in device)}; by place in the turn: "
    said += " ".join(f"{each:.3f}" for each in by_place) or "turns are too short"
    return median(f"p50 in rounds of {turn_s * 1e3:g} ms ÷ alone, {name}", ratios, 0.98, 1.02, note=said)


def _p50_ms(folder: Path, array: str) -> float:
    return float(np.median(read_requests(folder, SCENARIO, array))) / 1e6


def _turns(latency: np.ndarray, number: np.ndarray) -> list[np.ndarray]:
    """Return the latencies of each turn."""
    return np.split(latency, np.flatnonzero(np.diff(number)) + 1)


def _job(name: str, fresh: bool, seconds: float = SECONDS, turn_s: float = 0.025) -> Trial:
    model, place = CELLS[name]
    return trial(model, seconds, place, fresh, turn_s)


def _seconds(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{outcome.wall_s:.2f}" for outcome in outcomes)


def _new(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir(parents=True)
    return own
