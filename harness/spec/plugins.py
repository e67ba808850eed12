"""Plug-ins by name, from entry-point groups. Listing names imports nothing; only what is named is loaded.

Groups: `harness.formats`, `harness.metrics`, `harness.scenarios`, `harness.conversions`, `harness.runtimes`,
`harness.probes`, `harness.launchers`. Built-ins are registered in the same way as third parties' plug-ins.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any


@cache
def names(group: str) -> tuple[str, ...]:
    """Return the names registered in `harness.<group>`, sorted."""
    return tuple(sorted(entry_points(group=f"harness.{group}").names))


@cache
def load(group: str, name: str) -> Any:
    """Import the object registered as `name` in `harness.<group>`.

    Raises LookupError if no plug-in has this name. Raises ImportError if its module cannot be imported, whatever that
    raises, or has no such object.
    """
    for entry in entry_points(group=f"harness.{group}", name=name):
        try:
            return entry.load()
        except Exception as error:
            raise error if isinstance(error, ImportError) else ImportError(f"{entry.value}: {error}") from error
    raise LookupError(f"no plug-in '{name}' in harness.{group}; registered: {', '.join(names(group))}")
