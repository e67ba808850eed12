"""Reading and writing single files of evidence. A written file is whole or absent."""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeVar, get_args

import msgspec
import numpy as np

from harness.errors import EvidenceError
from harness.spec.arrays import Array
from harness.spec.scenario import decode_hook

T = TypeVar("T")
_NO_ARRAY = (OSError, ValueError, EOFError, SyntaxError, TokenError, TypeError, OverflowError, MemoryError)
"""What numpy raises where a file is no array: it parses the header as Python."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, and rename it to `path` when it is on the disk.

    A device or a pipe (`/dev/stdout`) is written to as it is: a rename would take its place. Raises EvidenceError if
    the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            write(path)
            return
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def as_written(value: object) -> bytes:
    """Return `value` in the one form that JSON files have here: its schema first, indented by 1, a line end at the end.

    Keys are in the order of the fields, those of dictionaries in the order of insertion.
    """
    content: Any = msgspec.to_builtins(value)
    if isinstance(value, msgspec.Struct) and hasattr(value, "schema"):
        content = {"schema": value.schema} | content
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, with its schema; errors as in `write_whole`."""
    data = as_written(value)
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
        data = path.read_bytes()
        _refuse_other_schema(path, data, kind)
        return msgspec.json.decode(data, type=kind, dec_hook=decode_hook)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error


class _Label(msgspec.Struct):
    """What a JSON file says of itself."""

    schema: str = ""
    harness: str = ""


def _refuse_other_schema(path: Path, data: bytes, kind: Any) -> None:
    """Raise EvidenceError if a file is of another kind, or of a newer version than is known here."""
    wanted = _schema_of(kind)
    label = msgspec.json.decode(data, type=_Label) if wanted else _Label()
    if not label.schema or label.schema == wanted:
        return
    (name, _, version), (own_name, _, own) = label.schema.rpartition("/"), wanted.rpartition("/")
    if name != own_name:
        raise EvidenceError(f"{path}: is '{label.schema}', not '{wanted}': another file was put in its place")
    if not version.isdecimal() or int(version) > int(own):
        by = f", harness {label.harness}" if label.harness else ""
        raise EvidenceError(
            f"{path}: was written by a newer version{by}: it is '{label.schema}', "
            f"'{wanted}' is the newest that is known here (install the version that wrote it)"
        )


def _schema_of(kind: Any) -> str:
    """Return the schema of a kind of file, or of the first of several kinds; empty where it has none."""
    one = (get_args(kind) or (kind,))[0]
    fields = msgspec.structs.fields(one) if isinstance(one, type) and issubclass(one, msgspec.Struct) else ()
    return next((str(field.default) for field in fields if field.name == "schema"), "")


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal, reading it in pieces. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    except _NO_ARRAY as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
    return array


def read_arrays(folder: Path) -> dict[str, Array]:
    """Open all arrays of a folder by name (`x.npy` is `x`), memory-mapped."""
    return {path.stem: read_array(path) for path in sorted(folder.glob("*.npy"))}
