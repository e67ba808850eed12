"""Print what measuring costs, and exit with 1 where a figure is missed. `--only NAME` measures some of the figures."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edge import fidelity_of_edge
from figure import Figure, text
from function_starts import function_starts
from loop import fidelity, large_analysis, parent_cpu, recording
from openloop import arrivals, prediction
from regressions import regressions
from rounds import fidelity_in_rounds, fidelity_of_threads
from runs import digits, sizes, slow_models
from starts import command_line, limited_starts, limits_alone, starts
from turns import handover, slices, twins

FIGURES: dict[str, Callable[[Path], list[Figure]]] = {
    "loop": fidelity,
    "edge": fidelity_of_edge,
    "recording": recording,
    "parent": parent_cpu,
    "help": command_line,
    "analysis": large_analysis,
    "slices": slices,
    "handover": handover,
    "starts": starts,
    "limits": limited_starts,
    "limits-alone": limits_alone,
    "functions": function_starts,
    "rounds": fidelity_in_rounds,
    "threads": fidelity_of_threads,
    "twins": twins,
    "digits": digits,
    "slow": slow_models,
    "sizes": sizes,
    "arrivals": arrivals,
    "prediction": prediction,
    "regressions": regressions,
}


def main() -> int:
    """Measure, print, and say whether any figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=FIGURES, help="repeatable; default: all")
    names = parser.parse_args().only or [*FIGURES]
    missed = False
    for name in names:
        begin, load = time.monotonic(), os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            figures = FIGURES[name](Path(folder))
        print(f"{name} ({time.monotonic() - begin:.0f} s, load before it {load:.1f})")
        for figure in figures:
            print(text(figure), flush=True)
            missed |= figure.missed
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
