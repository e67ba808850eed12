"""What a child and its launcher tell, as files in a folder: events, and the outcome of a job."""

from typing import Literal

import msgspec

from harness.spec.diagnostics import Diagnostic
from harness.spec.variant import ParityReport
from harness.spec.wire import Resources

Failure = Literal["oom", "crash", "timeout", "load_error", "input_error", "output_error", "protocol"]
Fact = str | int | float | bool | None


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a model: sizes, or the names of symbolic dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class OpenLoop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The traffic of a window whose requests are due whether or not earlier ones are done.

    `rate_per_s` is the rate that arrivals were drawn at, or the mean rate of a trace; `offered` are the arrivals of
    `seconds`; those that were not served when the window's deadline came are not in its arrays. `servers` threads or
    processes served them, up to `max_batch` at once, which were waited for up to `max_wait_ns`.
    """

    rate_per_s: float
    offered: int
    seconds: float
    servers: int = 1
    max_batch: int = 1
    max_wait_ns: int = 0


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured window of a scenario: requests, turns, how it was warmed up, why it ended.

    `uncounted` requests began a turn, while caches held what others had left there, and a CPU quota was unused.
    `device_timed`: there is an array of what each request took on a device. `open_loop` is the traffic of an open loop,
    whose `elapsed_ns` go from its begin to the end of its last request; in a closed loop they are those of requests.
    """

    name: str
    scenario: str
    samples: int
    batch_size: int = 1
    elapsed_ns: int = 0
    steady: bool = True
    warm_up_samples: int = 0
    warm_up_ns: int = 0
    rounds: int = 0
    uncounted: int = 0
    ended_by: Literal["turns", "time", "samples", "deadline"] = "turns"
    device_timed: bool = False
    open_loop: OpenLoop | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one instance started, in ns: each phase begins where the one before it ends, and they add up to `total_ns`.

    From the start of the process until the interpreter runs, until the runtime is imported, until the model is loaded,
    until the first response is there. `lost_ns` was spent before that on `inits - 1` INITs that were ended because they
    took too long. `init_ns` is from the start of the process until it is ready for a request. `second_ns` is the second
    request, from sending it. `resident` is the fraction of the artefact that was in memory at the start; None where
    that is not known, or there is no file. `own_ns` is left out of all that: importing the harness's own modules, which
    no function that somebody deploys would do.
    """

    own_ns: int
    interpreter_ns: int
    imports_ns: int
    load_ns: int
    first_ns: int
    second_ns: int
    init_ns: int
    lost_ns: int = 0
    inits: int = 1
    resident: float | None = None

    @property
    def total_ns(self) -> int:
        """From the start of the (first) process until the first response."""
        return self.lost_ns + self.interpreter_ns + self.imports_ns + self.load_ns + self.first_ns


class SchedulingCounters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Context switches and page faults of the child in its measured windows."""

    voluntary_switches: int = 0
    involuntary_switches: int = 0
    minor_faults: int = 0
    major_faults: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory of the child in bytes: resident with the runtime imported, with the model loaded, and at its peak (VmHWM).

    At the end: anonymous pages, proportional set size. `inputs_bytes` are the rows that the model was fed from.
    `charged_bytes` is what its own cgroup was charged at most (page cache of files that it read first included), of
    which at the end `charged_anon_bytes` are anonymous and `charged_file_bytes` page cache. `limit_bytes` is the limit
    that was set above the baseline.
    """

    baseline_bytes: int | None = None
    loaded_bytes: int | None = None
    peak_bytes: int | None = None
    anon_bytes: int | None = None
    pss_bytes: int | None = None
    inputs_bytes: int | None = None
    charged_bytes: int | None = None
    charged_anon_bytes: int | None = None
    charged_file_bytes: int | None = None
    limit_bytes: int | None = None


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a probe recorded beside a job: its columns in telemetry.csv with their units, and its facts."""

    columns: dict[str, str] = {}
    facts: dict[str, Fact] = {}
    unavailable: str = ""


class Launched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the launcher knows of a job: wall time (ns), the host it ran on, what was granted, what was watched.

    `begin_ns` is when it was started (CLOCK_MONOTONIC), for a fork before its template was ready; `began_unix_ns` is
    the same moment by the calendar's clock (ns since 1970), None in older evidence.
    """

    launcher: str
    wall_ns: int
    begin_ns: int = 0
    began_unix_ns: int | None = None
    host: dict[str, Fact] = {}
    resources: Resources = Resources()
    probes: dict[str, ProbeRecord] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a job ended: the last file of a folder, written by the child, or by the launcher in its place.

    `pids` are the processes that are measured. `fresh`: it was a new interpreter, not a fork of one. `spent` is where
    the child's time went (ns by purpose), from `begin_ns` (CLOCK_MONOTONIC) on. A check says which `formats` the
    runtime loads, and which `precisions` of them run in the target's. A cold start says how the instance `started`.
    The launcher adds `launched` at the end.
    """

    status: Literal["ok", "failed", "unavailable", "invalid"]
    failure: Failure | None = None
    message: str = ""
    phase: str = ""
    by: Literal["child", "launcher"] = "child"
    pids: tuple[int, ...] = ()
    fresh: bool = True
    spent: dict[str, int] = {}
    load_ns: int | None = None
    first_inference_ns: int | None = None
    windows: tuple[Window, ...] = ()
    memory: Memory = Memory()
    scheduling: SchedulingCounters = SchedulingCounters()
    files: dict[str, int] = {}
    versions: dict[str, str] = {}
    settings: dict[str, Fact] = {}
    notes: tuple[Diagnostic, ...] = ()
    formats: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    parity: ParityReport | None = None
    started: Started | None = None
    inputs: tuple[Input, ...] = ()
    digests: dict[str, str] = {}
    duration_ns: int = 0
    begin_ns: int = 0
    launched: Launched | None = None
    schema: str = "harness/outcome/3"

    @property
    def wall_s(self) -> float:
        """Wall seconds of the job: as the launcher measured them, else the child's own."""
        return (self.launched.wall_ns if self.launched else self.duration_ns) / 1e9


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phase mark of the child: name, CLOCK_MONOTONIC stamp (ns), and the measured processes where they change."""

    phase: str
    t_ns: int
    note: str = ""
    pids: tuple[int, ...] = ()
