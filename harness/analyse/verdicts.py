"""`race.json`: what a race decided, kept with the evidence it decided by."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import EvidenceError


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """Why a cell left the race: after which block, against whom, how sure."""

    cell: str
    block: int
    why: str
    leader: str = ""
    n: int = 0
    p: float | None = None
    effect: float | None = None


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """`race.json`: who was dropped, and how measuring ended."""

    drops: tuple[Drop, ...] = ()
    ended: str = ""
    tied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    schema: str = "harness/race/1"


def read_verdicts(folder: Path) -> Verdicts:
    """Read `race.json`; empty where the run did not get that far.

    Raises:
        EvidenceError: it is damaged.
    """
    path = folder / "race.json"
    if not path.exists():
        return Verdicts()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdicts)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
