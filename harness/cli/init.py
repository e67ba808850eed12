"""`harness init`: a suite for the user's own model."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import Dims, Inputs, console, say, shown


def init(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    dim: Dims = None,
    input_: Inputs = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.toml", help="The suite file to write; beside the model if not given."),
    ] = None,
) -> None:
    """Write a suite for your own model.

    Its inputs are read off the model, as far as --dim and --input do not say them; comments say what to change.
    """
    from harness.cli.suite_text import write_suite

    path, to = shown(write_suite(model, out, dim or (), input_ or ()).absolute()), console()
    say(to, f"wrote {path}")
    say(to, f"run it with: harness run {path}")
