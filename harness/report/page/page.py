"""The whole page: head, sections, one stylesheet, one script; and `report.html` in the run's folder."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from harness.analyse.reader import RunReader
from harness.evidence.files import write_whole
from harness.pipeline.conclude import RankedRun
from harness.report.decision import counts, decide
from harness.report.markup import Html, data, el, joined
from harness.report.page.latency import latency_section
from harness.report.page.load import load_section
from harness.report.page.material import Material, Section, gathered
from harness.report.page.memory import memory_section
from harness.report.page.provenance import provenance_section
from harness.report.page.quality import quality_section
from harness.report.page.ranked import ranked_section
from harness.report.page.remarks import remarks_section
from harness.report.page.starts import starts_section
from harness.report.page.tradeoffs import tradeoffs_section
from harness.report.page.weights import weights_section

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    ranked_section,
    tradeoffs_section,
    latency_section,
    load_section,
    starts_section,
    memory_section,
    quality_section,
    weights_section,
    remarks_section,
    provenance_section,
)
"""The sections in their order; one that has nothing to show returns None."""
_ALLOWED = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def write_page(ranked: RankedRun, reader: RunReader) -> Path:
    """Write `report.html` into the run's folder. Raises EvidenceError if it cannot be, or if evidence is damaged."""
    path, text = ranked.folder / "report.html", page(gathered(ranked, reader))
    write_whole(path, lambda whole: whole.write_text(text, encoding="utf-8"))
    return path


def page(of: Material) -> str:
    """Return the page of a run."""
    found = [each for make in SECTIONS if (each := make(of)) is not None]
    names = data("names", [line.name for line in of.lines])
    body = joined(_head(of), _contents(found), *map(section, found), names)
    return document(f"{of.ranked.record.suite.name}: {of.ranked.record.id}", body)


def document(title: str, body: Html) -> str:
    """Return an HTML document that loads nothing and runs no script but the page's own."""
    style, script = (resources.files(__package__).joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", http_equiv="Content-Security-Policy", content=_ALLOWED.format(digest)),
        el("title", title),
        el("style", Html(style)),
    )
    whole = el("html", head, el("body", el("main", body), el("script", Html(script))), lang="en")
    return f"<!doctype html>\n{whole}\n"


def _head(of: Material) -> Html:
    suite, decision = of.ranked.record.suite, decide(of.ranking)
    flagged = [note.message for note in of.ranking.notes if note.code == "winner_flagged"]
    return el(
        "header",
        el("h1", suite.name),
        el("p", " ".join(suite.description.split()), class_="lead"),
        el(
            "div",
            el("p", el("strong", decision.headline), " ", decision.detail),
            el("p", counts(of.ranking), class_="note"),
            *(el("p", f"⚠ {text}", class_="warning") for text in flagged),
            class_="decision",
            id="decision",
        ),
    )


def _contents(sections: Sequence[Section]) -> Html:
    return el("nav", *(el("a", each.title, href=f"#{each.id}") for each in sections), aria_label="Sections")


def section(of: Section) -> Html:
    """Return a section as HTML."""
    return el("section", el("h2", of.title), of.body, id=of.id)
