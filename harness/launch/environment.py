"""What a job is granted on this host: threads, memory, environment variables; and the facts of the host."""

import math
import os
import platform
import time
from collections.abc import Mapping

import psutil

from harness.launch.instructions import instructions
from harness.probes.base import read_text
from harness.spec.target import Limits
from harness.spec.wire import PARENT_VARIABLE, Fact, Resources

GUARD_FRACTION = 0.8
"""A job without a memory limit gets this fraction of the memory that is free when it starts."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def grant(limits: Limits) -> Resources:
    """Decide a job's resources on this host: threads = min(affinity, ceil(cpus)), memory as limited or guarded."""
    cpus = len(os.sched_getaffinity(0))
    threads = cpus if limits.cpus is None else min(cpus, math.ceil(limits.cpus))
    applied = {} if limits.cpus is None else {"cpus": f"not enforced; {threads} threads"}
    if limits.memory_mib is None:
        memory = int(psutil.virtual_memory().available * GUARD_FRACTION)
    else:
        memory = limits.memory_mib << 20
        applied["memory_mib"] = "RLIMIT_DATA"
    return Resources(threads=threads, memory_limit_bytes=memory, limits=applied)


def environment(base: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the child's environment: `base`, its parent, and the thread counts that libraries read at import."""
    env = {**base, PARENT_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    return env | {name: str(threads) for name in _THREAD_VARIABLES}


def host_facts() -> dict[str, Fact]:
    """Describe this host: what its numbers must be read with."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "instructions": instructions(),
        "cpus": os.cpu_count(),
        "affinity": len(os.sched_getaffinity(0)),
        "memory_mib": psutil.virtual_memory().total >> 20,
        "python": platform.python_version(),
        "clock": time.get_clock_info("perf_counter").implementation,
    }


def _cpu_model() -> str | None:
    _, found, rest = read_text("/proc/cpuinfo").partition("model name")
    return rest.partition(":")[2].partition("\n")[0].strip() if found else None
