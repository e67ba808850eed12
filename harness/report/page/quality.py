"""Quality of what ran: accuracy and the like with intervals, agreement with fp32, parity after conversions."""

from collections.abc import Mapping

from harness.report.markup import Html, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import figure, figures, table
from harness.report.plots import bars
from harness.report.plots.bars import Span
from harness.score.words import percent, short_name
from harness.spec.metrics import lookup
from harness.spec.variant import Variant

_MOST = 24


def quality_section(of: Material) -> Section | None:
    """Return a plot for each metric of quality, and the parity of variants; None where neither is known."""
    known = dict.fromkeys(key for row in of.ranking.rows for key, m in row.metrics.items() if m.basis == "rows")
    drawn = [_plot(of, key) for key in known]
    made = {name: cell.variant for name, cell in of.reader.prepared.cells.items() if cell.variant is not None}
    parity = _parity(made)
    return Section("quality", "Quality", joined(figures(*drawn), parity)) if drawn or parity else None


def _plot(of: Material, key: str) -> Html:
    rows = ((line.row, of.row(line).metrics.get(key)) for line in of.lines)
    spans = {row: Span(each.value, each.low, each.high) for row, each in rows if each is not None}
    shown = [line for line in of.lines if line.row in spans][:_MOST]
    limit = of.ranked.policy.limits.get(key)
    bound = None if limit is None else limit.min if limit.min is not None else limit.max
    n = max(each.n for row in of.ranking.rows if (each := row.metrics.get(key)) is not None)
    title, metric = short_name(key), lookup(key)
    told = f"{metric.meaning}; 95 % intervals over {n:,} rows" + (
        "" if bound is None else f"; dashed: the limit {bound:g}"
    )
    left = f" The first {_MOST} of {len(spans)} rows." if len(spans) > len(shown) else ""
    label = ", ".join(filter(None, (title, metric.unit)))
    drawing = bars.intervals(shown, spans, label, metric.scale == "log", bound, f"Quality: {title}", told)
    return figure(drawing, f"{title}: {told}.{left}")


def _parity(made: Mapping[str, Variant]) -> Html:
    rows = []
    for name, variant in made.items():
        if (found := variant.parity) is not None:
            same = "–" if found.top1_agreement is None else percent(found.top1_agreement, 2)
            rows.append(
                [name, variant.precision, ", ".join(variant.steps), f"{found.max_abs_diff:.2g}", same, str(found.rows)]
            )
    head = ("variant", "precision", "made by", "largest difference", "same top-1 class", "rows")
    return table(head, rows, "Converted variants beside the candidate's own outputs") if rows else Html("")
