"""Noise flags: trials under steal, beside other work, or never steady are flagged, a winner among them too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from harness.score.records import Ranking
from harness.selftest.field import MEDIAN_MS, Plan, run
from harness.selftest.inline import run_inline
from harness.selftest.records import Finding, Setting
from harness.spec.wire import Job, Outcome, Trial
from harness.trial.watch import COLUMNS, View

TICKS = 1_000  # of the whole host, during each trial


class Host(NamedTuple):
    """What a replayed host does during a trial, in ticks of `TICKS`; half of the rest is the child's."""

    steal: int
    others: int


QUIET = Host(steal=5, others=150)
HOSTS = {"stolen": Host(30, 0), "crowded": Host(0, 400), "creeping": QUIET, "quiet": QUIET}
FLAGS = {"stolen": "steal", "crowded": "other work on the machine", "creeping": "not steady", "quiet": ""}
"""What each candidate is to be flagged for. The stolen one is scripted to win."""


def raised(setting: Setting) -> list[Finding]:
    """Replay known hosts under a suite of fakes, and read the flags off the ranking."""
    sleeper = {"latency_ms": MEDIAN_MS, "sigma": 0.05}
    scripts = {
        "stolen": {**sleeper, "latency_ms": MEDIAN_MS / 2},
        "crowded": sleeper,
        "creeping": {**sleeper, "creep": 0.001},
        "quiet": sleeper,
    }
    with setting.folder() as base:
        ranking = run(base, scripts, Plan(blocks=3, samples=400, race="off"), setting.seed, on_known_host).ranking
    right = sum(is_right(row.candidate, row.flags) for row in ranking.rows)
    said = winner_is_called_flagged(ranking)
    return [
        Finding(
            "noise flags",
            f"{_share('stolen', 'steal')} stolen; {_share('crowded', 'others')} used by others; latency creeps; "
            f"{_share('quiet', 'steal')} and {_share('quiet', 'others')}",
            f"{right} of {len(FLAGS)} rows flagged (or not) as is right; the flagged winner is "
            f"{'' if said else 'not '}called so",
            f"{len(FLAGS)} rows, and the winner",
            right == len(FLAGS) and said,
        )
    ]


def on_known_host(folder: Path, job: Job, **how: Any) -> Outcome:
    """Do the job in this process, and leave the telemetry of a host whose noise is known."""
    outcome = run_inline(folder, job, **how)
    if isinstance(job, Trial):
        rows = (View.csv(view) for view in views(HOSTS[job.candidate.name]))
        (folder / "telemetry.csv").write_text(",".join(COLUMNS) + "\n" + "".join(rows), encoding="ascii")
    return outcome


def views(host: Host) -> list[View]:
    """Give a look at the beginning of a trial and one at its end."""
    child = (TICKS - host.steal - host.others) // 2
    idle = TICKS - host.steal - host.others - child
    nothing = View(0, None, None, 0, None, 0, 0, 0, None, None, None)
    after = nothing._replace(
        t_ns=5_000_000_000,
        cpu_ticks=child,
        host_steal_ticks=host.steal,
        host_idle_ticks=idle,
        host_total_ticks=TICKS,
    )
    return [nothing, after]


def is_right(candidate: str, flags: tuple[str, ...]) -> bool:
    """Whether a row bears its flag in every trial, and no other."""
    wanted = FLAGS[candidate]
    if not wanted:
        return not flags
    return len(flags) == 1 and flags[0].startswith(wanted) and flags[0].endswith("3 of 3 trials")


def winner_is_called_flagged(ranking: Ranking) -> bool:
    """Whether the stolen candidate is first, and a note says that it is flagged."""
    first = ranking.rows[0].candidate
    return first == "stolen" and any("winner is flagged: stolen@fake" in note for note in ranking.notes)


def _share(name: str, of: str) -> str:
    return f"{getattr(HOSTS[name], of) / TICKS:.1%}"
