"""Plug-ins by name, from entry-point groups. Listing names imports nothing; only what is named is loaded.

Groups: `harness.formats`, `harness.metrics`, `harness.scenarios`, `harness.conversions`, `harness.runtimes`,
`harness.probes`, `harness.launchers`, `harness.exporters`. Built-ins are registered in the same way as third parties'
plug-ins.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


def _registered(group: str) -> EntryPoints:
    """Return the entry points of `harness.<group>`. Importing what reads them takes 15 ms: not for every process."""
    from importlib.metadata import entry_points

    return entry_points(group=f"harness.{group}")


@cache
def names(group: str) -> tuple[str, ...]:
    """Return the names registered in `harness.<group>`, sorted."""
    return tuple(sorted(_registered(group).names))


@cache
def load(group: str, name: str) -> Any:
    """Import the object registered as `name` in `harness.<group>`.

    Raises LookupError if no plug-in has this name. Raises ImportError if its module cannot be imported, whatever that
    raises, or has no such object.
    """
    for entry in _registered(group).select(name=name):
        try:
            return entry.load()
        except Exception as error:
            raise error if isinstance(error, ImportError) else ImportError(f"{entry.value}: {error}") from error
    raise LookupError(f"no plug-in '{name}' in harness.{group}; registered: {', '.join(names(group))}")


def entry(group: str, name: str) -> str:
    """Return where the plug-in `name` of `harness.<group>` is, as `module:object`; nothing is imported.

    Raises LookupError if no plug-in has this name.
    """
    for found in _registered(group).select(name=name):
        return found.value
    raise LookupError(f"no plug-in '{name}' in harness.{group}; registered: {', '.join(names(group))}")


def extra(group: str, name: str, module: str) -> str | None:
    """Return what brings a module that a plug-in misses, as `distribution[extra]`.

    It is an extra of the plug-in's distribution that requires a package of the module's name; None if there is none.
    """
    owners = [entry.dist for entry in _registered(group).select(name=name) if entry.dist is not None]
    for owner in owners:
        for need in owner.requires or ():
            package = re.match(r"[A-Za-z0-9._-]+", need)
            found = re.search(r"""extra\s*==\s*["']([^"']+)["']""", need)
            if package and found and _normal(package[0]) == _normal(module):
                return f"{owner.name}[{found[1]}]"
    return None


def what_brings(error: ImportError, group: str, name: str) -> str | None:
    """Say what is missing and how to install it, where an extra brings what a plug-in could not import; else None."""
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    found = extra(group, name, absent.partition(".")[0]) if absent else None
    return f"{error}: pip install '{found}'" if found else None


def _normal(name: str) -> str:
    """Return a package's name as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
