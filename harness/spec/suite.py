"""A suite: candidates × targets × scenarios, with the dataset, the run budget and the policy."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.spec.policy import Policy

Format = Literal["onnx", "pt2", "torch", "checkpoint", "sklearn", "fake"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One trained model. Either `path` (a file) or `builder` (`module:function`, with optional `weights`)."""

    name: str
    path: str | None = None
    builder: str | None = None
    weights: str | None = None
    format: Format | None = None
    sha256: str | None = None
    version: str = ""
    description: str = ""
    task: Literal["classification", "regression"] = "classification"
    output: str | None = None


class Synthetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Inputs drawn from the model's own signature; `dims` gives symbolic dimensions a size."""

    rows: int = 64
    dims: dict[str, int] = {}


class Dataset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Real inputs and labels: a `builder` (`module:function`), a `path` (.npz), or `synthetic`."""

    builder: str | None = None
    path: str | None = None
    synthetic: Synthetic | None = None


class SingleStream(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag="single_stream",
    tag_field="kind",
):
    """One inference after another, batch size 1. `seconds` bounds the measured window of one trial."""

    name: str
    seconds: float = 1.0
    max_samples: int = 1_000_000


class Offline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="offline", tag_field="kind"):
    """Throughput with all inputs at hand: each batch size is kept busy for its share of `seconds`."""

    name: str
    seconds: float = 1.0
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    max_samples: int = 1_000_000


Scenario = SingleStream | Offline


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much may be spent: wall seconds of the whole run, trials per cell, seconds per silent phase.

    `race` says who may leave before the end: "winner" drops what is clearly not the best, "front" only
    what some other beats in every objective, "off" nothing.
    """

    seconds: float = 600.0
    trials: int = 3
    max_trials: int = 30
    phase_timeout_s: float = 60.0
    race: Literal["winner", "front", "off"] = "winner"


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a converted artefact may stray from its original before it is an `output_error`."""

    max_abs_diff: float = 1e-3
    top1_agreement: float = 0.99


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to measure and how to decide. `name` is the file's stem."""

    name: str = ""
    description: str
    targets: tuple[str, ...]
    candidate: tuple[Candidate, ...]
    scenario: tuple[Scenario, ...] = (SingleStream(name="interactive"),)
    dataset: Dataset = Dataset(synthetic=Synthetic())
    reference: str | None = None
    trust_pickle: bool = False
    budget: Budget = Budget()
    parity: Parity = Parity()
    policy: Policy = Policy()
