"""Small pieces that several sections use: a figure with its caption, lists, tables, a row's name with its colour."""

from collections.abc import Iterable, Sequence

from harness.report.markup import Html, el, joined
from harness.report.plots.style import Line


def figure(drawing: Html, caption: str) -> Html:
    """Return a plot with its caption."""
    return el("figure", drawing, el("figcaption", caption))


def figures(*each: Html) -> Html:
    """Return figures side by side, where there is room."""
    return el("div", *each, class_="figures")


def bullets(lines: Iterable[str]) -> Html:
    """Return a list; nothing without lines."""
    items = [el("li", line) for line in lines]
    return el("ul", *items) if items else Html("")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Html:
    """Return a plain table; the first column names the row."""
    top = el("tr", *(el("th", *_two_lines(each, ", "), scope="col") for each in head))
    body = (el("tr", el("th", *_two_lines(first, "@"), scope="row"), *map(_cell, rest)) for first, *rest in rows)
    told = el("caption", caption) if caption else None
    return el("div", el("table", told, el("thead", top), el("tbody", *body)), class_="scroll")


def _cell(text: str) -> Html:
    """Return a cell; an interval is smaller."""
    value, bracket, ends = text.partition(" [")
    small = el("small", f"[{ends}") if bracket and ends.endswith("]") else None
    return el("td", value if small is not None else text, small)


def _two_lines(text: str, mark: str) -> tuple[str, Html | None]:
    """Put what follows a mark, such as a unit or a target, smaller on a second line."""
    first, found, second = text.partition(mark)
    return first, el("small", second) if found else None


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return names and values as a list of definitions."""
    return el("dl", *(joined(el("dt", name), el("dd", value)) for name, value in pairs))


def chip(line: Line) -> Html:
    """Return the sign of a row's colour, as its plots show it; a grey one for the many."""
    colour = "muted" if line.colour is None else f"c{line.colour + 1}"
    return el("i", class_="chip", style=f"--c:var(--{colour})", aria_hidden="true")


def legend(lines: Sequence[Line], of: int) -> Html:
    """Return the coloured rows by name; the others are grey."""
    shown = [el("span", chip(line), line.name, data_row=line.row) for line in lines]
    rest = el("span", el("i", class_="chip", style="--c:var(--muted)"), f"{of - len(shown)} more in grey")
    return el("p", *shown, rest if of > len(shown) else None, class_="legend")
