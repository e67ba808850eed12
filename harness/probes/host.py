"""The host under a job: stolen and idle CPU time, load, CPU pressure, frequency, processes killed for memory."""

from collections.abc import Mapping, Sequence

import psutil

from harness.probes.base import number_after, read_text
from harness.spec.outcome import Fact


class HostProbe:
    """Counters of the whole machine since boot; differences over a job tell what others did to it."""

    columns: Mapping[str, str] = {
        "steal_s": "s",
        "idle_s": "s",
        "total_s": "s",
        "load_1m": "1",
        "cpu_pressure_us": "µs",
    }

    def unavailable(self) -> str | None:
        """Return None: every host says something."""
        return None

    def start(self, pids: Sequence[int]) -> None:
        """Do nothing: the host does not depend on the processes."""

    def sample(self) -> list[float | int | None]:
        """Read the host once."""
        waited_us = number_after("total=", "/proc/pressure/cpu")  # pressure stall information: some task waited
        return [*cpu_seconds(), round(psutil.getloadavg()[0], 2), waited_us]

    def facts(self) -> dict[str, Fact]:
        """Return the frequency of the first CPU where the host tells it."""
        khz = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").strip()
        return {"freq_mhz": int(khz) / 1000 if khz.isdigit() else None}


def cpu_seconds() -> tuple[float | None, float, float]:
    """Return (steal, idle, total) seconds of all CPUs together since boot; steal is None where it is not told."""
    times = psutil.cpu_times()
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice already
    idle = times.idle + getattr(times, "iowait", 0.0)
    return getattr(times, "steal", None), round(idle, 2), round(sum(times) - guest, 2)


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot."""
    return number_after("oom_kill ", "/proc/vmstat")
