"""A target: a place where a candidate could run. A claim about the world, with source and date."""

from datetime import date
from typing import Annotated, Literal, TypeAlias

import msgspec

from harness.spec.ranges import Count, NotNegative, PeriodMs, Positive, PositiveFraction

Option = str | int | float | bool
INSTANCES = ("function", "container")
"""The launchers that start instances: places whose processes start cold."""


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


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How instances of a place start and serve: what memory buys, what INIT may take, what the emulation leaves out.

    `mib_per_cpu`: memory buys CPU time, `limits.memory_mib / mib_per_cpu` of it. `init_cpus` is the CPU time per time
    until the instance is ready, where it is not that of `limits`. INIT may take `init_s`: a function's is then ended
    and repeated within the first request; a container has failed. A request, with such a repeated INIT, may take
    `timeout_s`. `storage`: whether a start finds the artefact's pages in memory ("warm") or has to read them ("cold").
    `elsewhere_ms` is added to each cold start for what happens before the process is started (placement, pulling an
    image, booting a micro-VM), none of which is emulated; `elsewhere_source` says who measured it.

    Of the fleet that such instances form: one that is idle ends after `keep_alive_s`; one takes `concurrency` requests
    and works on one at a time; `provisioned` ones are kept.
    """

    mib_per_cpu: Positive | None = None
    init_cpus: Positive | None = None
    init_s: Positive = 10.0
    timeout_s: Positive = 30.0
    storage: Literal["cold", "warm"] = "cold"
    elsewhere_ms: NotNegative = 0.0
    elsewhere_source: str = ""
    keep_alive_s: NotNegative = 300.0
    concurrency: Count = 1
    provisioned: Annotated[int, msgspec.Meta(ge=0)] = 0


class HourlyPrice(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hourly", tag_field="model"
):
    """A machine rented by the hour. `utilisation` is the fraction of time it is assumed to be busy.

    `gpu` is the GPU that the machine has, as its name contains it ("A10G"): times of another one have another price.
    """

    usd_per_hour: NotNegative
    source: str
    as_of: date
    utilisation: PositiveFraction = 0.6
    gpu: str = ""


class FunctionPrice(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="function", tag_field="model"
):
    """A function billed by GB-seconds, as AWS Lambda does: memory (GiB, called GB) × duration, and each request.

    Durations are rounded up to `round_ms`; that of INIT counts with `init_billed` (AWS: since 2025-08-01). An instance
    of provisioned concurrency costs `provisioned_usd_per_gb_s` for as long as it is kept, and requests on it
    `provisioned_duration_usd_per_gb_s`; without these prices there is none. `architecture` is what the prices are for.
    The free amounts of a month count only with `free_tier`, and never beside provisioned concurrency.
    """

    usd_per_gb_s: NotNegative
    usd_per_million_requests: NotNegative
    source: str
    as_of: date
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    round_ms: Positive = 1.0
    init_billed: bool = True
    provisioned_usd_per_gb_s: NotNegative | None = None
    provisioned_duration_usd_per_gb_s: NotNegative | None = None
    free_tier: bool = False
    free_gb_s: NotNegative = 0.0
    free_requests: NotNegative = 0.0


class ContainerPrice(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="container", tag_field="model"
):
    """A container billed by vCPU-seconds and GiB-seconds, as Google Cloud Run does, and by requests.

    With `billing = "request"` it pays while it starts or has a request, each stretch rounded up to `round_ms`; kept
    (minimum) instances pay the idle prices between requests. With "instance" it pays from start to end. The free
    amounts of a month count only with `free_tier`.
    """

    usd_per_vcpu_s: NotNegative
    usd_per_gib_s: NotNegative
    source: str
    as_of: date
    usd_per_million_requests: NotNegative = 0.0
    billing: Literal["request", "instance"] = "request"
    round_ms: Positive = 100.0
    idle_usd_per_vcpu_s: NotNegative | None = None
    idle_usd_per_gib_s: NotNegative | None = None
    free_tier: bool = False
    free_vcpu_s: NotNegative = 0.0
    free_gib_s: NotNegative = 0.0
    free_requests: NotNegative = 0.0


UsagePrice: TypeAlias = FunctionPrice | ContainerPrice
"""Prices of what a fleet uses, as against those of a machine."""
Price: TypeAlias = HourlyPrice | FunctionPrice | ContainerPrice


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Runtime + device + precision + launcher + limits + price. `name` is the file's stem.

    `options` are for the runtime, `conversion` for the conversions that make what this target loads. `lifecycle` is
    there where the launcher starts instances (`INSTANCES`).
    """

    name: str = ""
    description: str
    runtime: str
    device: str = "cpu"
    precision: str = "fp32"
    launcher: str = "process"
    python: str | None = None
    limits: Limits = Limits()
    lifecycle: Lifecycle | None = None
    options: dict[str, Option] = {}
    conversion: dict[str, Option] = {}
    price: Price | None = None

    @property
    def granted(self) -> Limits:
        """The limits that hold: with the CPU time that memory buys, where it buys some."""
        per_cpu = self.lifecycle.mib_per_cpu if self.lifecycle is not None else None
        if per_cpu is None or self.limits.memory_mib is None:
            return self.limits
        return msgspec.structs.replace(self.limits, cpus=self.limits.memory_mib / per_cpu)
