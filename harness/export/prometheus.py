"""Prometheus: the text format, as the node exporter's textfile collector reads it. Base units; gauges only.

A value that is not known has no sample. Every metric of a row has its interval beside it (`…_low`, `…_high`), where
that end is bounded. Labels: suite, model, version, target; scenario and percentile where a metric has them.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from harness.evidence.files import write_whole
from harness.export.base import Source
from harness.export.slo import Objective, objectives
from harness.score.records import Row
from harness.spec.metrics import CATALOGUE, LEVELS, lookup

_BASE = {
    "ms": ("_ms", "_seconds", 1e-3),
    "MiB": ("_mib", "_bytes", float(1 << 20)),
    "mJ": ("_mj", "_joules", 1e-3),
    "1/s": ("_per_s", "_per_second", 1.0),
}
"""A unit of the catalogue: how its keys end, how they end in base units, the factor."""
_ENDS = ("", "_low", "_high")
_ROW = {
    "place": "place in the ranking",
    "rank_low": "best rank that the row could have",
    "rank_high": "worst rank that the row could have",
    "score": "score under the policy's weights",
    "score_low": "lower end of the score's interval",
    "score_high": "upper end of the score's interval",
    "p_best": "fraction of draws in which the row is first",
    "eligible": "1 if every limit of the policy certainly holds",
    "may_be_best": "1 if the row may be the best",
    "blocks": "blocks that the row was measured in",
}
_ONCE = {
    "harness_row_status": "1 for the row's status: measured, undecided, dropped, failed or skipped",
    "harness_row_warnings": "reasons to read the row with care",
    "harness_run_created_timestamp_seconds": "when the run was begun",
    "harness_run_info": "1; labels tell the run and the version that made it",
    "harness_run_host_disturbed_ratio": "fraction of the run's slices that the host disturbed",
    "harness_run_host_steal_ratio": "fraction of all CPU time that the hypervisor took",
    "harness_objective_threshold_seconds": "the policy's limit on a latency percentile",
    "harness_objective_budget_ratio": "fraction of requests that may be slower than the threshold",
    "harness_objective_requests": "requests measured in the run",
    "harness_objective_slow_requests": "of these, requests slower than the threshold",
}


class Sample(NamedTuple):
    """One line of the text format."""

    name: str
    labels: Mapping[str, str]
    value: float


class Place(NamedTuple):
    """Where a metric of the catalogue stands: metric name without end, factor to base units, labels of its own."""

    name: str
    factor: float
    labels: dict[str, str]


def place_of(key: str) -> Place:
    """Return where a metric (plain key) stands; percentiles of one quantity are one metric with a label."""
    unit = lookup(key).unit
    suffix, base, factor = _BASE.get(unit, ("", "", 1.0))
    if key in LEVELS:
        stem = key.partition("_p")[0]
        return Place(f"harness_{stem}{base}", factor, {"percentile": f"{100 * LEVELS[key]:g}"})
    name = re.sub(r"[^a-z0-9_]", "_", f"{key.removesuffix(suffix)}{base}".lower())
    return Place(f"harness_{name}", factor, {})


def helps() -> dict[str, str]:
    """Return every metric name that an export may have, with its help text."""
    found = dict(_ONCE) | {f"harness_row_{name}": text for name, text in _ROW.items()}
    for key, metric in CATALOGUE.items():
        meaning = f"percentiles of the {key.partition('_p')[0]}" if key in LEVELS else metric.meaning
        for end, text in zip(_ENDS, ("", ", lower end of the interval", ", upper end of the interval"), strict=True):
            found[place_of(key).name + end] = meaning + text
    return found


def samples(source: Source) -> Iterator[Sample]:
    """Yield all samples of a run."""
    yield from _run(source)
    for row in source.ranked.ranking.rows:
        labels = {"suite": source.suite, "model": row.candidate, "version": source.version(row), "target": row.target}
        yield from _row(row, labels)
        yield from _metrics(source, row, labels)
    for each in objectives(source):
        yield from _objective(each, source)


def _run(source: Source) -> Iterator[Sample]:
    record, suite = source.ranked.record, {"suite": source.suite}
    created = datetime.fromisoformat(record.created).timestamp()
    yield Sample("harness_run_created_timestamp_seconds", suite, created)
    yield Sample("harness_run_info", suite | {"run": record.id, "harness": record.harness}, 1.0)
    noise = next((note.data for note in source.ranked.ranking.notes if note.code == "host_noise"), {})
    for name, key in (("disturbed", "disturbed"), ("steal", "steal")):
        if isinstance(value := noise.get(key), int | float):
            yield Sample(f"harness_run_host_{name}_ratio", suite, float(value))


def _row(row: Row, labels: Mapping[str, str]) -> Iterator[Sample]:
    for name in _ROW:
        if (value := getattr(row, name)) is not None:
            yield Sample(f"harness_row_{name}", labels, float(value))
    yield Sample("harness_row_status", {**labels, "status": row.status}, 1.0)
    yield Sample("harness_row_warnings", labels, float(len(row.warnings)))


def _metrics(source: Source, row: Row, labels: Mapping[str, str]) -> Iterator[Sample]:
    for scenario, key, measure in source.measures(row):
        name, factor, own = place_of(key)
        every = {**labels, **({"scenario": scenario} if scenario else {}), **own}
        for end, value in zip(_ENDS, (measure.value, measure.low, measure.high), strict=True):
            if value is not None and math.isfinite(value):
                yield Sample(name + end, every, value * factor)


def _objective(each: Objective, source: Source) -> Iterator[Sample]:
    row = {"suite": source.suite, "model": each.row.candidate, "version": source.version(each.row)}
    labels = row | {"target": each.row.target, "scenario": each.scenario, "objective": each.key}
    yield Sample("harness_objective_threshold_seconds", labels, each.threshold_ms * 1e-3)
    yield Sample("harness_objective_budget_ratio", labels, each.budget)
    yield Sample("harness_objective_requests", labels, each.requests)
    yield Sample("harness_objective_slow_requests", labels, each.slow)


def exposition(found: Iterable[Sample]) -> str:
    """Return samples in the text format, grouped by metric, with help and type."""
    grouped: dict[str, list[Sample]] = {}
    for sample in found:
        grouped.setdefault(sample.name, []).append(sample)
    known = helps()
    lines: list[str] = []
    for name, group in grouped.items():
        lines += [f"# HELP {name} {_help(known.get(name, 'a metric of a plug-in'))}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(sample.labels)} {sample.value!r}" for sample in group]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return _help(text).replace('"', '\\"')


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


class Prometheus:
    """Writes the text format into a file, whole or not at all, as the textfile collector needs it."""

    name = "harness.prom"

    def export(self, source: Source, out: str) -> str:
        """Write the file; `out` is its path, in the collector's folder for instance."""
        found = list(samples(source))
        write_whole(Path(out), lambda path: path.write_text(exposition(found), encoding="utf-8"))
        return f"{len(found)} samples of {len({each.name for each in found})} metrics"


EXPORTER = Prometheus()
