"""`report.md`: the decision, the table, the reasons, the policy, the targets and the hosts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.evidence.files import write_whole
from harness.evidence.run import read_prepared
from harness.pipeline.conclude import RankedRun
from harness.report import cells
from harness.score.records import Ranking, Row
from harness.score.words import short_name, text_of
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.spec.target import Target
from harness.spec.variant import Variant


def write_report(ranked: RankedRun) -> None:
    """Write `report.md` into the run's folder."""
    text = report(ranked)
    write_whole(ranked.folder / "report.md", lambda path: path.write_text(text, encoding="utf-8"))


def report(ranked: RankedRun) -> str:
    """Return the report of a ranked run as Markdown."""
    record, ranking = ranked.record, ranked.ranking
    parts = [
        f"# {record.suite.name}: {' '.join(record.suite.description.split())}",
        _decision(ranking),
        "## Ranking",
        _ranking(ranking, ranked.policy),
        "n counts trials, each a fresh process; intervals are 95 % over trials (quality: over dataset rows). "
        "`=` marks rows that are not significantly different; in brackets is the interval of the rank.",
        "## Reasons",
        *(_row(row) for row in ranking.rows),
        "## Policy",
        _policy(ranked.policy),
        "## Notes",
        _bullets(map(text_of, ranking.notes)),
        "## Targets",
        _bullets(_target(target) for target in record.targets),
        "## Variants",
        _variants(ranked.folder),
        "## Measured on",
        *(_host(facts, trials) for facts, trials in ranked.hosts),
        f"Run `{record.id}`, harness {record.harness}, seed {record.seed}, begun {record.created}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _decision(ranking: Ranking) -> str:
    first = [row for row in ranking.rows if row.rank == 1]
    if not first:
        return "**No row is eligible.** See the reasons of each row."
    names = ", ".join(f"`{row.candidate}` on `{row.target}`" for row in first)
    if len(first) > 1:
        return f"**Several rows may be the best and are not significantly different: {names}.**"
    sure = f", P(best) = {cells.best(first[0])}" if first[0].p_best is not None else ""
    return f"**{names} should serve**{sure}."


def _ranking(ranking: Ranking, policy: Policy) -> str:
    keys = cells.columns(ranking, policy)
    metrics = (" ".join(cells.heading(key)).strip() for key in keys)
    head = ["#", "candidate", "target", *cells.ESTIMATES, *metrics, "status"]
    rows = []
    for row in ranking.rows:
        estimates = (text(row) for text in cells.ESTIMATES.values())
        values = (cells.value(row.metrics.get(key)) for key in keys)
        rows.append([cells.rank(row), row.candidate, row.target, *estimates, *values, cells.status(row)])
    return grid(head, rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _row(row: Row) -> str:
    return f"### {row.candidate} on {row.target}\n\n{_bullets(map(text_of, row.reasons)) or '- no reasons'}"


def _host(facts: Mapping[str, object], trials: int) -> str:
    return f"Trials on this host: {trials}\n\n" + _bullets(f"{key}: {value}" for key, value in facts.items())


def _policy(policy: Policy) -> str:
    lines = []
    for key, limit in policy.limits.items():
        ends = (("least", limit.min), ("most", limit.max))
        bounds = " and ".join(f"at {word} {bound:g}" for word, bound in ends if bound is not None)
        lines.append(f"limit: {short_name(key)} {bounds}")
    for key, x in policy.objectives.items():
        weight = "by order" if x.weight is None else x.weight
        scale = f"1 at {x.target:g}, 0 at {x.limit:g} {lookup(key).unit}".rstrip()
        lines.append(f"objective: {short_name(key)}, weight {weight}, {scale}")
    return _bullets(lines)


def _target(target: Target) -> str:
    text = f"`{target.name}`: {target.description}"
    if (p := target.price) is None:
        return text
    return f"{text}; {p.usd_per_hour} USD/h at {p.utilisation:.0%} utilisation ({p.source}, {p.as_of})"


def _variants(folder: Path) -> str:
    """List what each cell ran: format, precision, conversions, size, digest, and parity with the original."""
    prepared = read_prepared(folder)
    made = prepared.cells.items() if prepared else ()
    return _bullets(f"`{name}`: {_variant(cell.variant)}" for name, cell in made if cell.variant is not None)


def _variant(variant: Variant) -> str:
    parts = [f"{variant.format} in {variant.precision}, by {', '.join(variant.steps)}" if variant.steps else "as given"]
    parts += [f"{variant.bytes:,} bytes"] if variant.bytes is not None else []
    parts += [f"SHA-256 `{variant.digest[:16]}…`"]
    if (parity := variant.parity) is not None:
        same = "" if parity.top1_agreement is None else f", the same top-1 class in {parity.top1_agreement:.2%}"
        parts += [f"differs from its original by at most {parity.max_abs_diff:.2g}{same} ({parity.rows} rows)"]
    return "; ".join(parts)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)
