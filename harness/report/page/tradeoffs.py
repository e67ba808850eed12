"""Two metrics against each other, any two; the policy's first two to begin with, also on paper."""

from collections.abc import Sequence

from harness.report.cells import heading
from harness.report.markup import Html, data, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import figure, figures, legend
from harness.report.plots.pareto import Axis, Point, bounded, pareto
from harness.report.plots.style import scale, tick_text
from harness.score.records import Measure
from harness.spec.metrics import lookup
from harness.spec.policy import keys_of

_MOST = 14
_TOLD = (
    "Each mark is a row; its lines are 95 % intervals. A hollow mark has an interval with an end that is not known; it "
    "is not drawn. Dashed: the rows that no other row beats in both metrics."
)
_COMMON = (
    "latency_p50_ms",
    "latency_p99_ms",
    "accuracy",
    "throughput_per_s",
    "cost_per_million_usd",
    "memory_peak_mib",
)


def tradeoffs_section(of: Material) -> Section | None:
    """Return the plot with a choice of both metrics; None where fewer than two metrics are known of two rows."""
    axes = [axis(of, key) for key in keys(of)]
    if len(axes) < 2:
        return None
    y, x = axes[0], axes[1]
    told = _TOLD
    drawing = pareto(x, y, of.lines, f"{y.label} against {x.label}", told)
    chosen = el("p", _choice("across", axes, 1), _choice("up", axes, 0), class_="controls js-only")
    shown = figure(el("div", drawing, id="pareto"), told)
    body = joined(
        chosen, figures(shown, legend(of.coloured, len(of.lines))), data("axes", [_data(each) for each in axes])
    )
    return Section("tradeoffs", "Trade-offs", body)


def keys(of: Material) -> list[str]:
    """Return the metrics that can be axes: the policy's, then common ones, then others; known of two rows or more."""
    rows = of.ranking.rows
    every = dict.fromkeys((*keys_of(of.ranked.policy), *_COMMON, *(key for row in rows for key in row.metrics)))
    known = (key for key in every if sum(key in row.metrics for row in rows) >= 2 and lookup(key).better != "none")
    return [*known][:_MOST]


def axis(of: Material, key: str) -> Axis:
    """Return a metric of all rows as an axis."""
    metric = lookup(key)
    found = {line.row: _point(of.row(line).metrics[key]) for line in of.lines if key in of.row(line).metrics}
    ends = [end for point in found.values() for end in point if end is not None]
    log = metric.scale == "log"
    label = ", ".join(part for part in heading(key) if part)
    arrow = " (more is better)" if metric.better == "higher" else " (less is better)"
    return Axis(key, label + arrow, scale([end for end in ends if end > 0 or not log], log), metric.better, found)


def _point(measure: Measure) -> Point:
    known = measure.low is not None and measure.high is not None
    return Point(measure.value, measure.low if known else None, measure.high if known else None)


def _choice(name: str, axes: Sequence[Axis], chosen: int) -> Html:
    options = (
        el("option", each.label, value=at, selected="" if at == chosen else None) for at, each in enumerate(axes)
    )
    return el("label", f"{name} ", el("select", *options, id=f"axis-{name}"))


def _data(of: Axis) -> dict[str, object]:
    """Return what the page's script draws an axis from: places between 0 and 1."""
    at = of.scale.at
    points = {
        str(each): [*(round(at(p.value if end is None else end), 4) for end in p), bounded(p)]
        for each, p in of.points.items()
    }
    ticks = [[round(at(tick), 4), tick_text(tick)] for tick in of.scale.ticks]
    return {"label": of.label, "better": of.better, "ticks": ticks, "points": points}
