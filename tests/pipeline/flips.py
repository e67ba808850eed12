"""Does `harness verify` find any changed byte? Flips bytes of a run, one at a time, and counts what is found.

Usage: `python tests/pipeline/flips.py RUN [FLIPS] [SEED]`. Works on a copy. Half of the flips are drawn by byte, half
by file, so that small files get theirs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.evidence.manifest import FILE as MANIFEST
from harness.evidence.manifest import evidence_files
from harness.pipeline.decision import DERIVED
from harness.pipeline.decision import FILE as RECORD
from harness.pipeline.verify import verify


def covered(run: Path) -> dict[str, Path]:
    """Return every file that a flip is to be found in: the evidence, the record, what holds the ranking."""
    return {**evidence_files(run), **{name: run / name for name in (RECORD, MANIFEST, *DERIVED)}}


def flips(run: Path, count: int, seed: int) -> Iterator[tuple[str, bool, bool]]:
    """Change one byte at a time to another value; yields the file, whether that was found, and whether it was named."""
    rng, files = np.random.default_rng(seed), {k: p for k, p in covered(run).items() if p.stat().st_size}
    names, sizes = list(files), np.array([path.stat().st_size for path in files.values()], dtype=float)
    for number in range(count):
        name = names[rng.choice(len(names), p=sizes / sizes.sum() if number % 2 else None)]
        path, whole = files[name], files[name].read_bytes()
        at = int(rng.integers(len(whole)))
        changed = bytearray(whole)
        changed[at] ^= int(rng.integers(1, 256))
        path.unlink()  # artefacts are hard links: what they lead to stays as it is
        path.write_bytes(changed)
        try:
            errors = [found for found in verify(run) if found.severity == "error"]
        finally:
            path.write_bytes(whole)
        yield name, bool(errors), any(name in (found.subject, found.message.partition(":")[0]) for found in errors)


def main(run: Path, count: int = 1000, seed: int = 0) -> int:
    """Print the figure; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(run, Path(folder) / "run"))
        if any(found.severity == "error" for found in verify(copy)):
            sys.exit(f"{run}: does not verify as it is")
        results = list(flips(copy, count, seed))
        whole = not any(found.severity == "error" for found in verify(copy))
    missed = Counter(name for name, found, _ in results if not found)
    named = sum(named for _, _, named in results)
    print(
        f"{count} flips in {len({name for name, *_ in results})} files: {count - missed.total()} found, {named} named"
    )
    print(f"after the last one was put back the run verifies: {whole}")
    for name, times in missed.items():
        print(f"missed {times} in {name}")
    return int(bool(missed) or not whole)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
