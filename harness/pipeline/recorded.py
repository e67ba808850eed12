"""Recorded arrivals of users: the timestamps of a trace become a part of the run's suite, so that it can travel."""

import csv
from pathlib import Path

import msgspec

from harness.errors import SpecError
from harness.scenarios.fleet import Users
from harness.spec.scenario import Scenario
from harness.spec.suite import Suite
from harness.spec.toml import nearest_file

MOST = 200_000


def with_recorded(suite: Suite, file: Path) -> Suite:
    """Return the suite with the arrivals of its traces read. Raises SpecError that names key, file and line."""
    scenarios = tuple(_read(each, file, index) for index, each in enumerate(suite.scenario))
    return msgspec.structs.replace(suite, scenario=scenarios)


def _read(scenario: Scenario, file: Path, index: int) -> Scenario:
    if not isinstance(scenario, Users) or scenario.trace is None:
        return scenario
    path, key = file.parent / scenario.trace, f"scenario[{index}].trace"
    if not path.is_file():
        raise SpecError(str(file), f"{key}: no such file: {path}", nearest_file(path))
    found = msgspec.structs.replace(scenario, at_s=_seconds(path, file, key))
    if (problem := found.problems()) is not None:
        raise SpecError(str(file), f"{key}: {path.name}: {problem.removeprefix('at_s: ')}")
    return found


def _seconds(path: Path, file: Path, key: str) -> tuple[float, ...]:
    """Read the first column of a CSV file, from its first line or the one after; the earliest arrival is 0."""
    found = list[float]()
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            for number, row in enumerate(csv.reader(lines), 1):
                text = row[0].strip() if row else ""
                if text and (number > 1 or _is_number(text)):
                    found.append(float(text))
    except ValueError:
        what = f"{key}: {path.name}: line {number}: '{text[:40]}' is no number of seconds"
        raise SpecError(str(file), what, "give seconds in the first column") from None
    except OSError as error:
        raise SpecError(str(file), f"{key}: {path.name}: cannot be read: {error.strerror}") from None
    if len(found) > MOST:
        raise SpecError(str(file), f"{key}: {path.name} has {len(found):,} arrivals", f"give {MOST:,} at most")
    first = found[0] if found else 0.0
    return tuple(each - first for each in found) or (0.0,)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
