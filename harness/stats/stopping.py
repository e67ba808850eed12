"""When is a percentile known well enough to stop sampling? Needs numpy only, so that the child can ask.

The rule looks at the precision of what is decided, not at the spread of the workload: a wide distribution
with a well-known median is finished, a narrow one with an unknown tail is not.
"""

from __future__ import annotations

import math

from harness.stats.quantiles import FloatOrIntArray, quantile, quantile_interval

MEDIAN_PRECISION = 0.02
P99_PRECISION = 0.05


def precise_enough(ordered: FloatOrIntArray, p: float, relative_half_width: float) -> bool:
    """Say whether half the 95 % interval of the p-quantile is within this share of its value.

    `ordered` is ascending. False while an end is unbounded, and for no samples.
    """
    if ordered.size == 0:
        return False
    low, high = quantile_interval(ordered, p)
    if math.isinf(low) or math.isinf(high):
        return False
    return (high - low) / 2.0 <= relative_half_width * abs(quantile(ordered, p))
