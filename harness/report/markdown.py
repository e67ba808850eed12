"""`report.md`: the decision, the table, how it was measured, and what it was measured on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.report import cells
from harness.runs import RunRecord
from harness.score.records import Ranking, Row
from harness.score.words import short_name
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.spec.target import Target


def report(record: RunRecord, ranking: Ranking, policy: Policy) -> str:
    """Return the report of a run as Markdown."""
    parts = [
        f"# {record.suite.name}: {' '.join(record.suite.description.split())}",
        _decision(ranking),
        "## Ranking",
        _ranking(ranking, policy),
        "n counts trials, each a fresh process; intervals are 95 % over trials (accuracy: over dataset rows). "
        "`=` marks rows that cannot be told apart; in brackets are the ranks the row may truly have.",
        "## Every row, in words",
        *(_row(row) for row in ranking.rows),
        "## Policy",
        _policy(policy),
        "## Notes",
        _bullets(ranking.notes),
        "## Targets",
        _bullets(_target(target) for target in record.targets),
        "## Measured on",
        _bullets(f"{key}: {value}" for key, value in record.host.items()),
        f"Run `{record.id}`, harness {record.harness}, seed {record.seed}, begun {record.created}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _decision(ranking: Ranking) -> str:
    first = [row for row in ranking.rows if row.rank == 1]
    if not first:
        return "**No row is eligible.** The reasons stand with each row."
    names = ", ".join(f"`{row.candidate}` on `{row.target}`" for row in first)
    if len(first) > 1:
        return f"**These cannot be told apart as the best: {names}.**"
    sure = f", P(best) = {cells.best(first[0])}" if first[0].p_best is not None else ""
    return f"**{names} should serve**{sure}."


def _ranking(ranking: Ranking, policy: Policy) -> str:
    keys = cells.columns(ranking, policy)
    head = [
        "#",
        "candidate",
        "target",
        "n",
        "score",
        "P(best)",
        *(" ".join(cells.heading(key)).strip() for key in keys),
        "status",
    ]
    rows = [
        [
            cells.rank(row),
            row.candidate,
            row.target,
            cells.trials(row),
            cells.score(row),
            cells.best(row),
            *(cells.value(row.metrics.get(key)) for key in keys),
            cells.status(row),
        ]
        for row in ranking.rows
    ]
    return grid(head, rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escaped(text) for text in line) + " |" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _row(row: Row) -> str:
    reasons = _bullets([*row.reasons, *row.remarks])
    return f"### {row.candidate} on {row.target}\n\n{reasons or '- nothing to say'}"


def _policy(policy: Policy) -> str:
    limits = [
        f"limit: {short_name(key)} "
        + " and ".join(
            f"at {word} {bound:g}" for word, bound in (("least", x.min), ("most", x.max)) if bound is not None
        )
        for key, x in policy.limits.items()
    ]
    objectives = [
        f"objective: {short_name(key)}, weight {x.weight if x.weight is not None else 'by order'}, "
        f"1 at {x.target:g}, 0 at {x.limit:g} {lookup(key).unit}".rstrip()
        for key, x in policy.objectives.items()
    ]
    return _bullets([*limits, *objectives])


def _target(target: Target) -> str:
    text = f"`{target.name}`: {target.description}"
    if target.price is not None:
        p = target.price
        text += f"; {p.usd_per_hour} USD/h at {p.utilisation:.0%} utilisation ({p.source}, {p.as_of})"
    return text


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)
