"""Samples a job's fast probes in a thread of the parent, each into a file of its own.

A job in rounds is looked after between its turns only, and a few times a second at most; a GPU is to be read more
often. The thread sleeps between samples, and what it calls into waits outside the interpreter lock.
"""

import threading
import time
from pathlib import Path

from harness.evidence.folder import TelemetryLog, telemetry_file
from harness.probes.base import Probes

_STOP_S = 5.0


class Sampler:
    """One thread for each fast probe of a job; none where there is no such probe. Raises OSError if a file fails."""

    def __init__(self, folder: Path, probes: Probes) -> None:
        self._probes, self._ending = probes, threading.Event()
        self._threads: list[threading.Thread] = []
        for name, period_s in probes.fast.items():
            log = TelemetryLog(folder, probes.columns_of(name), telemetry_file(name))
            run = threading.Thread(target=self._run, args=(name, period_s, log), daemon=True)
            self._threads.append(run)
            run.start()

    def _run(self, name: str, period_s: float, log: TelemetryLog) -> None:
        while True:
            begin = time.perf_counter_ns()
            values = self._probes.sample_of(name)
            log.add((begin, *values))
            spent_s = (time.perf_counter_ns() - begin) / 1e9
            if self._ending.wait(max(period_s / 2, period_s - spent_s)):
                break
        log.close()

    def stop(self) -> None:
        """Take no further samples."""
        self._ending.set()
        for thread in self._threads:
            thread.join(_STOP_S)
        self._threads.clear()
