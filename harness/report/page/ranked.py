"""The ranked table: sortable, filterable; each row opens to its reasons and all of its metrics."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from harness.report import cells
from harness.report.markup import Html, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import bullets, chip, table
from harness.report.plots.style import Line, Scale, scale
from harness.score.explain import explain
from harness.score.records import Measure, Row
from harness.score.words import number, short_name
from harness.spec.metrics import lookup

_LEGEND = (
    f"Rows marked {cells.MAY_BE_BEST} may be the best. Could be: the ranks that a row could have; in 95 % of runs they "
    "are right for all rows at once. n counts trials, each a process. P(best): how often the row comes first when the "
    "evidence is redrawn. Bars show 95 % intervals on one scale per column: percentiles over all requests, with trials "
    "as clusters; quality over dataset rows; all else over trials. >x [≈y]: no upper end is known yet; y is the value "
    "so far. Open a row for its reasons; point at a heading for its meaning."
)
_PLAIN = {
    "#": ("asc", "the place: the order of the scores"),
    "candidate on target": ("text", ""),
    "could be": ("asc", "the ranks that the row could have; in 95 % of runs they are right for all rows at once"),
    "n": ("desc", "trials, each a process"),
    "score": ("desc", "weighted mean of the objectives, each from 0 to 1, with its 95 % interval"),
    "P(best)": ("desc", "how often the row comes first when the evidence is redrawn"),
}
"""Headings before the metrics: the order of the first click, and what is in the column."""
_FILTERS = {
    "": "all rows",
    "best": "may be the best",
    "placed": "with a place",
    "warned": "with warnings",
    "out": "without a place",
}


def ranked_section(of: Material) -> Section:
    """Return the table with its controls."""
    keys = cells.columns(of.ranking, of.ranked.policy)
    scales = {key: column_scale(key, [row.metrics.get(key) for row in of.ranking.rows]) for key in keys}
    bodies = (_body(of, line, scales) for line in of.lines)
    grid = el("table", el("thead", _head(keys)), *bodies, id="ranked", class_="ranked")
    told = el("p", _LEGEND, class_="note")
    return Section("ranking", "Ranking", joined(_controls(), el("div", grid, class_="scroll"), told))


def _controls() -> Html:
    options = (el("option", text, value=value) for value, text in _FILTERS.items())
    search = el("input", id="find", type="search", placeholder="candidate, target, status", aria_label="Find rows")
    chosen = el("select", *options, id="which", aria_label="Which rows")
    openers = el("button", "open all", id="open-all", type="button")
    return el("p", search, chosen, openers, el("output", id="shown", aria_live="polite"), class_="controls")


def _head(keys: Sequence[str]) -> Html:
    heads = [_heading(name, first, meaning=meaning) for name, (first, meaning) in _PLAIN.items()]
    for key in keys:
        name, unit = cells.heading(key)
        first = "desc" if lookup(key).better == "higher" else "asc"
        heads.append(_heading(name, first, unit, lookup(key).meaning))
    return el("tr", *heads)


def _heading(name: str, first: str, unit: str = "", meaning: str = "") -> Html:
    """Return a heading that sorts; `first` is the order of the first click."""
    text = joined(el("span", name), el("small", unit) if unit else None)
    return el("th", el("button", text, type="button", title=meaning or None), scope="col", data_first=first)


def _body(of: Material, line: Line, scales: Mapping[str, Scale]) -> Html:
    row, columns = of.row(line), len(scales) + 6
    told = el("td", _reasons(of, row), colspan=columns)
    text = f"{line.name} {row.status} {row.failure or ''} {' '.join(r.code for r in row.reasons)}".lower()
    return el(
        "tbody",
        el("tr", *_cells(of, line, scales)),
        el("tr", told, class_="why"),
        data_row=line.row,
        data_text=text,
        data_is=" ".join(_kinds(row)),
        class_="best" if row.may_be_best else "",
    )


def _kinds(row: Row) -> list[str]:
    """Name the filters that show a row."""
    told = {"best": row.may_be_best, "placed": row.place is not None, "warned": bool(row.warnings)}
    return [name for name, holds in (told | {"out": row.place is None}).items() if holds]


def _cells(of: Material, line: Line, scales: Mapping[str, Scale]) -> list[Html]:
    row = of.row(line)
    opener = el("button", el("b", row.candidate), el("span", row.target), type="button", aria_expanded="false")
    warned = el("abbr", "⚠", title="; ".join(each.message for each in row.warnings)) if row.warnings else None
    return [
        el("td", cells.place(row), data_sort=_sort(row.place)),
        el("th", chip(line), opener, warned, _status(row), scope="row", data_sort=line.name.lower()),
        el("td", cells.ranks(row), _ranks(row, cells.places(of.ranking)), data_sort=_sort(row.rank_low)),
        el("td", cells.trials(row), data_sort=cells.trials(row).replace("–", "")),
        el("td", *_score(row), data_sort=_sort(row.score)),
        el("td", cells.best(row), data_sort=_sort(row.p_best)),
        *(_metric(row.metrics.get(key), axis) for key, axis in scales.items()),
    ]


def _status(row: Row) -> Html | None:
    text = "left the race" if row.status == "dropped" and row.place is not None else cells.status(row)
    return el("small", text, class_=f"status {row.status}") if text else None


def _sort(value: float | None) -> str:
    return "" if value is None else f"{value!r}"


def _score(row: Row) -> list[Html]:
    if row.score is None:
        return [Html("–")]
    text = joined(f"{row.score:.3f}")
    if row.score_low is None or row.score_high is None:
        return [text]
    ends = el("small", f"[{row.score_low:.3f}, {row.score_high:.3f}]")
    return [text, ends, bar(Scale(0.0, 1.0, False, ()), row.score, row.score_low, row.score_high)]


def _metric(measure: Measure | None, axis: Scale) -> Html:
    if measure is None:
        return el("td", "–", data_sort="")
    text, _, ends = cells.value(measure).partition(" [")
    small = el("small", f"[{ends}") if ends else None
    drawn = bar(axis, measure.value, measure.low, measure.high) if measure.basis != "exact" else None
    return el("td", text, small, drawn, data_sort=_sort(measure.value))


def column_scale(key: str, measures: Sequence[Measure | None]) -> Scale:
    """Return the scale that the bars of a column share."""
    log = lookup(key).scale == "log"
    ends = [end for each in measures if each is not None for end in (each.low, each.value, each.high)]
    return scale([end for end in ends if end is not None and (end > 0 or not log)], log, margin=0.02)


def bar(axis: Scale, value: float, low: float | None, high: float | None) -> Html:
    """Draw an interval with its value on a column's scale; an end that is not known runs out."""
    first = 0.0 if low is None else axis.at(low)
    last = 1.0 if high is None else axis.at(high)
    span = el(
        "i", style=f"left:{first:.1%};width:{max(last - first, 0.01):.1%}", class_="" if high is not None else "open"
    )
    return el("span", span, el("b", style=f"left:{axis.at(value):.1%}"), class_="bar", aria_hidden="true")


def _ranks(row: Row, of: int) -> Html | None:
    """Draw the ranks that a row could have among all places."""
    if row.place is None or row.rank_low is None or row.rank_high is None or of < 2:
        return None
    first, wide = (row.rank_low - 1) / of, (row.rank_high - row.rank_low + 1) / of
    span = el("i", style=f"left:{first:.1%};width:{wide:.1%}")
    own = el("b", style=f"left:{(row.place - 0.5) / of:.1%}")
    return el("span", span, own, class_="bar", aria_hidden="true")


def _reasons(of: Material, row: Row) -> Html:
    """Say why a row stands where it does, and list all that is known of it."""
    why = bullets(explain(of.ranking, of.ranked.policy, row))
    if not row.metrics:
        return why
    values = ([short_name(key), cells.value(each), each.unit, basis(each)] for key, each in row.metrics.items())
    metrics = el("details", el("summary", "all metrics"), table(("metric", "value [95 %]", "unit", "from"), values))
    return joined(why, metrics)


def basis(measure: Measure) -> str:
    """Say what a number rests on."""
    effective = f", worth {number(measure.effective_n)}" if measure.effective_n else ""
    return _rests_on(measure) + effective


def _rests_on(measure: Measure) -> str:
    n, processes = f"{measure.n:,}", f"{measure.trials} process{'' if measure.trials == 1 else 'es'}"
    match measure.basis:
        case "pooled":
            return f"{n} requests in {measure.trials} trials"
        case "within":
            return f"{n} samples of one trial"
        case "between":
            return processes
        case "simulated":
            return f"simulated from {n} measured requests in {processes}"
        case "rows":
            return f"{n} dataset rows"
        case "exact":
            return "exact"
    assert_never(measure.basis)
