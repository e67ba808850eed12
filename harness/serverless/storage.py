"""An artefact's pages in memory: evicted, so that a start has to read the file; and whether they are there."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from harness.spec.variant import Variant

_READ_BYTES = 1 << 20


def files_of(variant: Variant, root: Path) -> list[Path]:
    """Return the files of a variant below the staging root, with the companions that were staged beside them."""
    named = [root / path for path in (variant.path, variant.weights) if path is not None]
    folders = dict.fromkeys(path.parent for path in named)
    return sorted({each for folder in folders for each in folder.iterdir() if each.is_file()} | set(named))


def evict(files: Iterable[Path]) -> None:
    """Drop the files' pages from memory (POSIX_FADV_DONTNEED); those that another process maps stay."""
    for path in files:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # a page that was not written yet is not dropped
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def warm(files: Iterable[Path]) -> None:
    """Bring the files' pages into memory."""
    for path in files:
        with suppress(OSError), path.open("rb", buffering=0) as file:
            while file.read(_READ_BYTES):
                pass


def resident(files: Iterable[Path]) -> float | None:
    """Return the fraction of the files' pages that are in memory; None where that cannot be told (mincore(2))."""
    counts = [_pages(path) for path in files]
    known = [each for each in counts if each is not None]
    total = sum(pages for _, pages in known)
    return sum(there for there, _ in known) / total if total and len(known) == len(counts) else None


def _pages(path: Path) -> tuple[int, int] | None:
    """Return how many of a file's pages are in memory, and how many it has."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return 0, 0
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
                return _resident(mapped, size)
    except (OSError, ValueError):
        return None


def _resident(mapped: mmap.mmap, size: int) -> tuple[int, int] | None:
    pages = -(-size // mmap.PAGESIZE)
    told, view = (ctypes.c_ubyte * pages)(), (ctypes.c_char * size).from_buffer(mapped)
    try:
        address = ctypes.c_void_p(ctypes.addressof(view))
        failed = ctypes.CDLL(None, use_errno=True).mincore(address, ctypes.c_size_t(size), told)
    finally:
        del view  # else the mapping cannot be closed
    return None if failed else (sum(each & 1 for each in told), pages)
