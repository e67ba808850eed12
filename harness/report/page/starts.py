"""Cold starts: what a fresh process spends its time on before the first response."""

from harness.analyse.fresh import Step, steps
from harness.report.page.material import Material, Section
from harness.report.page.parts import figure, figures, table
from harness.report.plots import bars
from harness.report.plots.bars import Span
from harness.score.words import number

_MOST = 12
_TOLD = (
    "Median time of each step of a fresh process, one after another. Thin lines: 95 % interval of a step's median, "
    "where at least six starts were measured."
)


def starts_section(of: Material) -> Section | None:
    """Return the waterfall and its numbers; None where no fresh process was measured."""
    found = {line.row: each for line in of.lines if (each := steps(of.reader.cold(line.name)))}
    if not found:
        return None
    shown = [line for line in of.lines if line.row in found]
    spans = {row: {name: Span(*step[:3]) for name, step in each.items()} for row, each in found.items()}
    drawing = bars.steps(shown[:_MOST], spans, "ms since the process was started", "Cold start", _TOLD)
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    rows = ([line.name, *(_cell(found[line.row].get(n)) for n in names), _n(found[line.row])] for line in shown)
    numbers = table(("row", *(f"{name}, ms" for name in names), "starts"), rows)
    return Section("starts", "Cold start", figures(figure(drawing, _TOLD), numbers))


def _cell(step: Step | None) -> str:
    if step is None:
        return "–"
    ends = "" if step.low_ms is None or step.high_ms is None else f" [{number(step.low_ms)}, {number(step.high_ms)}]"
    return number(step.p50_ms) + ends


def _n(of: dict[str, Step]) -> str:
    return str(max(step.n for step in of.values()))
