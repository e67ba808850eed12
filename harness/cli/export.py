"""`harness export`: a run in a format that another tool reads."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import RESULTS, RunName, console, say, shown


def export(
    run: RunName,
    formats: Annotated[
        list[str], typer.Argument(metavar="FORMAT…", help="csv, prometheus, mlflow, …; an unknown one lists all.")
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="PLACE", help="A file, folder or address, as the format takes it.")
    ] = None,
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="Where runs are kept.")] = RESULTS,
) -> None:
    """Write a run in formats that other tools read.

    Into its folder, unless --out names another place.
    """
    from harness.errors import SpecError
    from harness.evidence.run import find
    from harness.export.base import FOLDER, exporter, open_source

    if out is not None and len(formats) > 1:
        raise SpecError("--out", "is one place, for one format", "export one format at a time")
    loaded = {name: exporter(name) for name in formats}
    folder, to = find(run, results), console()
    source = open_source(folder)
    for name, each in loaded.items():
        place = out or str(folder / FOLDER / each.name)
        what = each.export(source, place)
        say(to, f"{name}: {what}: {shown(Path(place).absolute()) if '://' not in place else place}")
