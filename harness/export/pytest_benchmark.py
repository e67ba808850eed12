"""pytest-benchmark's JSON: one benchmark per row and timed scenario; a round is a request. Times in seconds.

`pytest-benchmark compare` shows their spread over requests. What a decision needs is in `extra_info`: the percentiles
with intervals over trials, for requests of one process are not independent.
"""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from harness import __version__
from harness.errors import EvidenceError
from harness.evidence.files import write_json
from harness.export.base import Source
from harness.score.records import Row
from harness.spec.arrays import Floats
from harness.spec.metrics import PERCENTILES

_FORMAT = "5.0.0"
"""The version of the format."""


class PytestBenchmark:
    """Writes a file that `pytest-benchmark compare` reads."""

    name = "0001_harness.json"

    def export(self, source: Source, out: str) -> str:
        """Write the file; `out` is its path. Rows without a request are left out: the format has no place for them."""
        rows, names = source.ranked.ranking.rows, [s.name for s in source.ranked.record.suite.scenario]
        found = [made for row in rows for name in names if (made := _benchmark(source, row, name)) is not None]
        content = {
            "machine_info": _machine(source),
            "commit_info": {"id": "", "time": None, "author_time": None, "dirty": False, "branch": "", "project": ""},
            "benchmarks": found,
            "datetime": datetime.now(UTC).isoformat(),
            "version": _FORMAT,
        }
        write_json(Path(out), content)
        return f"{len(found)} benchmarks"


def _machine(source: Source) -> dict[str, Any]:
    facts = source.ranked.hosts[0][0] if source.ranked.hosts else {}
    return {
        "node": "",
        "processor": "",
        "machine": str(facts.get("machine") or ""),
        "python_implementation": platform.python_implementation(),
        "python_version": str(facts.get("python") or ""),
        "system": str(facts.get("system") or ""),
        "cpu": {"brand_raw": str(facts.get("cpu") or ""), "count": facts.get("cpus")},
        "harness": __version__,
    }


def _benchmark(source: Source, row: Row, scenario: str) -> dict[str, Any] | None:
    seconds = _seconds(source, f"{row.candidate}@{row.target}", scenario)
    if not len(seconds):
        return None
    first = scenario == source.ranked.record.suite.scenario[0].name
    own = {key if first else f"{scenario}.{key}": key for key in PERCENTILES}
    told = {name: row.metrics[key] for key, name in own.items() if key in row.metrics}
    return {
        "group": scenario,
        "name": f"{row.candidate}@{row.target}",
        "fullname": f"{source.suite}::{row.candidate}@{row.target}::{scenario}",
        "params": {"model": row.candidate, "target": row.target, "version": source.version(row)},
        "param": None,
        "extra_info": {"run": source.ranked.record.id, "status": row.status, "place": row.place}
        | {name: {"value": m.value, "low": m.low, "high": m.high, "trials": m.trials} for name, m in told.items()},
        "options": {"disable_gc": True, "timer": "perf_counter", "min_rounds": 1, "warmup": True},
        "stats": stats(seconds),
    }


def _seconds(source: Source, cell: str, scenario: str) -> Floats:
    """Return the time of every request of a cell in a scenario; none where it was not run, or is damaged."""
    found = []
    for trial in source.reader.trials(cell):
        try:
            latencies = trial.latencies(scenario) if trial.outcome.status == "ok" else None
        except EvidenceError:
            continue
        if latencies is not None:
            found.append(np.asarray(latencies, dtype=np.float64) / 1e9)
    return np.concatenate(found) if found else np.zeros(0)


def stats(seconds: Floats) -> dict[str, Any]:
    """Return the fields of pytest-benchmark's statistics, with Tukey's fences for outliers."""
    q1, median, q3 = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    mean, spread, iqr = float(seconds.mean()), float(seconds.std(ddof=1)) if len(seconds) > 1 else 0.0, q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    far = int(np.count_nonzero(np.abs(seconds - mean) > spread))
    outside = int(np.count_nonzero((seconds < low) | (seconds > high)))
    inside = seconds[(seconds >= low) & (seconds <= high)]
    return {
        "min": float(seconds.min()),
        "max": float(seconds.max()),
        "mean": mean,
        "stddev": spread,
        "rounds": len(seconds),
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": far,
        "outliers": f"{far};{outside}",
        "ld15iqr": float(inside.min()),
        "hd15iqr": float(inside.max()),
        "ops": 1.0 / mean,
        "total": float(seconds.sum()),
        "iterations": 1,
    }


EXPORTER = PytestBenchmark()
