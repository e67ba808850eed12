"""Cold starts: those of an emulated platform, and what a fresh process here spends its time on."""

from collections.abc import Iterable, Mapping

from harness.analyse.fresh import Step, steps
from harness.analyse.waterfall import Bar, waterfall
from harness.report import cells
from harness.report.markup import Html, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import bullets, figure, figures, table
from harness.report.plots import bars
from harness.report.plots.bars import Span
from harness.score.records import Measure
from harness.score.words import number

_MOST = 12
_AFTER = ("second", "total")
_PLATFORM = (
    "Cold starts on emulated platforms: the median of each phase up to the first response. Thin lines: 95 % interval "
    "of a phase's median, over starts."
)
_FRESH = (
    "Processes started anew on this host: the median of each step up to the first inference. Thin lines: 95 % interval "
    "of a step's median, where six starts or more were measured."
)


def starts_section(of: Material) -> Section | None:
    """Return the waterfalls and their numbers; None where no fresh process was measured."""
    parts = [*_platform(of), *_fresh(of)]
    said = bullets(note.message for note in of.ranking.notes if note.code == "not_emulated")
    return Section("starts", "Cold start", joined(said, *parts)) if parts else None


def _platform(of: Material) -> list[Html]:
    """Return the cold starts of rows on platforms: where medians fall, and percentiles of each phase."""
    lives = {target.name: target.lifecycle for target in of.ranked.record.targets}
    rows = ((line, of.row(line)) for line in of.lines)
    found = {line.row: told for line, row in rows if (told := waterfall(row.metrics, lives.get(row.target)))}
    if not found:
        return []
    numbers = table(("row", "phase", "p50, ms", "p90, ms", "p99, ms", "starts"), _texts(of, found))
    spans = {row: {each.name: _span(each.p50) for each in _first(told)} for row, told in found.items()}
    return [_drawn(of, spans, "Cold starts of platforms", _PLATFORM, numbers)]


def _first(told: Iterable[Bar]) -> list[Bar]:
    """Return the phases up to the first response."""
    return [each for each in told if each.name not in _AFTER]


def _texts(of: Material, found: Mapping[int, Iterable[Bar]]) -> Iterable[list[str]]:
    for row, told in found.items():
        for each in told:
            yield [of.names[row], each.name, *map(cells.value, (each.p50, each.p90, each.p99)), f"{each.p50.n}"]


def _span(of: Measure) -> Span:
    return Span(of.value, of.low, of.high)


def _fresh(of: Material) -> list[Html]:
    """Return what fresh processes of rows took, step by step."""
    found = {line.row: each for line in of.lines if (each := steps(of.reader.cold(line.name)))}
    if not found:
        return []
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    told = ([of.names[row], *(_cell(each.get(name)) for name in names), _n(each)] for row, each in found.items())
    numbers = table(("row", *(f"{name}, ms" for name in names), "starts"), told)
    spans = {row: {name: Span(*step[:3]) for name, step in each.items()} for row, each in found.items()}
    return [_drawn(of, spans, "Start of a process", _FRESH, numbers)]


def _drawn(of: Material, spans: Mapping[int, Mapping[str, Span]], title: str, told: str, numbers: Html) -> Html:
    shown = [line for line in of.lines if line.row in spans][:_MOST]
    left = f" The first {_MOST} of {len(spans)} rows." if len(spans) > len(shown) else ""
    drawing = bars.steps(shown, spans, "ms since the process was started", title, told)
    return joined(figures(figure(drawing, told + left)), el("details", el("summary", "numbers"), numbers))


def _cell(step: Step | None) -> str:
    if step is None:
        return "–"
    ends = "" if step.low_ms is None or step.high_ms is None else f" [{number(step.low_ms)}, {number(step.high_ms)}]"
    return number(step.p50_ms) + ends


def _n(of: Mapping[str, Step]) -> str:
    return str(max(step.n for step in of.values()))
