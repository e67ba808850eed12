"""What the energy of a row on the CPU comprises, or why it is not known."""

from collections.abc import Sequence
from statistics import fmean

from harness.analyse.device_measures import ENERGY
from harness.analyse.packages import why_unknown
from harness.analyse.reader import RunReader
from harness.analyse.trials import TrialMetrics, host_fractions
from harness.score.words import percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import split_key
from harness.spec.policy import Policy, keys_of

OTHERS_MARGIN = 0.05
"""From such a part of all CPU time on, a row's energy is to be read with care for what other processes took."""
_WHOLE = "energy is of all CPU packages and their DRAM, idle power and other processes included"


def package_remarks(cold: Sequence[TrialMetrics]) -> list[Diagnostic]:
    """Say what the energy of a row on the CPU comprises; nothing of a row without any."""
    found = [trial for trial in cold if trial.package is not None]
    if not found:
        return []
    others = [host.others for trial in found if (host := host_fractions(trial.folder)) is not None]
    part = fmean(others) if others else None
    if part is None or part < OTHERS_MARGIN:
        return [diagnostic("package_energy", _WHOLE, trials=len(found), others=part)]
    text = f"{_WHOLE}, which had {percent(part)} of all CPU time"
    return [diagnostic("package_energy_shared", text, trials=len(found), others=part)]


def energy_unknown(reader: RunReader, policy: Policy) -> list[Diagnostic]:
    """Say why the energy of cells on the CPU is not known, where the policy asks for it."""
    if not any(split_key(key)[1] == ENERGY for key in keys_of(policy)):
        return []
    found: dict[str, list[str]] = {}
    for cell in reader.cells:
        trials = reader.cold(cell.name) if cell.target.device == "cpu" else []
        reasons = [why for trial in trials if (why := why_unknown(trial.outcome)) is not None]
        if reasons and not any(trial.package for trial in trials):
            found.setdefault(reasons[0], []).append(cell.name)
    words = "energy of cells on the CPU is not known: {}"
    return [diagnostic("energy_unknown", words.format(why), cells=[*cells]) for why, cells in found.items()]
