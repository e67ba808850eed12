"""Plug-ins by name, from entry-point groups. Listing names imports nothing; only what is named is loaded.

Groups: `harness.formats`, `harness.metrics`, `harness.scenarios`, `harness.conversions`, `harness.runtimes`,
`harness.probes`, `harness.launchers`, `harness.exporters`. Built-ins are registered in the same way as third parties'
plug-ins.
"""

import re
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


def extra(group: str, name: str, module: str) -> str | None:
    """Return what brings a module that a plug-in misses, as `distribution[extra]`.

    It is an extra of the plug-in's distribution that requires a package of the module's name; None if there is none.
    """
    owners = [entry.dist for entry in entry_points(group=f"harness.{group}", name=name) if entry.dist is not None]
    for owner in owners:
        for need in owner.requires or ():
            package = re.match(r"[A-Za-z0-9._-]+", need)
            found = re.search(r"""extra\s*==\s*["']([^"']+)["']""", need)
            if package and found and _normal(package[0]) == _normal(module):
                return f"{owner.name}[{found[1]}]"
    return None


def _normal(name: str) -> str:
    """Return a package's name as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
