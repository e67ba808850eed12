"""The Pareto front: rows that no other row beats in one objective without losing in another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.score.estimate import Floats


def dominators(gains: Floats) -> NDArray[np.bool_]:
    """Say who dominates whom: [i, j] is true if row i is as good as j everywhere and better somewhere.

    `gains` is rows × objectives, larger is better; -inf stands for a value that is not known. Rows that are
    equal in everything do not dominate each other.
    """
    left, right = gains[:, None, :], gains[None, :, :]
    return np.asarray(np.all(left >= right, axis=2) & np.any(left > right, axis=2))
