"""How far a metric moved between two measurements of a row, with the parts of its noise."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.score.estimate import Estimate, estimate
from harness.score.records import Entry
from harness.score.verdicts import Basis
from harness.spec.arrays import Floats
from harness.spec.metrics import lookup, split_key
from harness.stats.between import FEWEST_RUNS, run_noise
from harness.stats.change import Part
from harness.stats.pairs import compare

ASSUMED, ASSUMED_MEMORY = 0.03, 0.005
"""Relative standard deviation from run to run that is assumed of times and of memory where nothing tells it."""
_MEMORY = ("memory_", "gpu_memory_")


class Change(NamedTuple):
    """A metric's effect, new - base (of logarithms where `log`), and the parts of its noise.

    `base` and `new` are the values, in the metric's unit. `unknown` says why the noise is not known; empty where it is.
    """

    base: float
    new: float
    effect: float
    parts: tuple[Part, ...]
    log: bool
    basis: Basis
    n: int
    unknown: str = ""


class Stated(NamedTuple):
    """Run-to-run noise as a relative standard deviation; None: assumed by the kind of metric.

    What is assumed of times is `least` at least: what the calibration kernel shows of the runs that are compared.
    """

    level: float | None = None
    least: float = 0.0

    @property
    def basis(self) -> Basis:
        """Whether someone said it."""
        return "assumed" if self.level is None else "stated"

    def of(self, key: str) -> float:
        """Return the level for a metric."""
        if self.level is not None:
            return self.level
        return ASSUMED_MEMORY if split_key(key)[1].startswith(_MEMORY) else max(ASSUMED, self.least)


def unpaired(
    bases: Sequence[Mapping[str, Entry]], new: Mapping[str, Entry], key: str, stated: Stated
) -> dict[str, Change]:
    """Compare a metric of the rows of a new run with those of base runs, by row; rows that lack it are left out.

    Three base runs or more tell how runs differ; from fewer, or where a level is stated, that is added to the noise of
    the trials inside the runs.
    """
    enough = len(bases) >= FEWEST_RUNS and stated.level is None
    return (_over_runs if enough else _single)(bases, new, key, stated)


def _single(
    bases: Sequence[Mapping[str, Entry]], new: Mapping[str, Entry], key: str, stated: Stated
) -> dict[str, Change]:
    found = {}
    for row, entry in new.items():
        known = [old for base in bases if row in base and (old := estimate(base[row], key)) is not None]
        now = estimate(entry, key)
        if known and now is not None:
            found[row] = _change(known, now, _trials(entry, key), key, stated)
    return found


def _change(bases: Sequence[Estimate], new: Estimate, n: int, key: str, stated: Stated) -> Change:
    """Compare with the mean of the base runs; what a run as a whole differs by is part of the noise."""
    log = new.log and all(base.log for base in bases)
    values = [_value(base, log) for base in bases]
    value = math.fsum(values) / len(values)
    shown = math.exp(value) if log else value
    make = Change(shown, new.value, _value(new, log) - value, (), log, "exact", n)
    if new.rows.size or any(base.rows.size for base in bases):
        return make._replace(parts=_by_rows(bases[-1], new), basis="rows")
    if not any(_parts(each) for each in (*bases, new)) and all(each.certain for each in (*bases, new)):
        return make
    if not all(each.settled for each in (*bases, new)):
        single = not all(each.certain for each in (*bases, new))
        return make._replace(basis=stated.basis, unknown="one process only" if single else "too few requests")
    level = stated.of(key) * (1.0 if log else abs(shown))
    inside = [Part(part.error / len(bases), part.df) for base in bases for part in _parts(base)]
    between = Part(level * math.sqrt(1.0 + 1.0 / len(bases)))
    return make._replace(parts=(*inside, *_parts(new), between), basis=stated.basis)


def _by_rows(base: Estimate, new: Estimate) -> tuple[Part, ...]:
    """Compare predictions of the same dataset rows: what both get right or wrong alike cancels."""
    own = 0.0 if base.own_key == new.own_key else math.hypot(base.own, new.own)
    if base.rows.size != new.rows.size:
        return (Part(float(np.linalg.norm(base.rows))), Part(float(np.linalg.norm(new.rows))), Part(own))
    return (Part(float(np.linalg.norm(new.rows - base.rows))), Part(own))


def _over_runs(
    bases: Sequence[Mapping[str, Entry]], new: Mapping[str, Entry], key: str, stated: Stated
) -> dict[str, Change]:
    """Compare with base runs whose differences tell the noise of a run, all of it: trials inside them included."""
    once = _single(bases, new, key, stated)
    noisy = [row for row, change in once.items() if change.basis not in ("rows", "exact")]
    values = np.array([[_known(base.get(row), key, once[row].log) for row in noisy] for base in bases])
    lasting = [index for index in range(len(noisy)) if np.isfinite(values[:, index]).sum() >= FEWEST_RUNS]
    if not lasting:
        return once
    noise = run_noise(values[:, lasting])
    for index, own in zip(lasting, noise.own, strict=True):
        row = noisy[index]
        now = estimate(new[row], key)
        inside = _error(now) if now is not None and now.settled else 0.0
        runs = int(np.isfinite(values[:, index]).sum())
        common = Part(noise.common.error * math.sqrt(1.0 + 1.0 / runs), noise.common.df)
        parts = (common, _mean_and_one(own, runs, inside))
        once[row] = once[row]._replace(parts=parts, basis="runs", unknown="")
    return once


def _mean_and_one(own: Part, runs: int, inside: float) -> Part:
    """Return the noise of one run against the mean of others; the one has its trials' noise at least."""
    return Part(math.hypot(own.error / math.sqrt(runs), max(own.error, inside)), own.df)


def paired(entries: Mapping[str, Entry], pairs: Mapping[str, str], key: str) -> dict[str, Change]:
    """Compare a metric of rows with that of their partners in the same run, block by block; `pairs` is new → base.

    Noise is moderated by that of all rows of the run (`pairs.compare`).
    """
    names = [name for name, entry in entries.items() if key in entry.trials and key in entry.metrics]
    log = all(lookup(key).scale == "log" and min(_ran(entries[name], key), default=0.0) > 0.0 for name in names)
    width = max((len(entries[name].trials[key]) for name in names), default=0)
    columns = [_column(entries[name].trials[key], width, log) for name in names]
    matrix = np.array(columns, dtype=np.float64).reshape(len(names), width).T
    found = compare(matrix) if names and width else None
    changes = {}
    for new, base in pairs.items():
        if found is None or new not in names or base not in names:
            continue
        i, j = names.index(new), names.index(base)
        values = entries[base].metrics[key].value, entries[new].metrics[key].value
        n, error = int(found.n[i, j]), float(found.error[i, j])
        if math.isnan(error):
            changes[new] = Change(*values, math.nan, (), log, "paired", n, "fewer than two blocks shared")
        else:
            part = Part(error, float(found.df[i, j]))
            changes[new] = Change(*values, float(found.effect[i, j]), (part,), log, "paired", n)
    return changes


def _column(values: Sequence[float], width: int, log: bool) -> Floats:
    column = np.full(width, np.nan)
    column[: len(values)] = np.log(values) if log else values
    return column


def _ran(entry: Entry, key: str) -> list[float]:
    return [value for value in entry.trials[key] if math.isfinite(value)]


def _value(of: Estimate, log: bool) -> float:
    return math.log(of.value) if log else of.value


def _known(entry: Entry | None, key: str, log: bool) -> float:
    """Return a run's value, NaN where it has none."""
    found = estimate(entry, key) if entry is not None else None
    return math.nan if found is None else _value(found, log)


def _parts(of: Estimate) -> list[Part]:
    """Return the noise of trials inside a run."""
    blocks = float(np.linalg.norm(of.blocks))
    return [part for part in (Part(blocks, of.df), Part(of.own, of.own_df)) if part.error > 0.0]


def _error(of: Estimate) -> float:
    return math.hypot(*(part.error for part in _parts(of)), 0.0)


def _trials(entry: Entry, key: str) -> int:
    return entry.metrics[key].trials
