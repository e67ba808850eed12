"""Who wins under which weights: the exact region of each row, on the policy's scales, for two or three objectives.

Scores are linear in the weights, so a row's region is where half-planes meet: a convex polygon (Sutherland & Hodgman,
Reentrant polygon clipping, CACM 17, 1974). Values only: what the evidence leaves open is in the rank acceptability.
"""

import numpy as np

from harness.spec.arrays import Floats

_TINY = 1e-9


def regions(utilities: Floats, rest: Floats) -> dict[int, Floats]:
    """Return, by row, the corners of the weights under which it has the best score.

    `utilities` is [rows, objectives]; `rest` is what each row's score has beside, whatever these weights are. Corners
    are [m, objectives], each a weight vector with the sum 1; rows that win nowhere, or only on an edge, are left out.
    """
    found: dict[int, Floats] = {}
    for row in range(len(utilities)):
        corners = np.eye(utilities.shape[1])
        for other in range(len(utilities)):
            if other != row:
                corners = _clipped(corners, utilities[row] - utilities[other], float(rest[row] - rest[other]))
        if len(corners) >= utilities.shape[1] and _extent(corners) > _TINY:
            found[row] = corners
    return found


def _clipped(corners: Floats, ahead: Floats, plus: float) -> Floats:
    """Keep the part of a polygon (or a segment) where `ahead` · w + `plus` is not negative."""
    values = corners @ ahead + plus
    kept = []
    pairs = len(corners) if len(corners) > 2 else len(corners) - 1
    for at in range(len(corners)):
        after = (at + 1) % len(corners)
        if values[at] >= 0:
            kept.append(corners[at])
        if at < pairs and values[at] * values[after] < 0:
            share = values[at] / (values[at] - values[after])
            kept.append(corners[at] + share * (corners[after] - corners[at]))
    return np.array(kept).reshape(-1, corners.shape[1])


def _extent(corners: Floats) -> float:
    """Return the length of a segment, or twice the area of a polygon, in the first weights' plane."""
    if corners.shape[1] == 2:
        return float(np.ptp(corners[:, 0]))
    x, y = corners[:, 0], corners[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
