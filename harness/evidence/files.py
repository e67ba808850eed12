"""Reading and writing single files of evidence. A written file is whole or absent."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from harness.errors import EvidenceError
from harness.spec.arrays import Array
from harness.spec.scenario import decode_hook

T = TypeVar("T")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, and rename it to `path` when it is on the disk.

    Raises EvidenceError if the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON; errors as in `write_whole`."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def cannot_write(path: Path, error: OSError) -> EvidenceError:
    """Return the error of a failed write: where it failed and how to mend it."""
    mend = "make it writable, or choose another folder with --out DIR"
    if error.errno in NO_ROOM:
        mend = "free some space; `harness run --resume` goes on from what is finished"
    return EvidenceError(f"{path}: cannot write evidence: {error.strerror or error} ({mend})")


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file as `kind`. Raises EvidenceError if it is missing, damaged, or of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=decode_hook)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error


def save_array(path: Path, array: Array) -> int:
    """Write `array` as .npy, through to the disk; returns the file's size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return path.stat().st_size


def read_array(path: Path) -> Array:
    """Open an array of evidence, memory-mapped. Raises EvidenceError if it is missing or damaged."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
    return array


def read_arrays(folder: Path) -> dict[str, Array]:
    """Open all arrays of a folder by name (`x.npy` is `x`), memory-mapped."""
    return {path.stem: read_array(path) for path in sorted(folder.glob("*.npy"))}
