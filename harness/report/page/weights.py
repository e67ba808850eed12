"""Would other weights choose another row? Shares of all weights that put a row first, and where each row wins."""

import numpy as np

from harness.report.markup import Html, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import bullets, figure, figures, legend
from harness.report.plots import bars
from harness.report.plots.style import Line
from harness.report.plots.weights import lines_of_scores, triangle
from harness.score.regions import regions
from harness.score.weights import Weighting, weighting_of
from harness.score.words import percent, short_name
from harness.spec.arrays import Floats

_MOST, _CORNERS = 12, 3
_CODES = ("weights_robust", "weights_matter")
_SHARES = "How often a row comes first, over random weights and redraws of the evidence."


def weights_section(of: Material) -> Section | None:
    """Return both pictures; None where the policy has a single objective, or nothing is ranked."""
    weighting = weighting_of(of.ranked.policy, {key for row in of.ranking.rows for key in row.utilities})
    scored = [line for line in of.lines if all(key in of.row(line).utilities for key in weighting.keys)]
    placed = [line for line in scored if of.row(line).place is not None]
    if len(weighting.keys) < 2 or not placed:
        return None
    said = bullets(note.message for note in of.ranking.notes if note.code in _CODES)
    return Section("weights", "Weights", joined(said, figures(*_shares(of, placed), *_where(of, placed, weighting))))


def _shares(of: Material, lines: list[Line]) -> list[Html]:
    found = {line.row: shares[0] for line in lines if (shares := of.row(line).acceptability)}
    shown = sorted((line for line in lines if found.get(line.row)), key=lambda line: -found[line.row])[:_MOST]
    if not shown:
        return []
    drawing = bars.fractions(shown, found, "share of random weights", "First under other weights", _SHARES)
    return [figure(drawing, _SHARES)]


def _where(of: Material, lines: list[Line], weighting: Weighting) -> list[Html]:
    names = [short_name(key) for key in weighting.keys]
    values = np.array([[of.row(line).utilities[key] for key in weighting.keys] for line in lines])
    if len(names) == 2:
        told = (
            f"Score of each row by the weight of {names[0]}; the line marks the policy. Values only, without intervals."
        )
        own = float(weighting.central[0])
        return [figure(lines_of_scores(lines, values, names, own, "Scores under other weights", told), told)]
    return _three(lines, values, names, weighting.central)


def _three(lines: list[Line], values: Floats, names: list[str], central: Floats) -> list[Html]:
    """Draw the three heaviest objectives; the others keep the policy's weights."""
    first = np.argsort(-central, kind="stable")[:_CORNERS]
    share, others = float(central[first].sum()), np.setdiff1d(np.arange(central.size), first)
    rest = values[:, others] @ central[others]
    found = regions(values[:, first] * share, rest)
    kept = (
        f"; {', '.join(f'{names[at]} {percent(float(central[at]))}' for at in others)} as in the policy"
        if others.size
        else ""
    )
    told = (
        "The row with the highest score, by the weights of three objectives. A corner gives all weight to one of them; "
        f"the star marks the policy{kept}. Values only, without intervals."
    )
    drawing = triangle(lines, found, [names[at] for at in first], central[first] / share, "Who wins where", told)
    winners = [lines[at] for at in found]
    return [figure(drawing, told), legend([each for each in winners if each.colour is not None], len(winners))]
