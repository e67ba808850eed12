"""What the parent tells a child, as a file in a folder: jobs, and what is granted to them."""

import msgspec

from harness.spec.scenario import Scenario
from harness.spec.suite import Candidate, Dataset, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant

DISK_FULL = 74
"""Exit status of a child that could not write its evidence (EX_IOERR of sysexits.h)."""
SLOW_S = 0.02
"""Requests that take longer (s) are not left out at the start of a turn, and turns need not hold many of them."""
PARENT_VARIABLE = "HARNESS_PARENT"
"""The environment variable that tells a child which process it must not outlive."""


class WarmUpRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Warm-up ends when two consecutive windows of requests agree, or at a limit (the trial is then `not steady`).

    Together the two last `fraction` of the measured window, but `least_seconds` at least and `most_seconds` at most.
    The limit is `limit_fraction` of the measured window, but `limit_seconds` at least.
    """

    fraction: float = 0.05
    least_seconds: float = 0.01
    most_seconds: float = 0.5
    limit_fraction: float = 0.25
    limit_seconds: float = 0.5


class GroupFiles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Files of a job's own cgroup that the job reads or writes; empty where it has none of the kind.

    `memory_limits` are set to a limit in bytes, in their order.
    """

    cpu_stat: str = ""
    memory_stat: str = ""
    memory_now: str = ""
    memory_peak: str = ""
    memory_limits: tuple[str, ...] = ()


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a launcher grants a job, decided on the host that the job runs on.

    `limits` says for each limit of the target how it is enforced, or that it is not; `unenforced` names the latter.
    `memory_limit_bytes` is the limit of memory, `data_limit_bytes` what RLIMIT_DATA bounds, `above_baseline_bytes` what
    may be taken above what the process holds when its runtime is imported. `cpus` are the CPUs that the process is to
    keep itself to. `settle_s` is the period of a CPU quota that can throttle the process: so much of each of its turns
    does not count. `group` are the files of its own cgroup.
    """

    threads: int = 1
    cpus: tuple[int, ...] | None = None
    settle_s: float = 0.0
    memory_limit_bytes: int | None = None
    data_limit_bytes: int | None = None
    above_baseline_bytes: int | None = None
    group: GroupFiles = GroupFiles()
    limits: dict[str, str] = {}
    unenforced: tuple[str, ...] = ()


class _Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every job has."""

    resources: Resources = Resources()
    schema: str = "harness/job/3"


class Trial(_Job, frozen=True, kw_only=True, tag="trial"):
    """Measure one cell once, in this process, through all scenarios in order.

    Paths are relative to the staging root. A window is a number of turns of `turn_s` seconds each. `fresh`: the process
    is to be a new interpreter, not a fork of one that imported the runtime. `cpus`: the CPUs
    that it may use (None: all that it is given). `slower` adds this fraction of work to each inference (a control).
    `traces` is the folder of arrivals that scenarios replay. `keep_rows`: of synthetic inputs so many rows are left in
    the folder, for jobs that send them.
    """

    candidate: Candidate
    target: Target
    variant: Variant
    scenarios: tuple[Scenario, ...]
    dataset: str | None = None
    traces: str | None = None
    synthetic: Synthetic | None = None
    seed: int = 0
    block: int = 0
    sequence: int = 0
    pool_rows: int = 64
    predict: bool = False
    fresh: bool = True
    turn_s: float = 0.025
    cpus: tuple[int, ...] | None = None
    slower: float = 0.0
    keep_rows: int = 0
    warm_up: WarmUpRule = WarmUpRule()


class ColdStart(_Job, frozen=True, kw_only=True, tag="cold_start"):
    """Start one instance of a cell, send it up to `requests` requests of one row each, and end it.

    `rows` is a folder of arrays, rows in front: request j of start n has row `n * requests + j`. Behind the second
    request it goes on for `seconds` at most. `entry` is where the runtime's plug-in is (`module:object`): looking it
    up would be part of the start. `block` is the number of the start, from 0.
    """

    candidate: Candidate
    target: Target
    variant: Variant
    entry: str
    rows: str
    requests: int = 10
    seconds: float = 0.5
    seed: int = 0
    block: int = 0
    cpus: tuple[int, ...] | None = None


class CheckTarget(_Job, frozen=True, kw_only=True, tag="check_target"):
    """Ask whether a target can be used here, and which formats its runtime loads."""

    target: Target


class MakeDataset(_Job, frozen=True, kw_only=True, tag="dataset"):
    """Write the splits of the suite's dataset as plain arrays into the folder."""

    dataset: Dataset
    base: str


class Convert(_Job, frozen=True, kw_only=True, tag="convert"):
    """Do one conversion of a chain, and compare the result with the candidate's own outputs on real inputs.

    The target's runtime runs the result. `dataset` and `calibration` are folders of splits; `reference` is the file
    with the candidate's own outputs, which the first conversion of a chain writes.
    """

    candidate: Candidate
    target: Target
    source: Variant
    conversion: str
    dataset: str | None = None
    calibration: str | None = None
    synthetic: Synthetic | None = None
    reference: str | None = None
    seed: int = 0


class Describe(_Job, frozen=True, kw_only=True, tag="describe"):
    """Read a model's inputs off it, and find some that it runs with; `synthetic` is what is known of them."""

    variant: Variant
    target: Target
    synthetic: Synthetic = Synthetic(rows=1)


Job = Trial | ColdStart | CheckTarget | MakeDataset | Convert | Describe
