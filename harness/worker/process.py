"""The child's own process: it ends with its parent, keeps to its limits, and reads what it has used."""

import ctypes
import gc
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.spec.wire import PARENT_VARIABLE, GroupFiles, Resources

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that a killed run leaves no child behind.

    A parent that died before this was asked for is found by its absence; it left its id in the environment.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is not None and not _alive(parent):
        os._exit(1)


def _alive(process: str) -> bool:
    """Whether a process runs: it is there, and not a zombie that nobody has reaped yet."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def enter(cgroups: Iterable[str]) -> None:
    """Enter cgroups by their files; this process, which has one thread, ends where it may not."""
    for file in cgroups:
        try:
            Path(file).write_text("0", encoding="ascii")
        except OSError as error:
            print(f"cannot enter {file}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201 - to worker.log
            os._exit(os.EX_OSERR)


def limit_memory(limit_bytes: int | None) -> None:
    """Bound private writable memory by RLIMIT_DATA (private mappings count since Linux 4.7)."""
    if limit_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def limit_above_baseline(resources: Resources) -> int | None:
    """Limit memory to what is held now and `above_baseline_bytes` more; returns the limit (bytes), None without one.

    Held is what the process's own cgroup is charged, else its private writable memory (VmData), which is what
    RLIMIT_DATA counts. Raises OSError where the limit cannot be set.
    """
    more, files = resources.above_baseline_bytes, resources.group
    if more is None:
        return None
    if not files.memory_limits:
        limit = (memory_bytes("VmData") or 0) + more
        limit_memory(limit)
        return limit
    limit = int(Path(files.memory_now).read_text(encoding="ascii")) + more
    for file in files.memory_limits:
        Path(file).write_text(str(limit), encoding="ascii")
    return limit


def charged(files: GroupFiles) -> dict[str, int | None]:
    """Return what the process's own cgroup was charged, by field of `Memory`; nothing where it has none."""
    if not files.memory_stat:
        return {}
    stat = dict(line.split()[:2] for line in _text(files.memory_stat).splitlines() if len(line.split()) > 1)
    anon, file = (stat.get(new, stat.get(old)) for new, old in (("anon", "rss"), ("file", "cache")))
    counts = {
        "charged_bytes": _text(files.memory_peak).strip(),
        "charged_anon_bytes": anon,
        "charged_file_bytes": file,
    }
    return {name: int(count) if count and count.isdigit() else None for name, count in counts.items()}


def _text(file: str) -> str:
    with suppress(OSError):
        return Path(file).read_text(encoding="ascii")
    return ""


def memory_bytes(field: str) -> int | None:
    """Return a field of /proc/self/status (VmRSS, VmHWM, RssAnon) in bytes; None where /proc has none."""
    return _kib_of("/proc/self/status", field)


def pss_bytes() -> int | None:
    """Return the proportional set size in bytes: a page that n processes share counts as 1/n; None if not known."""
    return _kib_of("/proc/self/smaps_rollup", "Pss")


def _kib_of(file: str, field: str) -> int | None:
    with suppress(OSError):
        for line in Path(file).read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None


def use_cpus(cpus: tuple[int, ...] | None) -> None:
    """Keep this process, and the threads it will start, to these CPUs."""
    if cpus:
        with suppress(OSError):  # they are not given to this process here: it runs where it may
            os.sched_setaffinity(0, cpus)


def usage() -> Counter[str]:
    """Return this process's totals so far, by field of `SchedulingCounters`."""
    now = resource.getrusage(resource.RUSAGE_SELF)
    switches = {"voluntary_switches": now.ru_nvcsw, "involuntary_switches": now.ru_nivcsw}
    return Counter(switches | {"minor_faults": now.ru_minflt, "major_faults": now.ru_majflt})


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the garbage collector out of the measured windows."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
