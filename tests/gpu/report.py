"""Print how faithful the figures of a GPU are, and exit with 1 where one is missed. Needs a CUDA GPU and triton.

`--only NAME` measures some of the figures; `--out FOLDER` keeps what NVML showed, and all figures as JSON. Figures do
not depend on each other: one that fails is printed with its error, and the next one is measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "overhead"))

import torch
from figure import Figure, text

FIGURES = {
    "energy": "energy:energy",
    "host": "fidelity:host",
    "device": "fidelity:device",
    "probing": "probing:probing",
    "sharing": "sharing:sharing",
    "watched": "whole:watched_energy",
    "run": "whole:ranked",
    "serving": "serving:serving",
}
"""Where each group of figures is measured: module and function, imported when it is its turn."""


def measured(name: str, folder: Path, out: Path) -> list[Figure]:
    """Measure a group of figures."""
    module, _, function = FIGURES[name].partition(":")
    found: list[Figure] = getattr(importlib.import_module(module), function)(folder, out)
    return found


def about() -> str:
    """Say in a line what this is measured on."""
    found = torch.cuda.get_device_properties(0)
    return (
        f"{found.name}, {found.total_memory >> 20} MiB, L2 {found.L2_cache_size >> 20} MiB; torch {torch.__version__}, "
        f"cuDNN {torch.backends.cudnn.version()}, Python {sys.version.split()[0]}"
    )


def main() -> int:
    """Measure, print, and say whether any figure is missed or failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=FIGURES, help="repeatable; default: all")
    parser.add_argument("--out", type=Path, help="keep the evidence of NVML here")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no CUDA device here", file=sys.stderr)
        return 1
    print(about(), flush=True)
    bad, kept = False, []
    with tempfile.TemporaryDirectory() as temporary:
        out = args.out or Path(temporary) / "out"
        out.mkdir(parents=True, exist_ok=True)
        for name in args.only or [*FIGURES]:
            begin, figures = time.monotonic(), list[Figure]()
            folder = Path(temporary) / name
            folder.mkdir()
            try:
                figures = measured(name, folder, out)
            except Exception:  # noqa: BLE001 - one that fails must not hide the others
                bad = True
                print(f"FAILED  {name}: {traceback.format_exc(limit=-6)}", flush=True)
            print(f"{name} ({time.monotonic() - begin:.0f} s)")
            for figure in figures:
                print(text(figure), flush=True)
                bad |= figure.missed
            kept += [{"group": name, **figure._asdict()} for figure in figures]
        (out / "figures.json").write_text(json.dumps({"about": about(), "figures": kept}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
