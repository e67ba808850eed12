"""What a row that ran on a GPU is to be read with care for: low clocks, other processes, energy in doubt."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from harness.analyse.devices import Watched, clock_range, watched
from harness.analyse.trials import TrialMetrics
from harness.probes.nvml_device import throttling
from harness.score.words import listed, percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.stats.energy import MARGIN

CLOCK_MARGIN = 0.10
REPEATED = "repeated"
"""The folder of a trial that was measured again is kept as `trial-NN.repeated-1`."""


class _Seen(NamedTuple):
    """A trial, and what NVML recorded beside it."""

    trial: TrialMetrics
    found: Watched


def device_remarks(trials: Sequence[TrialMetrics], cold: Sequence[TrialMetrics]) -> list[Diagnostic]:
    """Say what NVML saw beside the trials of a row; nothing of a row that ran on no GPU."""
    every = [trial for trial in (*cold, *trials) if trial.outcome.status == "ok"]
    seen = [_Seen(trial, found) for trial in every if (found := watched(trial.folder, trial.outcome)) is not None]
    if not seen:
        return []
    looks = (*_DISTURBED, _energy, _unseen, _repeated)
    return [said for look in looks if (said := look(seen)) is not None]


def disturbed(trial: TrialMetrics) -> tuple[str, ...]:
    """Return what disturbed the GPU while a trial was measured, as codes; latencies are not looked at."""
    found = watched(trial.folder, trial.outcome) if trial.outcome.status == "ok" else None
    seen = [] if found is None else [_Seen(trial, found)]
    return tuple(said.code for look in _DISTURBED if seen and (said := look(seen)) is not None)


def was_repeated(trial: TrialMetrics) -> bool:
    """Whether a trial stands in place of one that was disturbed."""
    return trial.folder.with_name(f"{trial.folder.name}.{REPEATED}-1").exists()


def _repeated(seen: list[_Seen]) -> Diagnostic | None:
    count = sum(was_repeated(each.trial) for each in seen)
    if not count:
        return None
    text = f"{count} of {len(seen)} trials stand in place of others in which the GPU was disturbed"
    return diagnostic("gpu_trial_repeated", text, repeated=count, trials=len(seen))


def _throttled(seen: list[_Seen]) -> Diagnostic | None:
    """Trials in whose windows the GPU named a reason for being slower than it could be."""
    found = [names for each in seen if (names := _reasons(each.found))]
    if not found:
        return None
    reasons = sorted({name for names in found for name in names})
    text = f"the GPU ran slower than it could in {len(found)} of {len(seen)} trials: {listed(reasons)}"
    return diagnostic("gpu_throttled", text, affected=len(found), trials=len(seen), reasons=[*reasons])


def _reasons(found: Watched) -> list[str]:
    bits = found.measured("clock_reasons").astype(np.int64)
    return throttling(int(np.bitwise_or.reduce(bits))) if bits.size else []


def _shared(seen: list[_Seen]) -> Diagnostic | None:
    found = [each.found for each in seen if each.found.shared]
    if not found:
        return None
    names = sorted({str(each.facts.get("other_processes") or "unnamed") for each in found})
    text = f"other processes used the GPU in {len(found)} of {len(seen)} trials: {listed(names)}"
    return diagnostic("gpu_shared", text, affected=len(found), trials=len(seen), processes=[*names])


def _clocks(seen: list[_Seen]) -> Diagnostic | None:
    """Trials in whose windows the clock of the busy GPU changed by more than a tenth."""
    ranges = [clocks for each in seen if (clocks := clock_range(each.found)) is not None]
    changed = [each for each in ranges if each[0] < (1 - CLOCK_MARGIN) * each[1]]
    if not changed:
        return None
    low, high = min(each[0] for each in changed), max(each[1] for each in changed)
    text = f"the GPU's clock changed in {len(changed)} of {len(seen)} trials: {low:.0f} to {high:.0f} MHz"
    return diagnostic("gpu_clock_changed", text, affected=len(changed), trials=len(seen), low_mhz=low, high_mhz=high)


def _energy(seen: list[_Seen]) -> Diagnostic | None:
    """Trials whose energy counter and integrated power do not agree."""
    energies = [found.energy for each in seen if (found := each.trial.gpu.energy) is not None]
    off = [each for each in energies if each.agrees is False]
    if not off or off[0].integrated_j is None:
        return None
    text = (
        f"energy by the counter ({off[0].joules:.3g} J) and by integrated power ({off[0].integrated_j:.3g} J) differ "
        f"by more than {percent(MARGIN)} in {len(off)} of {len(energies)} trials"
    )
    return diagnostic("gpu_energy_doubtful", text, affected=len(off), trials=len(energies))


def _unseen(seen: list[_Seen]) -> Diagnostic | None:
    if any(each.found.facts.get("processes_visible") for each in seen):
        return None
    text = "NVML does not show this run's processes (a container?): memory on the GPU and other users are not known"
    return diagnostic("gpu_processes_unseen", text)


_DISTURBED: tuple[Callable[[list[_Seen]], Diagnostic | None], ...] = (_throttled, _shared, _clocks)
