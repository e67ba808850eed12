"""The formats that a model's file can have: an open registry, the entry-point group `harness.formats`."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.spec import plugins


class Format(NamedTuple):
    """Suffixes of its files; whether reading one unpickles it; whether a candidate's `builder` can make it."""

    suffixes: tuple[str, ...]
    pickled: bool = False
    built: bool = False


ONNX = Format((".onnx",))
PT2 = Format((".pt2",))
TORCH = Format((), built=True)
CHECKPOINT = Format((".pt", ".pth"), pickled=True)
EXECUTORCH = Format((".pte",))
LITERT = Format((".tflite",))
SKLEARN = Format((".joblib", ".pkl"), pickled=True, built=True)
FAKE = Format((".fake.toml",))


def formats() -> dict[str, Format]:
    """Return the registered formats by name; those whose plug-in cannot be imported are left out."""
    found = {}
    for name in plugins.names("formats"):
        with suppress(ImportError):
            found[name] = plugins.load("formats", name)
    return found


def suffixes() -> tuple[str, ...]:
    """Return every suffix of a model's file."""
    return tuple(suffix for kind in formats().values() for suffix in kind.suffixes)


def format_of(path: str) -> str | None:
    """Infer a format from a file name; None when the suffix is not registered."""
    return next((name for name, kind in formats().items() if path.endswith(kind.suffixes)), None)


def stem_of(path: str) -> str:
    """Return a file's name without its suffix, which may have several dots."""
    name = Path(path).name
    return name.removesuffix(next(filter(name.endswith, suffixes()), Path(name).suffix))


def is_pickle(path: str, format_name: str | None = None) -> bool:
    """Say whether reading `path` unpickles it, according to its suffix or to the format it is said to have."""
    pickled = {name: kind.suffixes for name, kind in formats().items() if kind.pickled}
    return format_name in pickled or any(path.endswith(endings) for endings in pickled.values())
