"""Joint draws of what the metrics might truly be, by resampling the noise that rows share.

A draw gives every block and every dataset row a standard normal multiplier (a wild bootstrap of their
residuals; Wu 1986, Liu 1988). All rows and metrics see the same multiplier, so that drift common to a block
cancels in comparisons. Resampling k blocks is too narrow by sqrt((k-1)/k) and has normal tails: loads carry
the first correction, and one chi scale per draw makes each mean Student's t with k-1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.score.estimate import Estimate, Floats

_FOLD = 1024  # buckets that dataset rows share, with random signs; exact up to this many rows
_FAR = 300.0  # logarithms; two trials have Cauchy tails, which must not overflow


class Noise:
    """The multipliers of all draws, made when first asked for and the same for whoever asks.

    Blocks, dataset rows and own sources have random streams of their own, keyed by what they are, so that no
    row's draws depend on which other rows there are.
    """

    def __init__(self, draws: int, seed: int) -> None:
        self.draws = draws
        self._seed = seed
        self._blocks: dict[int, Floats] = {}
        self._own: dict[int, Floats] = {}
        self._chi: dict[float, Floats] = {}
        self._rows: NDArray[np.float32] | None = None

    def generator(self, *stream: int) -> np.random.Generator:
        """Make the generator of one stream."""
        return np.random.default_rng([self._seed, *stream])

    def block(self, index: int) -> Floats:
        """Give a block's multiplier for each draw."""
        if index not in self._blocks:
            self._blocks[index] = self.generator(1, index).standard_normal(self.draws)
        return self._blocks[index]

    def own(self, key: int) -> Floats:
        """Give the multiplier of a source that only identical data share."""
        if key not in self._own:
            self._own[key] = self.generator(2, key).standard_normal(self.draws)
        return self._own[key]

    def chi(self, df: float) -> Floats:
        """Give sqrt(df / χ²_df) for each draw, from one uniform for all `df`: scales rise and fall as one."""
        if math.isinf(df):
            return np.ones(self.draws)
        if df not in self._chi:
            uniform = self.generator(3).random(self.draws)
            self._chi[df] = np.sqrt(df / special.chdtri(df, np.maximum(uniform, 1e-12)))
        return self._chi[df]

    def dataset(self, loads: Sequence[Floats]) -> Floats:
        """Give Σ load × multiplier over dataset rows for each vector of loads (vectors × draws)."""
        width = min(_FOLD, max(each.size for each in loads))
        folded = np.array([self._fold(each, width) for each in loads], dtype=np.float32)
        if self._rows is None or self._rows.shape[0] < width:
            self._rows = self.generator(4).standard_normal((width, self.draws), dtype=np.float32)
        return (folded @ self._rows[:width]).astype(np.float64)

    def _fold(self, loads: Floats, width: int) -> Floats:
        """Add loads into buckets with random signs: a sketch whose length is right to about 2 %."""
        if loads.size <= _FOLD:
            return np.pad(loads, (0, width - loads.size))
        signs = self.generator(5).integers(0, 2, loads.size) * 2 - 1
        return np.bincount(np.arange(loads.size) % _FOLD, loads * signs, _FOLD).astype(np.float64)


def draws_of(estimates: Sequence[Estimate], noise: Noise) -> Floats:
    """Draw one metric for all rows jointly (rows × draws), in the metric's unit.

    Identical data give identical draws. An estimate from a single trial is drawn as a constant.
    """
    shared = _dataset_noise(estimates, noise)
    out = np.empty((len(estimates), noise.draws))
    for index, each in enumerate(estimates):
        moved = _block_noise(each, noise)
        if each.rows.size:
            moved = moved + shared[each.rows.tobytes()]
        if each.own:
            moved = moved + each.own * noise.own(each.own_key) * noise.chi(each.own_df)
        out[index] = each.value * np.exp(np.clip(moved, -_FAR, _FAR)) if each.log else each.value + moved
    return out


def _block_noise(of: Estimate, noise: Noise) -> Floats:
    moved = np.zeros(noise.draws)
    for block in np.flatnonzero(of.blocks):
        moved += of.blocks[block] * noise.block(int(block))
    return moved * noise.chi(of.df) if of.blocks.size else moved


def _dataset_noise(estimates: Sequence[Estimate], noise: Noise) -> dict[bytes, Floats]:
    distinct = {each.rows.tobytes(): each.rows for each in estimates if each.rows.size}
    if not distinct:
        return {}
    return dict(zip(distinct, noise.dataset(list(distinct.values())), strict=True))
