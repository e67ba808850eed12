"""CSV and Parquet: every metric of every row in tidy form, with its run. A row without metrics keeps a line."""

from pathlib import Path
from typing import Literal

import pandas as pd

from harness.analyse.frames import COLUMNS, measurements
from harness.evidence.files import write_whole
from harness.export.base import Source

_RUN = ("run", "created", "suite", "candidate", "version", "target", "status", "place")


class Table:
    """Writes the tidy table as a file of one kind."""

    def __init__(self, kind: Literal["csv", "parquet"]) -> None:
        self.name, self._kind = f"measurements.{kind}", kind

    def export(self, source: Source, out: str) -> str:
        """Write the table; `out` is a file."""
        table = tidy(source)
        write = table.to_csv if self._kind == "csv" else table.to_parquet
        write_whole(Path(out), lambda path: write(path, index=False))
        return f"{len(table)} lines of {len(table.columns)} columns"


def tidy(source: Source) -> pd.DataFrame:
    """Return one line per row and metric; a row without any has one with an empty metric."""
    record, ranking = source.ranked.record, source.ranked.ranking
    rows = pd.DataFrame(
        [
            (record.id, record.created, source.suite, r.candidate, source.version(r), r.target, r.status, r.place)
            for r in ranking.rows
        ],
        columns=list(_RUN),
    ).astype({"place": "Int64"})
    found = rows.merge(measurements(ranking, record.suite.scenario[0].name), how="left", on=["candidate", "target"])
    counts = dict.fromkeys(("n", "trials"), "Int64")
    return found.astype(counts)[[*_RUN, *COLUMNS[2:]]]


CSV, PARQUET = Table("csv"), Table("parquet")
