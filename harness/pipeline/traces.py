"""Recorded traffic: reads the timestamps of traces once, so that a run keeps them as offsets from the first.

Those that are replayed stand in the run folder, as arrays that the child reads (ns); those of simulated users in the
run's suite (s).
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from harness.errors import SpecError
from harness.evidence.files import save_array
from harness.evidence.run import TRACES
from harness.scenarios.fleet import Users
from harness.scenarios.server import Server
from harness.spec.arrays import Array, Integers
from harness.spec.metrics import nearest
from harness.spec.scenario import Scenario
from harness.spec.suite import Suite
from harness.spec.toml import nearest_file
from harness.stats import arrivals

MOST_USERS = 200_000
_USUAL = ("timestamp", "time", "ts", "arrival", "seconds")
_NS_PER = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def read_traces(suite: Suite, where: str, base: Path) -> tuple[Suite, dict[str, Integers]]:
    """Read the traces of a suite's scenarios; returns it with their rates filled in, and offsets (ns) by scenario.

    Raises SpecError that names file and key where a trace has no timestamps, or they are not sorted.
    """
    found, scenarios = dict[str, Integers](), list[Scenario]()
    for index, scenario in enumerate(suite.scenario):
        key = f"scenario[{index}]"
        if isinstance(scenario, Users) and scenario.trace is not None:
            scenarios.append(_with_arrivals(scenario, _offsets(scenario, base, where, key), where, key))
        elif isinstance(scenario, Server) and scenario.trace is not None:
            found[scenario.name] = offsets = _offsets(scenario, base, where, key)
            rate = scenario.rate_per_s or arrivals.mean_rate(offsets)
            scenarios.append(msgspec.structs.replace(scenario, rate_per_s=rate))
        else:
            scenarios.append(scenario)
    return msgspec.structs.replace(suite, scenario=tuple(scenarios)), found


def save_traces(folder: Path, traces: dict[str, Integers]) -> None:
    """Write traces into a run folder. Raises EvidenceError if they cannot be written."""
    for name, offsets in traces.items():
        save_array(folder / TRACES / f"{name}.npy", offsets)


def _with_arrivals(users: Users, offsets: Integers, where: str, key: str) -> Users:
    """Return simulated users with their recorded arrivals."""
    if len(offsets) > MOST_USERS:
        raise SpecError(where, f"{key}.trace: it has {len(offsets):,} arrivals", f"give {MOST_USERS:,} at most")
    found = msgspec.structs.replace(users, at_s=tuple((offsets / _NS_PER["s"]).tolist()))
    if (problem := found.problems()) is not None:
        raise SpecError(where, f"{key}.trace: {users.trace}: {problem.removeprefix('at_s: ')}")
    return found


def _offsets(scenario: Server | Users, base: Path, where: str, key: str) -> Integers:
    path = base / (scenario.trace or "")
    column = _column(_table(path, where, f"{key}.trace"), scenario.trace_column, path, where, f"{key}.trace_column")
    try:
        return arrivals.trace(_nanoseconds(column, _NS_PER[scenario.trace_unit]))
    except (ValueError, TypeError, OverflowError) as error:
        what = f"{key}.trace: {path}: column '{column.name}': {_first_line(error)}"
        raise SpecError(where, what, "timestamps of requests, ascending: numbers, or dates as in ISO 8601") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _table(path: Path, where: str, key: str) -> pd.DataFrame:
    if not path.is_file():
        raise SpecError(where, f"{key}: no such file: {path}", nearest_file(path))
    try:
        table = pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else _read_csv(path)
    except pd.errors.EmptyDataError:
        raise SpecError(where, f"{key}: {path} is empty", "one timestamp for each request") from None
    except (OSError, ValueError) as error:
        what = f"{key}: {path} cannot be read: {_first_line(error)}"
        raise SpecError(where, what, "a .csv, or .parquet") from error
    if table.empty:
        raise SpecError(where, f"{key}: {path} has no rows", "one timestamp for each request")
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; its first line is a header, unless it is a number or a date."""
    first = path.open(encoding="utf-8", errors="replace").readline().partition(",")[0].strip().strip('"')
    return pd.read_csv(path, header=None if first[:1].isdigit() else 0)


def _column(table: pd.DataFrame, name: str | None, path: Path, where: str, key: str) -> "pd.Series[Any]":
    """Return the column of timestamps: the one that is named, the only one, or one with a usual name."""
    names = [str(each) for each in table.columns]
    usual = [each for each in names if each.lower() in _USUAL]
    chosen = name if name is not None else names[0] if len(names) == 1 else usual[0] if len(usual) == 1 else None
    if chosen is None:
        raise SpecError(where, f"{key}: missing; {path} has {len(names)} columns", f"one of: {', '.join(names)}")
    if chosen not in names:
        raise SpecError(where, f"{key}: {path} has no column '{chosen}'", nearest(chosen, names))
    return table.iloc[:, names.index(chosen)]


def _nanoseconds(column: "pd.Series[Any]", ns_per: int) -> Array:
    """Return timestamps as int64 ns: numbers in units of `ns_per`; anything else is read as dates with times."""
    if column.isna().any():
        raise ValueError(f"row {int(np.flatnonzero(column.isna())[0]) + 1} has no timestamp")
    if pd.api.types.is_integer_dtype(column):
        whole = column.to_numpy(dtype=np.int64)
        return np.asarray((whole - whole[0]) * ns_per)
    if pd.api.types.is_numeric_dtype(column):
        units = column.to_numpy(dtype=np.float64)
        if not np.isfinite(units).all():
            raise ValueError(f"row {int(np.flatnonzero(~np.isfinite(units))[0]) + 1} is not a finite number")
        return np.asarray(np.rint((units - units[0]) * ns_per), dtype=np.int64)
    dates = pd.to_datetime(column, utc=True, format=None if pd.api.types.is_datetime64_any_dtype(column) else "ISO8601")
    return np.asarray(dates.to_numpy(dtype="datetime64[ns]").astype(np.int64))
