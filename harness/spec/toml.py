"""Strict reading of TOML: every mistake gets one message with file, key path and the nearest valid key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from harness.errors import SpecError
from harness.spec.metrics import nearest

T = TypeVar("T", bound=msgspec.Struct)
_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$")


def read(path: Path, kind: type[T]) -> T:
    """Read `path` as a `kind` of struct.

    Raises:
        SpecError: the file cannot be read, is not TOML, or does not fit the struct.
    """
    return decode(_tables(path), kind, str(path))


def decode(tables: Mapping[str, Any], kind: type[T], where: str) -> T:
    """Turn parsed TOML into a struct; `where` names the file in messages.

    Raises:
        SpecError: unknown key, wrong type or missing key, with its path.
    """
    _refuse_unknown(tables, kind, where, "")
    try:
        return msgspec.convert(tables, kind, strict=True)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _AT.search(text)
        path = found["path"] if found else ""
        what = text[: found.start()] if found else text
        raise SpecError(where, f"{path or 'top level'}: {_plain(what)}") from None


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(str(path), f"not TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise SpecError(str(path), f"not UTF-8 text: {error}") from None
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror}") from None


def _plain(text: str) -> str:
    """Say a validator's sentence in the words of a TOML file."""
    swaps = {"Object missing required field": "missing key", "`": "'", "Expected": "expected"}
    for old, new in swaps.items():
        text = text.replace(old, new)
    return text


def _refuse_unknown(value: object, kind: object, where: str, path: str) -> None:
    """Walk `value` beside its declared type and refuse keys that no struct has."""
    if isinstance(value, Mapping):
        _walk_table(value, kind, where, path)
    elif isinstance(value, list):
        item = (get_args(kind) or (object,))[0]
        for index, element in enumerate(value):
            _refuse_unknown(element, item, where, f"{path}[{index}]")


def _walk_table(value: Mapping[str, Any], kind: object, where: str, path: str) -> None:
    struct = _struct_for(value, kind)
    if struct is None:
        item = _dict_item(kind)
        for key, element in value.items():
            _refuse_unknown(element, item, where, _join(path, key))
        return
    known = _keys(struct)
    for key, element in value.items():
        if key not in known:
            raise SpecError(where, f"{_join(path, key)}: unknown key", nearest(key, list(known)))
        _refuse_unknown(element, known[key], where, _join(path, key))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _dict_item(kind: object) -> object:
    for option in _options(kind):
        if get_origin(option) is dict:
            return get_args(option)[1]
    return object


def _options(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _struct_for(value: Mapping[str, Any], kind: object) -> type[msgspec.Struct] | None:
    """Pick the struct a table is meant to be, by its tag where there are several."""
    structs = [o for o in _options(kind) if isinstance(o, type) and issubclass(o, msgspec.Struct)]
    for struct in structs:
        config = struct.__struct_config__
        if config.tag_field and value.get(config.tag_field) == config.tag:
            return struct
    return structs[0] if structs else None


def _keys(struct: type[msgspec.Struct]) -> dict[str, object]:
    hints = get_type_hints(struct)
    keys: dict[str, object] = {name: hints[name] for name in struct.__struct_fields__}
    config = struct.__struct_config__
    return {config.tag_field: str, **keys} if config.tag_field else keys
