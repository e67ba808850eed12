"""Strict reading of TOML: every mistake gets one message with file, key path and the nearest valid key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from harness.errors import SpecError
from harness.spec.metrics import nearest

T = TypeVar("T", bound=msgspec.Struct)
_AT = re.compile(r" - at `\$(?P<path>.*)`$")
_FEW = 8


def read(path: Path, kind: type[T]) -> T:
    """Read `path` as a `kind` of struct.

    Raises:
        SpecError: the file cannot be read, is not TOML, or does not fit the struct.
    """
    return decode(_tables(path), kind, str(path))


def decode(tables: Mapping[str, Any], kind: type[T], where: str) -> T:
    """Turn parsed TOML into a struct; `where` names the file in messages.

    Raises:
        SpecError: unknown key, unknown value, wrong type or missing key, with its path.
    """
    _check(tables, kind, where, "")
    found: T = _convert(tables, kind, where, "")
    return found


def _convert(value: object, kind: Any, where: str, path: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _AT.search(text)
        full = (path + (found["path"] if found else "")).lstrip(".")
        what = text[: found.start()] if found else text
        raise SpecError(where, f"{full or 'top level'}: {_plain(what)}") from None


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(str(path), f"not TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise SpecError(str(path), f"not UTF-8 text: {error}") from None
    except FileNotFoundError:
        raise SpecError(str(path), "no such file", nearest_file(path)) from None
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror}") from None


def nearest_file(path: Path) -> str:
    """Say which file beside a missing one may be meant, as a phrase for an error message."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    names = sorted(file.name for file in path.parent.iterdir() if file.is_file())
    mend = nearest(path.name, names)
    if len(names) <= _FEW or not mend.startswith("one of"):
        return mend
    return f"one of the {len(names)} files there: {', '.join(names[:_FEW])}, …"


def _plain(text: str) -> str:
    """Say a validator's sentence in the words of a TOML file."""
    swaps = {
        "Object missing required field": "missing key",
        " | null": "",
        "`object`": "`table`",
        "`": "'",
        "Expected": "expected",
    }
    for old, new in swaps.items():
        text = text.replace(old, new)
    return text


def _check(value: object, kind: object, where: str, path: str) -> None:
    """Walk `value` beside its declared type; refuse keys that no struct has and words that are no choice."""
    if isinstance(value, Mapping):
        _check_table(value, kind, where, path)
    elif isinstance(value, list):
        item = (get_args(kind) or (object,))[0]
        for index, element in enumerate(value):
            _check(element, item, where, f"{path}[{index}]")
    elif isinstance(value, str):
        choices = [word for option in _options(kind) if get_origin(option) is Literal for word in get_args(option)]
        if choices and value not in choices:
            raise SpecError(where, f"{path}: '{value}' is not one of the values", nearest(value, choices))


def _check_table(value: Mapping[str, Any], kind: object, where: str, path: str) -> None:
    struct = _struct_for(value, kind, where, path)
    if struct is None:
        _check_items(value, _dict_item(kind), where, path)
        return
    known = _keys(struct)
    for key, element in value.items():
        if key not in known:
            raise SpecError(where, f"{_join(path, key)}: unknown key", nearest(key, list(known)))
        _check(element, known[key], where, _join(path, key))


def _check_items(value: Mapping[str, Any], item: object, where: str, path: str) -> None:
    """Check a table of free keys, one by one: only here is the key known for the message."""
    for key, element in value.items():
        if isinstance(element, Mapping) and _structs(item):
            _refuse_unquoted(key, element, item, where, path)
        _check(element, item, where, _join(path, key))
        if item is not object:
            _convert(element, item, where, _join(path, key))


def _refuse_unquoted(key: str, element: Mapping[str, Any], item: object, where: str, path: str) -> None:
    """Recognise `a.b = { … }` where `"a.b" = { … }` is meant: TOML reads the first as two nested tables."""
    for inner, value in element.items():
        if isinstance(value, Mapping) and not any(inner in _keys(struct) for struct in _structs(item)):
            full = f"{key}.{inner}"
            raise SpecError(where, f"{_join(path, full)}: a key with a dot needs quotes", f'write "{full}" = …')


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _dict_item(kind: object) -> object:
    for option in _options(kind):
        if get_origin(option) is dict:
            return get_args(option)[1]
    return object


def _options(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _structs(kind: object) -> list[type[msgspec.Struct]]:
    return [o for o in _options(kind) if isinstance(o, type) and issubclass(o, msgspec.Struct)]


def _struct_for(value: Mapping[str, Any], kind: object, where: str, path: str) -> type[msgspec.Struct] | None:
    """Pick the struct a table is meant to be, by its tag where there are several."""
    tagged = {s.__struct_config__.tag: s for s in _structs(kind) if s.__struct_config__.tag_field}
    if not tagged:
        return next(iter(_structs(kind)), None)
    field = str(next(iter(tagged.values())).__struct_config__.tag_field)
    tags = [str(tag) for tag in tagged]
    if field not in value:
        if len(tagged) > 1:
            raise SpecError(where, f"{path}: missing key '{field}'", f"one of: {', '.join(sorted(tags))}")
        return next(iter(tagged.values()))
    tag = _convert(value[field], str, where, _join(path, field))
    if tag not in tags:
        raise SpecError(where, f"{_join(path, field)}: '{tag}' is not one of the values", nearest(tag, tags))
    return tagged[tag]


def _keys(struct: type[msgspec.Struct]) -> dict[str, object]:
    hints = get_type_hints(struct)
    keys: dict[str, object] = {name: hints[name] for name in struct.__struct_fields__}
    config = struct.__struct_config__
    return {config.tag_field: str, **keys} if config.tag_field else keys
