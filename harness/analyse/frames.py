"""Tidy tables for notebooks and other tools: one row per candidate, target, scenario and metric."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from harness.errors import EvidenceError
from harness.evidence.files import read_json
from harness.evidence.run import find
from harness.score.records import Ranking, Row
from harness.spec.metrics import lookup, split_key

COLUMNS = (
    *("candidate", "target", "scenario", "metric"),
    *("value", "low", "high", "n", "effective_n", "trials", "unit", "basis"),
)
_FLOATS = ("value", "low", "high", "effective_n")
_PLAIN = (
    *("candidate", "target", "status", "failure", "eligible", "place", "rank_low", "rank_high"),
    *("may_be_best", "score", "score_low", "score_high", "p_best", "pareto"),
)


class Frames(NamedTuple):
    """What `harness.load` returns: the ranking and the measurements as frames, and the run's folder."""

    ranking: pd.DataFrame
    measurements: pd.DataFrame
    folder: Path


def measurements(ranking: Ranking, first_scenario: str) -> pd.DataFrame:
    """Return all metrics of all rows in tidy form; an unbounded interval end is NaN."""
    rows = [
        (row.candidate, row.target, *scenario_and_key(key, first_scenario), *(getattr(m, c) for c in COLUMNS[4:]))
        for row in ranking.rows
        for key, m in row.metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(_FLOATS, "float64"))


def scenario_and_key(key: str, first: str) -> tuple[str | None, str]:
    """Split a row's metric key into scenario (None: the metric is of the whole cell) and plain key."""
    scenario, name = split_key(key)
    return (None if lookup(key).scope == "cell" else scenario or first), name


def ranking_table(ranking: Ranking) -> pd.DataFrame:
    """Return one row per cell: status, ranks, score, and each metric with its ends."""
    return pd.DataFrame([_flat(row) for row in ranking.rows])


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {name: getattr(row, name) for name in _PLAIN}
    flat["reasons"] = "; ".join(reason.message for reason in row.reasons if reason.severity != "warning")
    flat["warnings"] = "; ".join(reason.message for reason in row.warnings)
    flat["codes"] = " ".join(reason.code for reason in row.reasons)
    for key, measure in row.metrics.items():
        flat |= {key: measure.value, f"{key}_low": measure.low, f"{key}_high": measure.high}
    return flat


def load(run: str | Path = "latest", root: str | Path = "results") -> Frames:
    """Load a finished run: a run folder, part of its name, or "latest" of those under `root`.

    Raises SpecError if there is no such run. Raises EvidenceError if the run has no ranking that can be read.
    """
    folder = find(str(run), Path(root))
    try:
        ranking = read_json(folder / "ranking.json", Ranking)
        table = pd.read_parquet(folder / "measurements.parquet")
    except (OSError, ValueError, EvidenceError) as error:
        raise EvidenceError(f"{folder}: no ranking that can be read: {error} (try `harness rank {folder}`)") from error
    return Frames(ranking_table(ranking), table, folder)
