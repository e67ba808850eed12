"""`report.md`: the decision, the table, the reasons, the policy, the targets and the hosts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.analyse.reader import RunReader, open_run
from harness.analyse.seconds import seconds_by_purpose
from harness.analyse.waterfall import waterfall
from harness.evidence.files import write_whole
from harness.evidence.run import cells as all_cells
from harness.evidence.run import read_prepared
from harness.pipeline.conclude import RankedRun
from harness.report import cells
from harness.report.commands import with_commands
from harness.report.decision import counts, decide
from harness.report.footprint import footprint_cells
from harness.report.kept import kept
from harness.report.lists import host_lines, parity_line, policy_lines, target_line, variant_parts
from harness.report.sections import host_noise, limits, time_spent
from harness.report.waterfall import LEGEND as STARTS_LEGEND
from harness.report.waterfall import starts_cells, waterfall_lines
from harness.score.records import Ranking, Row
from harness.score.words import name_of, text_of
from harness.spec.policy import Policy
from harness.spec.variant import Variant

LEGEND = (
    f"Places are in order of the scores. Rows marked {cells.MAY_BE_BEST} may be the best. *Could be*: the ranks that a "
    "row could have; in 95 % of runs they are right for all rows at once. The bar draws them (░) with the place (█). "
    "n counts trials, each a process. Intervals are 95 %: percentiles over all requests, with trials as clusters; "
    "quality over dataset rows; all else over trials. `>x [≈y]`: too few requests for an upper end; y is the value so "
    "far."
)

_SUMMARY = ("winner_flagged", "ended", "weights_robust", "weights_matter")


def write_report(ranked: RankedRun, reader: RunReader | None = None) -> None:
    """Write `report.md` into the run's folder; `reader` has the run's evidence, where that was read already."""
    text = report(ranked, seconds_by_purpose(reader or open_run(ranked.folder)))
    write_whole(ranked.folder / "report.md", lambda path: path.write_text(text, encoding="utf-8"))


def report(ranked: RankedRun, seconds: Mapping[str, float] | None = None) -> str:
    """Return the report of a ranked run as Markdown; `seconds` is how the run's time was spent, by purpose."""
    record = ranked.record
    ranking = with_commands(ranked.ranking, ranked.folder.name, record.suite.budget.seconds)
    controls = [note for note in ranking.notes if note.code.startswith("control_")]
    parts = [
        f"# {record.suite.name}: {' '.join(record.suite.description.split())}",
        decision(ranking),
        _bullets(summary(ranking)),
        "## Ranking",
        ranking_grid(ranking, ranked.policy),
        LEGEND,
        *_titled("## Footprint", _footprint(ranking)),
        *_titled("## Cold starts", _starts(ranked)),
        *_titled("## Kept instances", kept(ranking)),
        "## Reasons",
        *(_row(row) for row in ranking.rows),
        "## Policy",
        _bullets(policy_lines(ranked.policy)),
        "## Notes",
        _bullets(text_of(note) for note in ranking.notes if note not in controls),
        *_titled("## Controls", _bullets(map(text_of, controls))),
        *_titled("## Host noise", host_noise(ranking)),
        *_titled("## How the time was spent", time_spent(seconds or {})),
        "## Targets",
        _bullets(f"`{target.name}`: {target_line(target)}" for target in record.targets),
        *_titled("## Limits", limits(ranked.folder, all_cells(record.suite, record.targets))),
        "## Variants",
        _variants(ranked.folder),
        "## Measured on",
        *(_host(facts, trials) for facts, trials in ranked.hosts),
        f"Run `{record.id}`, harness {record.harness}, seed {record.seed}, begun {record.created}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(title: str, text: str) -> tuple[str, ...]:
    return (title, text) if text else ()


def decision(ranking: Ranking) -> str:
    """Say which row should serve, or which may."""
    headline, detail = decide(ranking, lambda name: f"`{name}`")
    return f"**{headline}** {detail}".rstrip()


def summary(ranking: Ranking) -> list[str]:
    """Return what a reader must know beside the decision: how many rows, warnings of the best, how measuring ended."""
    told = [note for note in ranking.notes if note.code in _SUMMARY]
    return [
        f"{counts(ranking)}.",
        *(text_of(note) for note in sorted(told, key=lambda each: each.severity, reverse=True)),
    ]


def _footprint(ranking: Ranking) -> str:
    """Return the rows by memory; nothing where none was measured."""
    heads, rows = footprint_cells(ranking)
    return grid(heads, rows) if any(row.metrics for row in ranking.rows) else ""


def _starts(ranked: RankedRun) -> str:
    """Return the rows with cold starts, and a picture of each; nothing where there are none."""
    heads, rows = starts_cells(ranked.ranking)
    lives = {target.name: target.lifecycle for target in ranked.record.targets}
    pictures = [
        f"`{name_of(row)}`:\n\n```text\n" + "\n".join(lines) + "\n```"
        for row in ranked.ranking.rows
        if (lines := waterfall_lines(waterfall(row.metrics, lives.get(row.target))))
    ]
    return "\n\n".join([grid(heads, rows), f"{STARTS_LEGEND}.", *pictures]) if rows else ""


def ranking_grid(ranking: Ranking, policy: Policy) -> str:
    """Return the ranked table."""
    keys, of = cells.columns(ranking, policy), cells.places(ranking)
    metrics = (" ".join(cells.heading(key)).strip() for key in keys)
    head = ["#", "candidate", "target", "could be", *cells.ESTIMATES, *metrics, "status"]
    rows = []
    for row in ranking.rows:
        estimates = (text(row) for text in cells.ESTIMATES.values())
        values = (cells.value(row.metrics.get(key)) for key in keys)
        bar = cells.bar(row, of)
        could_be = f"{cells.ranks(row)} `{bar}`" if bar else cells.ranks(row)
        rows.append([cells.place(row), row.candidate, row.target, could_be, *estimates, *values, cells.status(row)])
    return grid(head, rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _row(row: Row) -> str:
    return f"### {row.candidate} on {row.target}\n\n{_bullets(map(text_of, row.reasons)) or '- nothing to say'}"


def _host(facts: Mapping[str, object], trials: int) -> str:
    return f"Trials on this host: {trials}\n\n" + _bullets(f"{name}: {value}" for name, value in host_lines(facts))


def _variants(folder: Path) -> str:
    """List what each cell ran: format, precision, conversions, size, digest, and parity with the original."""
    prepared = read_prepared(folder)
    made = prepared.cells.items() if prepared else ()
    return _bullets(f"`{name}`: {_variant(cell.variant)}" for name, cell in made if cell.variant is not None)


def _variant(variant: Variant) -> str:
    parts = [*variant_parts(variant), f"SHA-256 `{variant.digest[:16]}…`", parity_line(variant)]
    return "; ".join(filter(None, parts))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)
