"""`niced`: a fresh process on this machine with a lower scheduling priority."""

from __future__ import annotations

from pathlib import Path

from harness.launch.base import Terms
from harness.launch.process import ProcessLauncher

NICENESS = 5


class NicedLauncher(ProcessLauncher):
    """Starts the worker through nice(1), which becomes the worker's process."""

    name = "niced"

    def command(self, folder: Path, terms: Terms) -> list[str]:
        """Return the worker's command line below nice(1)."""
        return ["nice", "-n", str(NICENESS), *super().command(folder, terms)]
