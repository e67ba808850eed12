"""What comparing two runs gives: a verdict for each metric of each row. `compare.json`."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from harness.spec.diagnostics import Diagnostic

Word = Literal["worse", "better", "same", "ambiguous"]
Basis = Literal["paired", "runs", "stated", "assumed", "rows", "exact"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one metric of one row; None is "not known", never 0.

    `base` and `new` are in `unit`. `change` is relative to the base where `relative`, else a difference in `unit`;
    `low` and `high` are its 95 % interval, for this metric alone. `p` is that of "nothing changed", `p_adjusted` the
    same after Holm's correction for all verdicts. `margin` is how much is the same, in the unit of `change`. `basis` is
    what the noise is known from: "paired" blocks of one run, several "runs" of the base, run-to-run noise that was
    "stated" or "assumed", dataset "rows", or "exact": no noise. `n` counts the shared blocks, or the new run's trials.

    `suspect`: a slowdown that matters is not ruled out, so that it would be measured again. `confirmed` says what
    measuring again found of a suspect; None where it was not. `why` says why a verdict is ambiguous.
    """

    row: str
    metric: str
    verdict: Word
    unit: str
    base: float | None
    new: float | None
    change: float | None
    low: float | None
    high: float | None
    relative: bool
    margin: float
    basis: Basis
    n: int
    p: float | None = None
    p_adjusted: float | None = None
    suspect: bool = False
    confirmed: bool | None = None
    why: str = ""


class RowChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a row as a whole: its status in both runs ("absent": not in it), and the variants' digests."""

    row: str
    base: str
    new: str
    base_digest: str | None = None
    new_digest: str | None = None
    why: str = ""

    @property
    def broken(self) -> bool:
        """Whether the row ran in the base, and fails now."""
        return self.new == "failed" and self.base in ("measured", "dropped", "undecided")


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A new run compared with base runs, at the family-wise error rate `alpha`.

    `again` is the run that measured suspects again.
    """

    suite: str
    base: tuple[str, ...]
    new: str
    alpha: float
    verdicts: tuple[Verdict, ...]
    rows: tuple[RowChange, ...]
    notes: tuple[Diagnostic, ...] = ()
    again: str | None = None
    schema: str = "harness/compare/1"

    @property
    def regressions(self) -> tuple[Verdict, ...]:
        """Verdicts "worse" that nothing takes back: those that measuring again did not confirm are none."""
        return tuple(each for each in self.verdicts if each.verdict == "worse" and each.confirmed is not False)

    @property
    def broken(self) -> tuple[RowChange, ...]:
        """Rows that ran in the base, and fail now."""
        return tuple(row for row in self.rows if row.broken)

    @property
    def suspects(self) -> tuple[Verdict, ...]:
        """Verdicts that would be measured again."""
        return tuple(each for each in self.verdicts if each.suspect)


def counted(verdicts: Iterable[Verdict]) -> dict[Word, int]:
    """Count verdicts by word, worst first."""
    words: tuple[Word, ...] = ("worse", "better", "ambiguous", "same")
    found = [each.verdict for each in verdicts]
    return {word: found.count(word) for word in words}
