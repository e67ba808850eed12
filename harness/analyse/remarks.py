"""What is said of a row beside its numbers. It decides nothing."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from harness.analyse.device_remarks import device_remarks
from harness.analyse.disturbance import disturbance
from harness.analyse.fleet import users_of
from harness.analyse.package_remarks import package_remarks
from harness.analyse.provisioned import provisioned_remark
from harness.analyse.reader import RunReader
from harness.analyse.trials import TrialMetrics, bounds, certificate
from harness.evidence.run import Cell
from harness.score.records import Entry
from harness.score.words import name_of, percent, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy
from harness.spec.target import Limits
from harness.stats.changepoint import classify

_SHAPES = {"flat": "flat", "warmup": "still warming up", "slowdown": "slowing down", "no_steady_state": "unsteady"}
_HAS_NUMBERS = ("measured", "dropped")
_READ = 100_000
_LOOKS = 5
"""Trials of a cell that are looked at for the shape of their samples, evenly over its blocks: a look takes 16 ms."""


def remarked(entries: Sequence[Entry], reader: RunReader, policy: Policy) -> list[Entry]:
    """Return the entries with their remarks."""
    first = reader.record.suite.traffic[0].name
    by_name, found = {cell.name: cell for cell in reader.cells}, []
    for entry in entries:
        cell, trials, cold = by_name[name_of(entry)], reader.trials(name_of(entry)), reader.cold(name_of(entry))
        said = _remarked(entry, trials, policy, first, cell.target.limits)
        beside = [*device_remarks(trials, cold), *package_remarks(cold), *_provisioned(cell, trials, reader)]
        found.append(_added(said, beside) if entry.status in _HAS_NUMBERS else said)
    return found


def _provisioned(cell: Cell, trials: Sequence[TrialMetrics], reader: RunReader) -> list[Diagnostic]:
    """Say what kept instances would cost and save."""
    users, fleet = users_of(reader.record.suite), reader.fleet(cell, trials)
    if users is None or fleet is None:
        return []
    said = provisioned_remark(cell, fleet.simulated, users, reader.record.seed)
    return [said] if said is not None else []


def _remarked(entry: Entry, trials: Sequence[TrialMetrics], policy: Policy, first: str, limits: Limits) -> Entry:
    if entry.status not in _HAS_NUMBERS:
        return entry
    found = [*_emulated(limits), *_certified(trials, policy, first), *disturbance(entry, trials, policy)]
    return _added(entry, [*found, *_shapes(trials, first)])


def _added(entry: Entry, found: Sequence[Diagnostic]) -> Entry:
    named = [msgspec.structs.replace(each, subject=name_of(entry)) for each in found]
    return msgspec.structs.replace(entry, diagnostics=(*entry.diagnostics, *named))


def _emulated(limits: Limits) -> list[Diagnostic]:
    """Say that the speed is not of a real slow core."""
    if limits.cpu_scale >= 1.0:
        return []
    text = f"emulated: {percent(limits.cpu_scale)} of a core here stands for one there ({limits.cpu_scale_source})"
    return [diagnostic("emulated", text, cpu_scale=limits.cpu_scale, source=limits.cpu_scale_source)]


def _certified(trials: Sequence[TrialMetrics], policy: Policy, first: str) -> list[Diagnostic]:
    """Say, for each latency limit, what the samples certify; nothing where they leave it open."""
    said = []
    for key, bound in bounds(policy).items():
        if all(key in trial.timed for trial in trials):
            found = certificate(trials, key, bound, first)
            if found != "undecided":
                word = "kept" if found == "holds" else "broken"
                text = f"{short_name(key)} at most {bound:g} ms: certified to be {word} on the samples measured"
                said.append(diagnostic("certified", text, metric=key, bound=bound, certificate=found))
    return said


def _shapes(trials: Sequence[TrialMetrics], first: str) -> list[Diagnostic]:
    """Say how samples ran within the trials looked at, where they were not all flat."""
    some = [trials[i] for i in sorted({*np.linspace(0, len(trials) - 1, _LOOKS).round().astype(int).tolist()})]
    service = [found for trial in some if (found := trial.service(first)) is not None]
    shapes = Counter(classify(np.array(each[:_READ])) for each in service)
    if not shapes or set(shapes) == {"flat"}:
        return []
    parts = [f"{_SHAPES[shape]} in {count}" for shape, count in shapes.most_common()]
    text = f"samples within a trial were {', '.join(parts)} of {shapes.total()} trials"
    return [diagnostic("trial_shape", text, shapes=[*shapes], counts=[*shapes.values()])]
