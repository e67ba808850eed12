"""A target: a place where a candidate could run. A claim about the world, with source and date."""

from datetime import date

import msgspec

from harness.spec.ranges import Count, NotNegative, PeriodMs, Positive, PositiveFraction

Option = str | int | float | bool


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the place gives a process: CPUs (cores) and memory (MiB); None is all there is.

    `cpus` is CPU time per time, granted anew in each period (Kubernetes and Docker: 100 ms), on as many cores. Of
    `memory_mib` a fresh process pays for interpreter and libraries too; `memory_above_baseline_mib` is what it may take
    above what it holds when its runtime is imported. Give one of the two.

    `cpu_scale` lets a part of a core of this machine stand for a slower core: it lowers the quota. `cpu_scale_source`
    says which ratio of the kernels of `harness doctor` it is. A short period then comes closer to a slow core, which
    does not stop and go.
    """

    cpus: Positive | None = None
    cpu_period_ms: PeriodMs = 100
    cpu_scale: PositiveFraction = 1.0
    cpu_scale_source: str = ""
    memory_mib: Count | None = None
    memory_above_baseline_mib: Count | None = None

    @property
    def cpu_time(self) -> float | None:
        """CPU time per time, of this machine's cores; None is all there is."""
        return None if self.cpus is None else self.cpus * self.cpu_scale


class HourlyPrice(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hourly", tag_field="model"
):
    """A machine rented by the hour. `utilisation` is the fraction of time it is assumed to be busy."""

    usd_per_hour: NotNegative
    source: str
    as_of: date
    utilisation: PositiveFraction = 0.6


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Runtime + device + precision + launcher + limits + price. `name` is the file's stem.

    `options` are for the runtime, `conversion` for the conversions that make what this target loads.
    """

    name: str = ""
    description: str
    runtime: str
    device: str = "cpu"
    precision: str = "fp32"
    launcher: str = "process"
    python: str | None = None
    limits: Limits = Limits()
    options: dict[str, Option] = {}
    conversion: dict[str, Option] = {}
    price: HourlyPrice | None = None
