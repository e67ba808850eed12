"""Warnings: for a disturbance that changes a row and for a warm-up that never ends, not for one that changes nothing.

A winner with a warning is named.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.evidence.files import read_array, save_array
from harness.evidence.folder import (
    LATENCY,
    SLICE_COLUMNS,
    SLICES,
    START,
    read_outcome,
    request_file,
    write_outcome,
)
from harness.launch.base import RunningJob, Terms
from harness.score.records import Ranking, Row
from harness.selftest.field import MEDIAN_MS, Plan, run
from harness.selftest.inline import InlineLauncher
from harness.selftest.records import Finding, Setting
from harness.spec.policy import Objective, Policy
from harness.spec.wire import Job, Trial

EVERY = 4
"""Every so many slices the host is slow: the calibration kernel takes twice its time."""
KERNEL_NS, TIMES, PER_SLICE = 60_000, 2, 20


class Host(NamedTuple):
    """A replayed host: whether it is slow in some slices, and how much longer requests take then."""

    slow: bool = False
    longer: float = 1.0


HOSTS = {"stolen": Host(True, 3.0), "shaken": Host(True), "creeping": Host(), "quiet": Host()}
WARNINGS = {"stolen": "disturbed", "shaken": "", "creeping": "not_steady", "quiet": ""}
"""The warning that each candidate is to get. The stolen one is scripted to win."""
BY_P90 = Policy(objectives={"latency_p90_ms": Objective(weight=1, target=MEDIAN_MS / 100, limit=MEDIAN_MS * 100)})


class KnownHost(InlineLauncher):
    """Does a job in this process, and leaves the evidence of a host whose disturbances are known."""

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Do the job, then replay the host."""
        done = super().start(folder, job, terms)
        if isinstance(job, Trial) and not job.fresh:
            replay(folder, job.scenarios[0].name, HOSTS[job.candidate.name])
        return done


def replay(folder: Path, window: str, host: Host) -> None:
    """Write what a host would have left: its slices, and the latencies of the requests inside the slow ones."""
    outcome = read_outcome(folder)
    latency, start = (np.array(read_array(folder / request_file(window, name))) for name in (LATENCY, START))
    place = np.arange(len(start)) // PER_SLICE
    slow = np.arange(place[-1] + 1) % EVERY == 0 if host.slow else np.zeros(place[-1] + 1, dtype=np.bool_)
    slices = np.zeros((len(slow), len(SLICE_COLUMNS)), dtype=np.int64)
    slices[:, 0] = start[::PER_SLICE]
    slices[:, 1] = [*(start[PER_SLICE::PER_SLICE] - 1), start[-1] + latency[-1]]
    slices[:, SLICE_COLUMNS.index("kernel_ns")] = np.where(slow, TIMES * KERNEL_NS, KERNEL_NS)
    longer = np.rint(latency * np.where(slow[place], host.longer, 1.0)).astype(np.int64)
    written = {
        SLICES: save_array(folder / SLICES, slices),
        request_file(window, LATENCY): save_array(folder / request_file(window, LATENCY), longer),
    }
    if outcome is not None:
        write_outcome(folder, msgspec.structs.replace(outcome, files=outcome.files | written))


def raised(setting: Setting) -> list[Finding]:
    """Replay known hosts under a suite of fakes, and read the warnings off the ranking."""
    sleeper = {"latency_ms": MEDIAN_MS, "sigma": 0.05}
    scripts = dict.fromkeys(HOSTS, sleeper)
    scripts |= {"stolen": sleeper | {"latency_ms": MEDIAN_MS / 10}, "creeping": sleeper | {"creep": 0.01}}
    plan = Plan(blocks=4, samples=400, policy=BY_P90, race="off")
    with setting.folder() as base:
        ranking = run(base, scripts, plan, setting.seed, KnownHost()).ranking
    right, named, of = sum(map(is_right, ranking.rows)), winner_is_named(ranking), len(WARNINGS)
    truth = f"a host slow in 1 of {EVERY} slices, requests ×{HOSTS['stolen'].longer:g} or as before; creeping; quiet"
    found = f"{right} of {of} rows have the right warnings; the winner with a warning is {'' if named else 'not '}named"
    return [Finding("noise warnings", truth, found, f"{of} rows, and the winner", right == of and named)]


def is_right(row: Row) -> bool:
    """Whether a row has its warning, and no other."""
    wanted = WARNINGS[row.candidate]
    return [each.code for each in row.warnings] == ([wanted] if wanted else [])


def winner_is_named(ranking: Ranking) -> bool:
    """Whether the stolen candidate is first, and a note says that it has a warning."""
    noted = {note.subject for note in ranking.notes if note.code == "winner_flagged"}
    return ranking.rows[0].candidate == "stolen" and "stolen@fake" in noted
