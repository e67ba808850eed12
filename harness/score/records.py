"""What the decision is made from and what it says: entries in, a ranking out."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Status = Literal["measured", "dropped", "failed", "skipped"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of one row: value, 95 % interval (None = unbounded), counts, unit.

    `n` counts samples, `trials` counts fresh processes; `basis` says which spread the interval shows:
    "within" one trial, "between" trials, "rows" of the dataset, or "exact" (a size, no spread).
    """

    value: float
    low: float | None
    high: float | None
    n: int
    trials: int
    unit: str
    basis: Literal["within", "between", "rows", "exact"] = "between"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One cell as the scorer sees it.

    `metrics` are keyed as in the policy (plain keys belong to the suite's first scenario). `trials` holds
    the per-trial values of a metric, NaN-padded by block: index b is the trial of block b, so that rows
    can be compared within blocks. `correct` marks, per dataset row, whether the prediction was right.
    `remarks` are told with the row and decide nothing. A dropped entry was measured until it left the race, where
    `beaten_by` (candidate@target) was found to be better.
    """

    candidate: str
    target: str
    status: Status
    failure: str | None = None
    why: str = ""
    metrics: dict[str, Measure] = {}
    trials: dict[str, tuple[float, ...]] = {}
    correct: NDArray[np.bool_] | None = None
    flags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    beaten_by: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ranking; None is "not known", never 0.

    `limits` holds P(limit holds) by metric, where it is known. `gap` is the score less that of the first row,
    with the interval (`gap_low`, `gap_high`) that decides whether the two can be told apart; `blocks` counts
    the blocks behind the row, `blocks_to_settle` about how many in all would tell it from the first row
    (None: it is told apart already, or no number would). `acceptability[r]` is the share of all weights and
    draws that put the row on rank r+1; `central_weights` is the mean of the weights that put it first.
    """

    candidate: str
    target: str
    status: Status
    failure: str | None
    eligible: bool
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    tie: bool
    score: float | None
    score_low: float | None
    score_high: float | None
    p_best: float | None
    acceptability: tuple[float, ...] | None
    central_weights: dict[str, float] | None
    limits: dict[str, float]
    pareto: bool
    reasons: tuple[str, ...]
    metrics: dict[str, Measure]
    utilities: dict[str, float]
    flags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    blocks: int | None = None
    blocks_to_settle: int | None = None


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: rows best first (then what is not eligible, failed, skipped), and notes on all of it."""

    suite: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    schema: str = "harness/ranking/1"
