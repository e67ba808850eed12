"""The environment variables of a job, and the facts of the host that it runs on."""

import os
import platform
import time
from collections.abc import Mapping

import psutil

from harness.launch.instructions import instructions
from harness.probes.base import read_text
from harness.spec.outcome import Fact
from harness.spec.wire import PARENT_VARIABLE

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


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
