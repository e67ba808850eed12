"""The program: its commands, its error messages, its exit codes.

Commands import what they need when they are called, so that `harness --help` starts quickly.
"""

import errno
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from harness import __version__
from harness.cli import (
    baseline,
    capacity,
    compare,
    doctor,
    export,
    history,
    init,
    nightly,
    rank,
    release,
    report,
    run,
    selftest,
    show,
    suites,
    targets,
    tune,
    verify,
)
from harness.cli.output import silence
from harness.errors import HarnessError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    *(run.run, rank.rank, show.show, report.report, capacity.capacity, tune.tune),
    *(compare.compare, baseline.baseline, nightly.nightly, history.history, release.release),
    *(verify.verify, verify.approve, verify.sign, export.export),
    *(targets.targets, suites.suites, doctor.doctor, selftest.selftest, init.init),
)
for command in COMMANDS:
    app.command()(command)


def _show_version(asked: bool) -> None:
    """Print the version, and end."""
    if asked:
        sys.stdout.write(f"harness {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version, and exit.")
    ] = False,
) -> None:
    """Which model should serve, on which hardware, at what cost, and how sure are we?"""


def main() -> None:
    """Run the command line; every error that a user can mend is one message and an exit code."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as under nohup
            signal.signal(ending, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without some characters shows the others
    try:
        app()
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:  # no room for what is printed; a path that no file can have
        where = error.filename or ("standard output" if error.errno == errno.ENOSPC else "harness")
        sys.stderr.write(f"error: {where}: {error.strerror or error}\n")
        silence()
        sys.exit(HarnessError.exit_code)
