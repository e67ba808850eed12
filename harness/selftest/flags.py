"""Warnings: trials under steal, beside other work, or never steady get one, and a winner with one is named."""

from pathlib import Path
from typing import NamedTuple

from harness.evidence.folder import TelemetryLog
from harness.launch.base import RunningJob, Terms
from harness.score.records import Ranking, Row
from harness.selftest.field import MEDIAN_MS, Plan, run
from harness.selftest.inline import InlineLauncher
from harness.selftest.records import Finding, Setting
from harness.spec.wire import Job, Trial

SECONDS = 10.0
"""CPU time of the whole replayed host during each trial."""


class Host(NamedTuple):
    """What a replayed host does during a trial, as fractions of `SECONDS`; half of the rest is the child's."""

    steal: float
    others: float


QUIET = Host(steal=0.005, others=0.15)
HOSTS = {"stolen": Host(0.03, 0.0), "crowded": Host(0.0, 0.4), "creeping": QUIET, "quiet": QUIET}
WARNINGS = {"stolen": "steal", "crowded": "other_work", "creeping": "not_steady", "quiet": ""}
"""The warning that each candidate is to get. The stolen one is scripted to win."""


class KnownHost(InlineLauncher):
    """Does a job in this process, and leaves the telemetry of a host whose noise is known."""

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Do the job, then replay the host."""
        done = super().start(folder, job, terms)
        if isinstance(job, Trial):
            replay(folder, HOSTS[job.candidate.name])
        return done


def replay(folder: Path, host: Host) -> None:
    """Write two rows of telemetry: the beginning of a trial on this host, and its end."""
    child = idle = (1.0 - host.steal - host.others) / 2
    log = TelemetryLog(folder, ("process.cpu_s", "host.steal_s", "host.idle_s", "host.total_s"))
    log.add((0, 0.0, 0.0, 0.0, 0.0))
    log.add((5_000_000_000, *(SECONDS * part for part in (child, host.steal, idle, 1.0))))
    log.close()


def raised(setting: Setting) -> list[Finding]:
    """Replay known hosts under a suite of fakes, and read the warnings off the ranking."""
    sleeper = {"latency_ms": MEDIAN_MS, "sigma": 0.05}
    scripts = dict.fromkeys(HOSTS, sleeper)
    scripts |= {"stolen": sleeper | {"latency_ms": MEDIAN_MS / 2}, "creeping": sleeper | {"creep": 0.001}}
    with setting.folder() as base:
        ranking = run(base, scripts, Plan(blocks=3, samples=400, race="off"), setting.seed, KnownHost()).ranking
    right, named, of = sum(map(is_right, ranking.rows)), winner_is_named(ranking), len(WARNINGS)
    truth = f"{HOSTS['stolen'].steal:.1%} stolen; {HOSTS['crowded'].others:.1%} used by others; latency creeps; "
    truth += f"{QUIET.steal:.1%} and {QUIET.others:.1%}"
    found = f"{right} of {of} rows have the right warnings; the winner with a warning is {'' if named else 'not '}named"
    return [Finding("noise warnings", truth, found, f"{of} rows, and the winner", right == of and named)]


def is_right(row: Row) -> bool:
    """Whether a row has its warning for every trial, and no other."""
    wanted = WARNINGS[row.candidate]
    return [(each.code, each.data["affected"]) for each in row.warnings] == ([(wanted, 3)] if wanted else [])


def winner_is_named(ranking: Ranking) -> bool:
    """Whether the stolen candidate is first, and a note says that it has a warning."""
    noted = {note.subject for note in ranking.notes if note.code == "winner_flagged"}
    return ranking.rows[0].candidate == "stolen" and "stolen@fake" in noted
