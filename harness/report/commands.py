"""Commands as they are typed: what settles an undecided run, what repeats a run."""

import math
import shlex
from pathlib import PurePath

import msgspec

from harness.evidence.run import RunRecord
from harness.score.records import Ranking
from harness.spec.diagnostics import Diagnostic

_CODES = ("undecided", "rows_undecided")


def notes_with_command(ranking: Ranking, run: str, budget_s: float) -> Ranking:
    """Return the ranking with the command that measures on, after the note on what is undecided.

    `run` names the run's folder as it is typed; `budget_s` is what the run was given.
    """
    return msgspec.structs.replace(ranking, notes=tuple(_told(each, run, budget_s) for each in ranking.notes))


def with_commands(ranking: Ranking, run: str, budget_s: float) -> Ranking:
    """Return the ranking with the command also after each undecided row's open questions."""
    rows = tuple(
        row
        if row.status != "undecided"
        else msgspec.structs.replace(row, reasons=tuple(_told(each, run, budget_s) for each in row.reasons))
        for row in ranking.rows
    )
    return msgspec.structs.replace(notes_with_command(ranking, run, budget_s), rows=rows)


def command(record: RunRecord) -> str:
    """Return the command that measures the same again: suite or models, targets, budget, seed.

    What describes the inputs of bare models is in `run.json`.
    """
    suite, words = record.suite, ["harness", "run"]
    if record.synthetic_policy:
        words += [each.path or each.name for each in suite.candidate]
    else:
        file = PurePath(record.suite_file)
        words.append(file.stem if file.parent.name == "suites" else record.suite_file)
    for target in record.targets:
        words += ["--target", target.name]
    flags = {"--exhaustive": suite.budget.race == "off", "--controls": record.controls, "--quick": record.quick}
    words += [flag for flag, given in flags.items() if given]
    words += ["--budget", f"{suite.budget.seconds:g}s", "--seed", str(record.seed)]
    return " ".join(map(shlex.quote, words))


def _told(of: Diagnostic, run: str, budget_s: float) -> Diagnostic:
    minutes = of.data.get("minutes")
    if of.code not in _CODES or not isinstance(minutes, int | float):
        return of
    budget = _as_option(budget_s + 60 * minutes)
    return msgspec.structs.replace(of, message=f"{of.message}: harness run --resume {run} --budget {budget}")


def _as_option(seconds: float) -> str:
    """Write a budget as it is typed: `90s`, `9m`; rounded up."""
    return f"{math.ceil(seconds)}s" if seconds <= 90 else f"{math.ceil(seconds / 60)}m"
