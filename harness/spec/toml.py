"""Strict reading of TOML: every mistake raises SpecError with file, key path and the nearest valid key."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from harness.errors import SpecError
from harness.spec import plugins
from harness.spec.metrics import nearest
from harness.spec.ranges import LARGEST
from harness.spec.scenario import Scenario, decode_hook, parameters_for

T = TypeVar("T", bound=msgspec.Struct)
_STEP = re.compile(r"\.\w+|\[\d+\]|\[\.\.\.\]")
_AT = re.compile(rf"(?: - at `\$(?:{_STEP.pattern})*`)*\Z")
_RANGE = re.compile(r"Expected `(?:int|float)` (?P<sign>[<>]=?) (?P<bound>\S+)")
_FEW = 8


def read(path: Path, kind: type[T]) -> T:
    """Read `path` as a `kind` of struct."""
    return decode(_tables(path), kind, str(path))


def decode(tables: Mapping[str, Any], kind: type[T], where: str) -> T:
    """Turn parsed TOML into a struct; `where` names the file in messages."""
    try:
        return msgspec.convert(tables, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        what, mend = _explained(str(error), tables, kind)
    raise SpecError(where, what, mend)


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


def _explained(message: str, tables: Mapping[str, Any], kind: Any) -> tuple[str, str]:
    """Return msgspec's message with the full path, and what would be right.

    The message of a hook has its own path, before the path that leads to the hook.
    """
    what = _AT.sub("", message, count=1)
    trails = reversed(message[len(what) :].split(" - at "))
    steps = [step for trail in trails for step in _STEP.findall(trail)]
    path, value = "", cast(Any, tables)
    for step in steps:
        key, kind = _down(step, value, kind)
        path, value = path + (step if isinstance(key, int) else f".{key}"), value[key]
    path = path.removeprefix(".")
    if what.startswith("Object contains unknown field"):
        return _unknown_key(path, value, _fields(kind, value), steps[-1:] == ["[...]"])
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        kind = _fields(kind, value)[missing[1]]
        mend = nearest("", kind) if isinstance(kind, tuple) else ""
        return f"{path or 'top level'}: missing key '{missing[1]}'", mend
    return _wrong_value(what, path or "top level", value, kind)


def _down(step: str, value: Any, kind: object) -> tuple[str | int, Any]:
    """Return key and type of a step: a field, an index, or `[...]` (the first free key whose value is wrong)."""
    if step.startswith("."):
        return step[1:], _fields(kind, value)[step[1:]]
    item = next(args[-1] if origin is dict else args[0] for origin, args in _generics(kind) if args)
    if step != "[...]":
        return int(step[1:-1]), item
    return next(key for key, element in value.items() if not _fits(element, item)), item


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, dec_hook=decode_hook)
    except msgspec.ValidationError:
        return False
    return True


def _unknown_key(path: str, table: Mapping[str, Any], known: Iterable[str], free: bool) -> tuple[str, str]:
    key = next(key for key in table if key not in known)
    full = f"{path}.{key}".removeprefix(".")
    if free and isinstance(table[key], Mapping):  # TOML reads `a.b = { … }` as two nested tables
        return f"{full}: a key with a dot needs quotes", f'write "{path.rpartition(".")[2]}.{key}" = …'
    return f"{full}: unknown key", nearest(key, known)


def _wrong_value(what: str, path: str, value: object, kind: Any) -> tuple[str, str]:
    if what.startswith(("Invalid value", "Invalid enum value")):
        literals = (args for origin, args in _generics(kind) if origin is Literal)
        return f"{path}: '{value}' is not one of the values", nearest(str(value), next(literals, kind))
    if what.startswith(("Invalid RFC3339", "Expected `date`")):
        return f"{path}: '{value}' is not a date", f"write {path.rpartition('.')[2]} = 2026-01-31, without quotes"
    if "of length >= 1" in what:
        return f"{path}: at least one is needed", ""
    if found := _RANGE.fullmatch(what):
        bound = float(found["bound"])
        allowed = "finite" if abs(bound) == LARGEST else f"{found['sign']} {bound:g}"
        return f"{path}: must be {allowed}, is {value}", ""
    plain = what.replace(" | null", "").replace("`object`", "`table`").replace("`", "'")
    return f"{path}: {plain.replace('Expected', 'expected')}", ""


def _fields(kind: Any, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the struct that a table is meant to be, with their types; a tag's type is its choices."""
    if kind is Scenario:
        field, tags = "kind", plugins.names("scenarios")
        struct = parameters_for(table) if table.get(field) in tags else msgspec.Struct
    else:
        options = [o for o in _options(kind) if isinstance(o, type) and issubclass(o, msgspec.Struct)]
        structs = {str(option.__struct_config__.tag): option for option in options}
        field, tags = options[0].__struct_config__.tag_field or "", tuple(structs)
        struct = structs.get(str(table.get(field)), options[0])
    hints = get_type_hints(struct, include_extras=True)
    return ({field: tags} if field else {}) | {name: hints[name] for name in struct.__struct_fields__}


def _options(kind: Any) -> list[Any]:
    """Return the members of a union, without their `Annotated`."""
    if get_origin(kind) is Annotated:
        return _options(kind.__origin__)
    return [o for part in get_args(kind) for o in _options(part)] if get_origin(kind) in (Union, UnionType) else [kind]


def _generics(kind: object) -> list[tuple[Any, tuple[Any, ...]]]:
    return [(get_origin(option), get_args(option)) for option in _options(kind)]
