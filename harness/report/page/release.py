"""The page of a release: the decision of each suite, what changed since the release before, where it is from."""

from collections.abc import Iterable
from pathlib import Path

from harness.evidence.files import write_whole
from harness.pipeline.release import Part, Release
from harness.report.commands import command
from harness.report.decision import counts, decide
from harness.report.markup import Html, el, joined
from harness.report.page.material import Section
from harness.report.page.page import document, section
from harness.report.page.parts import bullets, facts, table
from harness.report.release import since
from harness.report.verdicts import change
from harness.score.verdicts import Verdict
from harness.score.words import amount, short_name, text_of


def write_release_page(folder: Path, of: Release) -> None:
    """Write `index.html`. Raises EvidenceError if it cannot be written."""
    text = release_page(of)
    write_whole(folder / "index.html", lambda path: path.write_text(text, encoding="utf-8"))


def release_page(of: Release) -> str:
    """Return the page."""
    record = of.record
    against = "" if record.baseline is None else f"; compared with {record.baseline}"
    told = f"made {record.created} by harness {record.harness}{against}"
    head = el("header", el("h1", f"Release {record.version}"), el("p", told, class_="lead"), *map(_decision, of.parts))
    sections = [*map(_changes, of.parts), Section("provenance", "Provenance", joined(*map(_provenance, of.parts)))]
    return document(f"Release {record.version}", joined(head, *map(section, sections)))


def _decision(part: Part) -> Html:
    suite, decision = part.ranked.record.suite, decide(part.ranked.ranking)
    return el(
        "div",
        el("h2", el("a", suite.name, href=f"{suite.name}/report.html")),
        el("p", el("strong", decision.headline), " ", decision.detail),
        el("p", counts(part.ranked.ranking), class_="note"),
        el("p", since(part), class_="warning" if _alarms(part) else "note"),
        class_="decision",
    )


def _alarms(part: Part) -> bool:
    return part.comparison is not None and bool(part.comparison.regressions or part.comparison.broken)


def _changes(part: Part) -> Section:
    """Return what changed in a suite, what could not be told, and notes."""
    suite = part.ranked.record.suite.name
    title = f"{suite}: since the release before"
    if part.comparison is None:
        return Section(f"since-{suite}", title, el("p", since(part), class_="note"))
    verdicts = part.comparison.verdicts
    told = [each for word in ("worse", "better") for each in verdicts if each.verdict == word]
    open_ = [each for each in verdicts if each.verdict == "ambiguous"]
    folded = el("details", el("summary", f"{len(open_)} ambiguous"), _grid(open_)) if open_ else None
    rest = el("p", f"{len(verdicts) - len(told) - len(open_)} of {len(verdicts)} verdicts: the same.", class_="note")
    shown = _grid(told) if told else el("p", "Nothing became worse or better, as far as the evidence tells.")
    return Section(f"since-{suite}", title, joined(shown, folded, rest, bullets(map(text_of, part.comparison.notes))))


def _grid(verdicts: Iterable[Verdict]) -> Html:
    head = ("row", "verdict", "metric", "before", "now", "change [95 %]", "why")
    return table(head, map(_texts, verdicts))


def _texts(of: Verdict) -> list[str]:
    before, now = ("–" if value is None else amount(value, of.metric) for value in (of.base, of.new))
    return [of.row, of.verdict, short_name(of.metric), before, now, change(of), of.why]


def _provenance(part: Part) -> Html:
    record = part.ranked.record
    known = [("run", record.id), ("begun", record.created), ("seed", str(record.seed)), *part.reader.versions().items()]
    return joined(el("h3", record.suite.name), el("pre", command(record)), facts(known))
