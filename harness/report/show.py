"""`harness show`: a finished run again, and why a row stands where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import EvidenceError, SpecError
from harness.runs import RunRecord, read_run
from harness.score.explain import explain
from harness.score.records import Ranking, Row
from harness.score.words import name_of
from harness.spec.metrics import nearest
from harness.spec.policy import Policy


class Ranked(NamedTuple):
    """A ranked run: its folder, its record, the ranking, and the policy it was ranked by."""

    folder: Path
    record: RunRecord
    ranking: Ranking
    policy: Policy


def load_ranked(folder: Path) -> Ranked:
    """Read what a run was last ranked as.

    Raises:
        EvidenceError: there is no ranking that can be read.
    """
    try:
        ranking = msgspec.json.decode((folder / "ranking.json").read_bytes(), type=Ranking)
        policy = msgspec.json.decode((folder / "policy.json").read_bytes(), type=Policy)
    except FileNotFoundError:
        raise EvidenceError(
            f"{folder}: not ranked yet (complete it with `harness run --resume {folder}`, "
            f"or rank what is there with `harness rank {folder}`)"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        mend = f"derive it again with `harness rank {folder}`"
        raise EvidenceError(f"{folder}: its ranking cannot be read: {error} ({mend})") from error
    return Ranked(folder, read_run(folder), ranking, policy)


def find_row(ranking: Ranking, name: str) -> Row:
    """Return the row called `name`: `candidate@target`, or a part of exactly one name.

    Raises:
        SpecError: no row, or several, are called that.
    """
    names = [name_of(row) for row in ranking.rows]
    if name in names:
        return ranking.rows[names.index(name)]
    found = [row for row, full in zip(ranking.rows, names, strict=True) if name in full]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError("ROW", f"'{name}' is part of {len(found)} rows", ", ".join(map(name_of, found)))
    raise SpecError("ROW", f"no row is called '{name}'", nearest(name, names))


def row_in_words(ranked: Ranked, name: str) -> list[str]:
    """Return why a row stands where it stands, line by line."""
    return explain(ranked.ranking, ranked.policy, find_row(ranked.ranking, name))
