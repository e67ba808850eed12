"""Runtimes by name, from the entry-point group `harness.runtimes`. Listing imports nothing."""

from __future__ import annotations

from importlib.metadata import entry_points

from harness.runtimes.base import Runtime

GROUP = "harness.runtimes"


def names() -> tuple[str, ...]:
    """Return the names of all registered runtimes, without importing any."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load(name: str) -> Runtime:
    """Import and make the runtime called `name`.

    Raises:
        LookupError: no such runtime is registered.
        ImportError: its module, or what that needs, is not installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        runtime: Runtime = entry.load()()
        return runtime
    raise LookupError(f"unknown runtime '{name}'; registered: {', '.join(names())}")
