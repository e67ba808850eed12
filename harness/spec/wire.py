"""What parent and child tell each other, as files in a folder: jobs, events, outcomes."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.spec.suite import Candidate, Dataset, Parity, Scenario, Synthetic
from harness.spec.target import Target

Failure = Literal["oom", "crash", "timeout", "load_error", "output_error", "protocol"]
JOB_SCHEMA = "harness/job/1"
OUTCOME_SCHEMA = "harness/outcome/1"
DISK_FULL = 74
"""Exit status of a child that could not write its evidence (EX_IOERR of sysexits.h)."""
PARENT_VARIABLE = "HARNESS_PARENT"
"""The environment variable that tells a child which process it must not outlive."""


class Artefact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a runtime is given to load: a format, and a file or a builder with its weights."""

    format: str
    path: str | None = None
    builder: str | None = None
    weights: str | None = None
    digest: str = ""
    bytes: int | None = None
    trust_pickle: bool = False
    import_from: str | None = None


class WarmUpRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Warm-up ends when two windows agree, or at a stated limit (then the trial is `not steady`).

    A window lasts `window_seconds`, but has at most `most` inferences.
    """

    window_seconds: float = 0.005
    most: int = 1_000
    max_seconds: float = 2.0
    max_samples: int = 100_000


class Trial(msgspec.Struct, frozen=True, kw_only=True, tag="trial", tag_field="kind"):
    """Measure one cell once, in this process, through all scenarios in order."""

    candidate: Candidate
    target: Target
    artefact: Artefact
    scenarios: tuple[Scenario, ...]
    dataset: str | None = None
    synthetic: Synthetic | None = None
    seed: int = 0
    block: int = 0
    sequence: int = 0
    threads: int = 1
    memory_limit_bytes: int | None = None
    pool_rows: int = 64
    predict: bool = True
    min_samples: int = 0
    stretch: float = 1.0
    warm_up: WarmUpRule = WarmUpRule()
    schema: str = JOB_SCHEMA


class Probe(msgspec.Struct, frozen=True, kw_only=True, tag="probe", tag_field="kind"):
    """Ask whether a target can be used here, and what its runtime loads."""

    target: Target
    schema: str = JOB_SCHEMA


class MakeDataset(msgspec.Struct, frozen=True, kw_only=True, tag="dataset", tag_field="kind"):
    """Turn the suite's dataset into plain arrays in the folder."""

    dataset: Dataset
    base: str
    schema: str = JOB_SCHEMA


class Convert(msgspec.Struct, frozen=True, kw_only=True, tag="convert", tag_field="kind"):
    """Turn an artefact into another format and check it against its original on real inputs."""

    candidate: Candidate
    artefact: Artefact
    wanted: str
    dataset: str | None = None
    synthetic: Synthetic | None = None
    seed: int = 0
    parity: Parity = Parity()
    schema: str = JOB_SCHEMA


class Describe(msgspec.Struct, frozen=True, kw_only=True, tag="describe", tag_field="kind"):
    """Read a model's inputs off it."""

    artefact: Artefact
    target: Target
    schema: str = JOB_SCHEMA


Job = Trial | Probe | MakeDataset | Convert | Describe


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a model: sizes, or the names of symbolic dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One window of one scenario: its file of samples and how it ended. `name` is the file's stem."""

    name: str
    scenario: str
    kind: str
    samples: int
    batch_size: int = 1
    elapsed_ns: int = 0
    steady: bool = True
    warm_up_samples: int = 0
    ended_by: Literal["precision", "time", "samples"] = "time"


class Noise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the child itself suffered while measuring: counts over its measured windows."""

    voluntary_switches: int = 0
    involuntary_switches: int = 0
    minor_faults: int = 0
    major_faults: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resident bytes of the child: runtime imported, model loaded, highest so far (VmHWM)."""

    baseline_bytes: int | None = None
    loaded_bytes: int | None = None
    peak_bytes: int | None = None


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a converted artefact compares with its original on `rows` real inputs."""

    rows: int
    max_abs_diff: float
    top1_agreement: float | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a job ended; the last file of a folder, written by the child, or by the parent in its place."""

    status: Literal["ok", "failed", "unavailable", "invalid"]
    failure: Failure | None = None
    message: str = ""
    phase: str = ""
    by: Literal["child", "parent"] = "child"
    load_ns: int | None = None
    first_inference_ns: int | None = None
    scenarios: tuple[ScenarioResult, ...] = ()
    memory: Memory = Memory()
    noise: Noise = Noise()
    files: dict[str, int] = {}
    versions: dict[str, str] = {}
    settings: dict[str, str | int | float | bool] = {}
    notes: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    parity: ParityReport | None = None
    inputs: tuple[Input, ...] = ()
    digest: str = ""
    duration_ns: int = 0
    schema: str = OUTCOME_SCHEMA


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phase mark of the child: name and CLOCK_MONOTONIC stamp (ns)."""

    phase: str
    t_ns: int
    note: str = ""
