"""What a reader may want to know of a row beside its numbers. It decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from harness.analyse.certificate import bounds, certificate
from harness.analyse.evidence import Evidence
from harness.analyse.trials import TrialFacts
from harness.score.records import Entry
from harness.score.words import name_of, short_name
from harness.spec.policy import Policy, keys_of
from harness.stats.changepoint import classify
from harness.trial.folder import read_array

_SHAPES = {"flat": "flat", "warmup": "still warming up", "slowdown": "slowing down", "no_steady_state": "unsteady"}
_READ = 100_000


def remarked(entries: Sequence[Entry], evidence: Evidence, policy: Policy) -> list[Entry]:
    """Return the entries with their remarks."""
    first = evidence.record.suite.scenario[0].name
    return [
        msgspec.structs.replace(entry, remarks=_remarks(entry, evidence.trials(name_of(entry)), policy, first))
        if entry.status in ("measured", "dropped")
        else entry
        for entry in entries
    ]


def _remarks(entry: Entry, trials: Sequence[TrialFacts], policy: Policy, first: str) -> tuple[str, ...]:
    return (*_certified(trials, policy, first), *_bases(entry, policy), *_shapes(trials, first))


def _certified(trials: Sequence[TrialFacts], policy: Policy, first: str) -> list[str]:
    """Say, for each latency limit, what the samples certify; nothing where they leave it open."""
    said = []
    for key, bound in bounds(policy).items():
        if all(key in trial.quantiles for trial in trials):
            verdict = certificate(trials, key, bound, first)
            if verdict != "undecided":
                word = "kept" if verdict == "holds" else "broken"
                said.append(f"{short_name(key)} at most {bound:g} ms: certified to be {word} on the samples measured")
    return said


def _bases(entry: Entry, policy: Policy) -> list[str]:
    """Name the metrics whose interval is the one inside trials, because that is wider than between them."""
    inside = [key for key in keys_of(policy) if key in entry.metrics and entry.metrics[key].basis == "within"]
    return [f"the interval of {short_name(key)} is that within trials, wider than that between them" for key in inside]


def _shapes(trials: Sequence[TrialFacts], first: str) -> list[str]:
    """Say how samples ran inside the trials, where they were not all flat."""
    paths = [trial.folder / "samples" / f"{first}.npy" for trial in trials]
    shapes = Counter(classify(np.array(read_array(path)[:_READ])) for path in paths if path.exists())
    if not shapes or set(shapes) == {"flat"}:
        return []
    parts = [f"{_SHAPES[shape]} in {count}" for shape, count in shapes.most_common()]
    return [f"samples within a trial were {', '.join(parts)} of {shapes.total()} trials"]
