"""A suite: candidates × targets × scenarios, with the dataset, the run budget and the policy."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from harness.spec.policy import Policy
from harness.spec.ranges import Count, Fraction, NotNegative, Positive
from harness.spec.scenario import Scenario
from harness.spec.synthetic import Synthetic as Synthetic

SPLITS = ("evaluation", "calibration", "production")


class Candidate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One trained model. Either `path` (a file) or `builder` (`module:function`, with optional `weights`).

    `format` is a registered format's name; without it, the file's suffix tells.
    """

    name: str
    path: str | None = None
    builder: str | None = None
    weights: str | None = None
    format: str | None = None
    precision: str = "fp32"
    sha256: str | None = None
    version: str = ""
    description: str = ""
    task: Literal["classification", "regression"] = "classification"
    output: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows of one split: a `builder` (`module:function`) or a `path` (.npz)."""

    builder: str | None = None
    path: str | None = None


class Dataset(Source, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The evaluation split (a `builder`, a `path` to a .npz, or `synthetic` inputs), and optionally two more.

    `calibration` rows are for conversions that need data, `production` rows are inputs as the service sees them.
    """

    synthetic: Synthetic | None = None
    calibration: Source | None = None
    production: Source | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of a run: wall seconds of the whole run, trials per cell, seconds per phase without progress.

    `race` says which cells may leave before the end: "winner": those that are clearly not the best; "front": those
    that another cell beats in every objective; "off": none.
    """

    seconds: Positive = 600.0
    trials: Count = 3
    max_trials: Count = 30
    phase_timeout_s: Positive = 60.0
    race: Literal["winner", "front", "off"] = "winner"


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a variant's outputs may differ from the candidate's own; None: not checked."""

    max_abs_diff: NotNegative | None = None
    top1_agreement: Fraction | None = None


_TOLERANCES = {"fp32": Parity(1e-3, 0.99), "fp16": Parity(2e-2, 0.99), "bf16": Parity(2e-2, 0.99)}


def tolerance(parity: Mapping[str, Parity], precision: str) -> Parity:
    """Return the tolerance for variants of `precision`: the suite's (`Suite.parity`), else the default."""
    return parity.get(precision) or _TOLERANCES.get(precision, Parity(None, 0.9))


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to measure and how to decide. `name` is the file's stem; `parity` has precisions as keys."""

    name: str = ""
    description: str
    targets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    candidate: Annotated[tuple[Candidate, ...], msgspec.Meta(min_length=1)]
    scenario: tuple[Scenario, ...] = ()
    dataset: Dataset = Dataset(synthetic=Synthetic())
    reference: str | None = None
    trust_pickle: bool = False
    budget: Budget = Budget()
    parity: dict[str, Parity] = {}
    policy: Policy = Policy()

    @property
    def traffic(self) -> tuple[Scenario, ...]:
        """The scenarios that trials run, in order; cold starts are not among them."""
        return tuple(scenario for scenario in self.scenario if scenario.in_trials)
