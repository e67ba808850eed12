"""Verdicts on a terminal and in Markdown: the headline, what moved, what could not be told, what differs beside it."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.evidence.files import write_json, write_whole
from harness.score.regress import SAME_ALPHA
from harness.score.verdicts import Comparison, RowChange, Verdict, counted
from harness.score.words import amount, listed, percent, short_name, text_of

_STYLES = {"worse": "bold red", "better": "green", "same": "", "ambiguous": "yellow"}
_ORDER = ("worse", "better", "ambiguous", "same")
_MOST = 40
_BASIS = {
    "paired": "side by side",
    "runs": "base runs",
    "stated": "stated noise",
    "assumed": "assumed noise",
    "rows": "dataset rows",
    "exact": "exact",
}
_HEADINGS = ("verdict", "row", "metric", "base", "new", "change [95 %]", "p (Holm)", "same up to", "n", "known from")


def verdict_table(found: Comparison) -> RenderableType:
    """Return the headline, the verdicts and the notes; what is the same is only counted where there is much."""
    shown = _shown(found.verdicts)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("verdict", "row", "metric", "known from") else "right")
    for verdict in shown:
        table.add_row(*map(escape, _texts(verdict)), style=_STYLES[verdict.verdict])
    rest = len(found.verdicts) - len(shown)
    more = (
        [Text(f"· not shown: {rest} of {len(found.verdicts)} verdicts; all are in compare.md", style="dim")]
        if rest
        else []
    )
    style = "bold red" if found.regressions or found.broken else "bold"
    notes = [Text(f"· {note}", style="dim") for note in (*_rows(found.rows), *map(text_of, found.notes))]
    return Group(Text(headline(found), style=style), *([table] if shown else []), *more, *notes)


def headline(found: Comparison) -> str:
    """Say in one sentence whether something got worse."""
    counts = counted(found.verdicts)
    tally = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no verdicts"
    again = sum(each.confirmed is not None for each in found.verdicts)
    told = f"{tally}; {again} suspect{'' if again == 1 else 's'} measured again" if again else tally
    if found.broken:
        return f"regression: {listed(row.row for row in found.broken)} ran in the base and fails now ({told})"
    if not found.regressions:
        return f"no regression told ({told})"
    first = min(found.regressions, key=lambda each: each.p if each.p is not None else 1.0)
    confirmed = " confirmed" if first.confirmed else ""
    rows = listed(dict.fromkeys(each.row for each in found.regressions))
    return f"regression{confirmed}: {rows}; {short_name(first.metric)} of {first.row} {change(first)} ({told})"


def change(verdict: Verdict) -> str:
    """Write a change with its interval: `+5.1 % [+4.0, +6.2]`, or a difference in the metric's unit."""
    if verdict.change is None:
        return "not known"
    factor, unit = (100.0, " %") if verdict.relative else (1.0, f" {verdict.unit}".rstrip())
    digits = ".1f" if verdict.relative else ".3g"
    text = f"{factor * verdict.change:+{digits}}{unit}"
    if verdict.low is None or verdict.high is None or verdict.low == verdict.high:
        return text
    return f"{text} [{factor * verdict.low:+{digits}}, {factor * verdict.high:+{digits}}]"


def markdown(found: Comparison) -> str:
    """Return the comparison as Markdown, for a job's page or a pull request."""
    parts = [
        f"# {found.suite}: compared with the base",
        f"**{headline(found)}**",
        _markdown_table(_sorted([each for each in found.verdicts if each.verdict != "same"])),
        _folded("What is the same", _markdown_table([each for each in found.verdicts if each.verdict == "same"])),
        _bullets([*_rows(found.rows), *map(text_of, found.notes)]),
        f"“Worse” and “better” hold for all {len(found.verdicts)} verdicts at once (Holm, {percent(found.alpha)}) and "
        f"are beyond the margin; “same” is within it (two one-sided tests at {percent(SAME_ALPHA)} each). The rest is "
        "ambiguous.",
        f"Base: {', '.join(f'`{base}`' for base in found.base)}. New: `{found.new}`."
        + (f" Measured again: `{found.again}`." if found.again else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_comparison(folder: Path, found: Comparison) -> None:
    """Write compare.json and compare.md into a run's folder."""
    write_json(folder / "compare.json", found)
    write_whole(folder / "compare.md", lambda path: path.write_text(markdown(found), encoding="utf-8"))


def _shown(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts of a table: all where they are few, else what is not the same, worst first."""
    found = _sorted(verdicts)
    if len(found) > _MOST:
        found = [each for each in found if each.verdict != "same"]
    return found[:_MOST]


def _sorted(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda each: (_ORDER.index(each.verdict), each.p if each.p is not None else 1.0))


def _texts(verdict: Verdict) -> list[str]:
    """Return the texts of a line."""
    word: str = verdict.verdict
    if verdict.confirmed is not None:
        word += ", confirmed" if verdict.confirmed else " again"
    p = "–" if verdict.p_adjusted is None else "<1e-6" if verdict.p_adjusted < 1e-6 else f"{verdict.p_adjusted:.2g}"
    margin = f"{100 * verdict.margin:g} %" if verdict.relative else f"{verdict.margin:g} {verdict.unit}".rstrip()
    base, new = (_amount(value, verdict.metric) for value in (verdict.base, verdict.new))
    return [
        word,
        verdict.row,
        short_name(verdict.metric),
        base,
        new,
        change(verdict),
        p,
        margin,
        str(verdict.n),
        _BASIS[verdict.basis],
    ]


def _amount(value: float | None, key: str) -> str:
    return "–" if value is None else amount(value, key)


def _markdown_table(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *(_texts(each) for each in verdicts)]
    return "\n".join(
        f"| {' | '.join(text.replace('|', '&#124;').replace('<', '&lt;') for text in line)} |" for line in lines
    )


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if text else ""


def _rows(rows: Sequence[RowChange]) -> list[str]:
    """Say what became of rows that only one of the runs has, or that stopped running."""
    found = [f"{row.row} ran in the base and fails now: {' '.join(row.why.split())}" for row in rows if row.broken]
    gone = [row.row for row in rows if row.new == "absent" and row.base not in ("failed", "skipped")]
    new = [row.row for row in rows if row.base == "absent" and row.new not in ("failed", "skipped")]
    skipped = [row.row for row in rows if row.new == "skipped" and row.base not in ("failed", "skipped", "absent")]
    found += [f"not in the new run: {listed(gone, most=9)}"] if gone else []
    found += [f"not in the base: {listed(new, most=9)}"] if new else []
    found += [f"warning: ran in the base, and was skipped now: {listed(skipped, most=9)}"] if skipped else []
    return found


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(line.split()).replace('<', '&lt;')}" for line in lines)
