"""Print what measuring costs, and exit with 1 where a figure is missed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figures import measure_all


def main() -> int:
    """Measure, print, and say whether all figures are reached."""
    figures = measure_all()
    for f in figures:
        wanted = f"{f.low:g} … {f.high:g}"
        mark = "ok    " if f.reached else "MISSED"
        print(f"{mark} {f.value:10.4g} {f.unit:12} wanted {wanted:14} n={f.n:<12,} {f.name}")
    return 0 if all(f.reached for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
