"""All runs below a results root as time series: one query over their `measurements.parquet` files, with DuckDB."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from harness.errors import SpecError
from harness.stats.trend import Trend, trend

DEFAULT = ("latency_p50_ms", "latency_p99_ms", "throughput_per_s", "memory_peak_mib")
_NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)-(?P<suite>.+)-[0-9a-f]{6}")
Line: TypeAlias = tuple[str, str, str, str, str, float]
"""A value: its file, candidate, target, scenario, metric."""
_MAGIC = b"PAR1"
_QUERY = """
select filename, candidate, target, coalesce(scenario, '') as scenario, metric, value
from read_parquet(?, filename = true, union_by_name = true)
where metric in (select unnest(?)) and isfinite(value)
order by candidate, target, scenario, metric, filename
"""


class Ran(NamedTuple):
    """A run as its folder's name tells it, and the CPU it ran on ("" where not known)."""

    folder: Path
    time: datetime
    suite: str
    host: str


class Series(NamedTuple):
    """One metric of one row on one kind of host, by time; `values` are in the metric's unit."""

    suite: str
    row: str
    scenario: str
    metric: str
    host: str
    runs: tuple[Ran, ...]
    values: tuple[float, ...]
    trend: Trend


class History(NamedTuple):
    """What is known of the runs below a root; `damaged` are files that could not be used."""

    runs: tuple[Ran, ...]
    series: tuple[Series, ...]
    damaged: tuple[Path, ...]


def history(root: Path, suite: str | None = None, metrics: Sequence[str] = (), row: str = "") -> History:
    """Read the metrics of all runs below `root`, of one suite or all; `row` is a part of the rows' names.

    Raises SpecError if there are no such runs, or DuckDB is not installed.
    """
    files = sorted(root.absolute().glob("*/measurements.parquet"))
    known = [(path, found) for path in files if (found := _NAME.fullmatch(path.parent.name)) is not None]
    wanted = [(path, found) for path, found in known if suite in (None, found["suite"])]
    if not wanted:
        suites = sorted({found["suite"] for _, found in known})
        mend = f"suites with runs: {', '.join(suites)}" if suites else "measure one with `harness run SUITE`"
        raise SpecError(str(root), f"no runs of suite '{suite}'" if suite else "no runs that were ranked", mend)
    whole, damaged = _whole(path for path, _ in wanted)
    runs = {str(path): _ran(path.parent, found) for path, found in wanted if path in whole}
    lines, unread = _queried(list(runs), list(metrics) or list(DEFAULT))
    used = tuple(run for file, run in runs.items() if file not in unread)
    return History(used, tuple(_series(lines, runs, row)), (*damaged, *map(Path, unread)))


def _ran(folder: Path, found: re.Match[str]) -> Ran:
    time = datetime.strptime(found["time"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Ran(folder, time, found["suite"], _host(folder))


class _Launched(msgspec.Struct):
    host: dict[str, object] = {}


class _Outcome(msgspec.Struct):
    launched: _Launched | None = None


def _host(folder: Path) -> str:
    """Return the CPU that a run was measured on, as the first outcome that has it says."""
    for path in folder.glob("cells/*/cold-01/outcome.json"):
        try:
            outcome = msgspec.json.decode(path.read_bytes(), type=_Outcome)
        except (OSError, msgspec.MsgspecError):
            continue
        if outcome.launched is not None and outcome.launched.host.get("cpu"):
            return f"{outcome.launched.host['cpu']} × {outcome.launched.host.get('affinity', '?')}"
    return ""


def _whole(paths: Iterable[Path]) -> tuple[set[Path], list[Path]]:
    """Divide files by whether they end as Parquet files do: one that was cut off would fail the whole query."""
    whole, damaged = set[Path](), list[Path]()
    for path in paths:
        try:
            with path.open("rb") as file:
                file.seek(-len(_MAGIC), 2)
                ok = file.read() == _MAGIC
        except OSError:
            ok = False
        if ok:
            whole.add(path)
        else:
            damaged.append(path)
    return whole, damaged


def _queried(files: Sequence[str], metrics: Sequence[str]) -> tuple[list[Line], list[str]]:
    """Read these metrics from all files that can be read; returns the lines, and the files that cannot.

    Raises SpecError without DuckDB.
    """
    try:
        import duckdb
    except ImportError:
        raise SpecError("harness history", "needs DuckDB", "pip install 'harness-bench[history]'") from None
    if not files:
        return [], []
    try:
        return duckdb.execute(_QUERY, [list(files), list(metrics)]).fetchall(), []
    except duckdb.Error:
        return _one_by_one(files, metrics)


def _one_by_one(files: Sequence[str], metrics: Sequence[str]) -> tuple[list[Line], list[str]]:
    """Read each file on its own, where one of them fails the query of all."""
    import duckdb

    lines: list[Line] = []
    damaged: list[str] = []
    for file in files:
        try:
            lines += duckdb.execute(_QUERY, [[file], list(metrics)]).fetchall()
        except duckdb.Error:
            damaged.append(file)
    return lines, damaged


def _series(lines: Iterable[Line], runs: dict[str, Ran], part: str) -> Iterable[Series]:
    """Group values into series; runs on other hosts are other series."""
    grouped: dict[tuple[str, str, str, str, str], list[tuple[Ran, float]]] = {}
    for file, candidate, target, scenario, metric, value in lines:
        ran, name = runs[file], f"{candidate}@{target}"
        if part in name:
            grouped.setdefault((ran.suite, name, scenario, metric, ran.host), []).append((ran, value))
    for key, points in grouped.items():
        points.sort(key=lambda point: point[0].time)
        values = tuple(value for _, value in points)
        if np.all(np.asarray(values) > 0.0):
            yield Series(*key, tuple(ran for ran, _ in points), values, trend(values))
