"""The input and output of the decision: entries and the ranking."""

from typing import Literal, NamedTuple

import msgspec

from harness.spec.arrays import Floats
from harness.spec.diagnostics import Diagnostic

Status = Literal["measured", "undecided", "dropped", "failed", "skipped"]
Basis = Literal["pooled", "within", "between", "rows", "simulated", "exact"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of one row: value, 95 % interval (None = unbounded), counts, unit.

    `n` counts samples, `trials` counts processes; `basis` says which spread the interval shows: "pooled" requests
    of all trials with the trials as clusters, "within" one trial, "between" trials, "rows" of the dataset, "simulated"
    (of the processes that fed a simulation), or "exact" (a size, no spread). `effective_n` is the number of
    independent requests that would know a percentile as well; `independent_n` what the requests of an open loop are
    worth if trials do not differ (left out for others, of which each counts).
    """

    value: float
    low: float | None
    high: float | None
    n: int
    trials: int
    unit: str
    basis: Basis = "between"
    effective_n: float | None = None
    independent_n: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def independent(self) -> float:
        """How many requests count: fewer than there are where they wait for one another."""
        return self.n if isinstance(self.independent_n, msgspec.UnsetType) else self.independent_n


class RowScores(msgspec.Struct, frozen=True, kw_only=True):
    """One score per dataset row: the metric is their (weighted) mean, or the square root of it ("root")."""

    values: Floats
    weights: Floats | None = None
    transform: Literal["mean", "root"] = "mean"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One cell as the scorer sees it.

    `metrics` are keyed as in the policy (plain keys belong to the suite's first scenario). `trials` holds
    the per-trial values of a metric, NaN-padded by block: index b is the trial of block b, so that cells
    can be compared within blocks. `loads` holds, for a percentile of pooled requests and by block likewise, the
    trial's influence on the logarithm of the value; Σ load² is its squared standard error. `rows` holds the scores
    behind a metric by dataset row, so that cells can be compared within rows. `diagnostics` are reported with the
    cell and decide nothing. A dropped entry was measured until it left the race, where `beaten_by`
    (candidate@target) was found to be better. `request_s` is the seconds that one more request of the first scenario
    takes, with everything that goes with it.
    """

    candidate: str
    target: str
    status: Status
    failure: str | None = None
    metrics: dict[str, Measure] = {}
    trials: dict[str, tuple[float, ...]] = {}
    loads: dict[str, tuple[float, ...]] = {}
    rows: dict[str, RowScores] = {}
    diagnostics: tuple[Diagnostic, ...] = ()
    beaten_by: str = ""
    request_s: float | None = None


class More(NamedTuple):
    """What is missing for an answer: blocks and requests of a row in them, dataset rows, or starts; None: not known."""

    blocks: int | None = None
    requests: int | None = None
    rows: int | None = None
    starts: int | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ranking; None is "not known", never 0.

    `status` is "undecided" where the evidence cannot judge a limit or an objective yet. `eligible`: every limit
    certainly holds. `place` orders by score all rows but those that failed, were skipped, or certainly break a limit.
    The row's true rank is between `rank_low` and `rank_high` (95 %, for all rows at once); it `may_be_best` if that
    begins at 1. `limits` holds P(limit holds) by metric, where it is known. `gap` is the score less that of the first
    row, with an interval (`gap_low`, `gap_high`) that agrees with whether the two are told apart. `blocks` counts
    the blocks measured, `blocks_to_settle` estimates how many in all would tell them apart (None: they are already,
    or no number would). `acceptability[r]` is the fraction of all weights and draws that put the row on rank r+1;
    `central_weights` is the mean of the weights that put it first. `reasons` begin with what the run says of the cell
    and end with its warnings.
    """

    candidate: str
    target: str
    status: Status
    failure: str | None
    eligible: bool
    place: int | None
    rank_low: int | None
    rank_high: int | None
    may_be_best: bool
    score: float | None
    score_low: float | None
    score_high: float | None
    p_best: float | None
    acceptability: tuple[float, ...] | None
    central_weights: dict[str, float] | None
    limits: dict[str, float]
    pareto: bool
    reasons: tuple[Diagnostic, ...]
    metrics: dict[str, Measure]
    utilities: dict[str, float]
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    blocks: int | None = None
    blocks_to_settle: int | None = None

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The reasons to read the row with care."""
        return tuple(reason for reason in self.reasons if reason.severity == "warning")


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: rows in order of their places (then what is not eligible, failed, skipped), and notes on it."""

    suite: str
    rows: tuple[Row, ...]
    notes: tuple[Diagnostic, ...] = ()
    schema: str = "harness/ranking/3"
