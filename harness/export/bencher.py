"""Bencher metric format: a JSON object of benchmarks (rows), each with its measures and the ends of their intervals.

Source: bencher.dev, reference, "Bencher Metric Format"; read by `bencher run --adapter json --file …`.
"""

import math
from pathlib import Path

from harness.evidence.files import write_json
from harness.export.base import Source
from harness.score.records import Measure

_LONGEST = 64
"""The longest name that Bencher takes for a measure."""


class Bencher:
    """Writes one benchmark per row that has metrics; a measure is named by its key, unit included."""

    name = "bencher.json"

    def export(self, source: Source, out: str) -> str:
        """Write the file; `out` is its path."""
        rows = source.ranked.ranking.rows
        found = {
            f"{row.candidate}@{row.target}": {key[:_LONGEST]: _values(each) for key, each in row.metrics.items()}
            for row in rows
            if row.metrics
        }
        write_json(Path(out), found)
        return f"{len(found)} benchmarks, {sum(map(len, found.values()))} measures"


def _values(measure: Measure) -> dict[str, float]:
    values = {"value": measure.value, "lower_value": measure.low, "upper_value": measure.high}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


EXPORTER = Bencher()
