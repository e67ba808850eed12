"""Tidy tables for notebooks and other tools: one row per candidate, target, scenario and metric."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import EvidenceError
from harness.score.records import Ranking, Row
from harness.spec.metrics import lookup, split_key

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "candidate",
    "target",
    "scenario",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "trials",
    "unit",
    "basis",
)


class Frames(NamedTuple):
    """What `harness.load` returns: the ranking and the measurements as frames, and where they came from."""

    ranking: pd.DataFrame
    measurements: pd.DataFrame
    folder: Path


def measurements(ranking: Ranking, first_scenario: str) -> pd.DataFrame:
    """Return all metrics of all rows in tidy form; an unbounded interval end is NaN."""
    import pandas as pd

    rows = [
        (
            row.candidate,
            row.target,
            *_scenario_and_key(key, first_scenario),
            m.value,
            m.low,
            m.high,
            m.n,
            m.trials,
            m.unit,
            m.basis,
        )
        for row in ranking.rows
        for key, m in row.metrics.items()
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"value": "float64", "low": "float64", "high": "float64"})


def _scenario_and_key(key: str, first: str) -> tuple[str | None, str]:
    scenario, name = split_key(key)
    if lookup(key).scope == "cell":
        return None, name
    return scenario or first, name


def ranking_table(ranking: Ranking) -> pd.DataFrame:
    """Return one row per cell: status, ranks, score, and each metric with its ends."""
    import pandas as pd

    return pd.DataFrame([_flat(row) for row in ranking.rows])


def _flat(row: Row) -> dict[str, object]:
    plain: dict[str, object] = {
        name: getattr(row, name)
        for name in (
            "candidate",
            "target",
            "status",
            "failure",
            "eligible",
            "rank",
            "rank_low",
            "rank_high",
            "tie",
            "score",
            "score_low",
            "score_high",
            "p_best",
            "pareto",
        )
    }
    plain["reasons"] = "; ".join(row.reasons)
    plain["flags"] = "; ".join(row.flags)
    for key, measure in row.metrics.items():
        plain |= {key: measure.value, f"{key}_low": measure.low, f"{key}_high": measure.high}
    return plain


def load(run: str | Path = "latest", root: str | Path = "results") -> Frames:
    """Load a finished run into pandas frames.

    Args:
        run: a run folder, part of its name, or "latest".
        root: where runs are kept.

    Raises:
        SpecError: there is no such run.
        EvidenceError: the run has no ranking yet.
    """
    import msgspec
    import pandas as pd

    from harness.runs import find

    folder = find(str(run), Path(root))
    try:
        ranking = msgspec.json.decode((folder / "ranking.json").read_bytes(), type=Ranking)
        table = pd.read_parquet(folder / "measurements.parquet")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{folder}: no ranking that can be read: {error} (try `harness rank {folder}`)") from error
    return Frames(ranking_table(ranking), table, folder)
