"""Joint draws of the true values of metrics, by resampling the noise that rows share.

A draw gives every block and every dataset row a standard normal multiplier (a wild bootstrap of their
residuals; Wu 1986, Liu 1988). It is the same for all rows and metrics, so that drift common to a block
cancels in comparisons. Resampling k blocks is too narrow by sqrt((k-1)/k) and has normal tails: the loads
include the first correction, and one chi scale per draw makes each mean Student's t with k-1 degrees of freedom.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from harness.score.estimate import Estimate
from harness.spec.arrays import Array, Floats

_BLOCK, _OWN, _CHI, _ROWS, _SIGNS = 1, 2, 3, 4, 5  # random streams
_FOLD = 1024  # buckets that dataset rows share, with random signs; exact up to this many rows
_FAR = 300.0  # logarithms; two trials have Cauchy tails, which must not overflow


class NoiseDraws:
    """The multipliers of all draws, made at first use and the same for all callers.

    Blocks, dataset rows and own sources have separate random streams, keyed by what they are, so that the draws
    of a row do not depend on the other rows.
    """

    def __init__(self, draws: int, seed: int) -> None:
        self.draws = draws
        self._seed = seed
        self._normals: dict[tuple[int, int], Floats] = {}
        self._chi: dict[float, Floats] = {}
        self._rows: Array | None = None

    def generator(self, *stream: int) -> np.random.Generator:
        """Make the generator of one stream."""
        return np.random.default_rng([self._seed, *stream])

    def normal(self, kind: int, key: int) -> Floats:
        """Give the multiplier of a block (`_BLOCK`) or of a source that only identical data share (`_OWN`)."""
        if (kind, key) not in self._normals:
            self._normals[kind, key] = self.generator(kind, key).standard_normal(self.draws)
        return self._normals[kind, key]

    def chi(self, df: float) -> Floats:
        """Give sqrt(df / χ²_df) for each draw, from one uniform for all `df`, so that the scales are comonotone."""
        if math.isinf(df):
            return np.ones(self.draws)
        if df not in self._chi:
            uniform = self.generator(_CHI).random(self.draws)
            self._chi[df] = np.sqrt(df / special.chdtri(df, np.maximum(uniform, 1e-12)))
        return self._chi[df]

    def dataset(self, vectors: Sequence[Floats]) -> dict[bytes, Floats]:
        """Give Σ load × multiplier over dataset rows for each distinct vector of loads, by the vector's bytes."""
        distinct = {each.tobytes(): each for each in vectors if each.size}
        width = min(_FOLD, max((each.size for each in distinct.values()), default=0))
        if self._rows is None or self._rows.shape[0] < width:
            self._rows = self.generator(_ROWS).standard_normal((width, self.draws), dtype=np.float32)
        folded = np.array([self._fold(each, width) for each in distinct.values()], dtype=np.float32)
        noise = (folded.reshape(len(distinct), width) @ self._rows[:width]).astype(np.float64)
        return dict(zip(distinct, noise, strict=True))

    def _fold(self, loads: Floats, width: int) -> Floats:
        """Add loads into buckets with random signs; the norm of the result is correct to about 2 %."""
        if loads.size <= _FOLD:
            return np.pad(loads, (0, width - loads.size))
        signs = self.generator(_SIGNS).integers(0, 2, loads.size) * 2 - 1
        return np.bincount(np.arange(loads.size) % _FOLD, loads * signs, _FOLD).astype(np.float64)


def draws_of(estimates: Sequence[Estimate], noise: NoiseDraws) -> Floats:
    """Draw one metric for all rows jointly (rows × draws), in the metric's unit.

    Identical data give identical draws. An estimate from a single trial is drawn as a constant.
    """
    shared = noise.dataset([each.rows for each in estimates])
    out = np.empty((len(estimates), noise.draws))
    for index, each in enumerate(estimates):
        moved = np.zeros(noise.draws)
        for block in np.flatnonzero(each.blocks):
            moved += each.blocks[block] * noise.normal(_BLOCK, int(block))
        moved *= noise.chi(each.df)
        if each.rows.size:
            moved = moved + shared[each.rows.tobytes()]
        if each.own:
            moved = moved + each.own * noise.normal(_OWN, each.own_key) * noise.chi(each.own_df)
        out[index] = each.value * np.exp(np.clip(moved, -_FAR, _FAR)) if each.log else each.value + moved
    return out
