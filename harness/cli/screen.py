"""The console on standard output. A reader that goes away (`| head`) changes neither what is done nor the exit code."""

import os
import sys

from rich.console import Console

from harness.cli.output import silence

_WIDTH = 160


class Screen(Console):
    """Prints as long as somebody reads."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True
        silence()


def screen() -> Screen:
    """Return the console for standard output; 160 columns where it is not a terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    return Screen(width=width, highlight=False)
