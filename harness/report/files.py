"""Writing what is derived from evidence: ranking.json, ranking.csv, measurements.parquet, report.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.analyse.frames import measurements, ranking_table
from harness.report.markdown import report
from harness.report.show import Ranked
from harness.trial.folder import cannot_write, write_json


def write_reports(ranked: Ranked) -> None:
    """Write every derived file of a run; each is whole or absent.

    Raises:
        EvidenceError: the folder cannot be written.
    """
    folder, record, ranking, policy = ranked
    write_json(folder / "policy.json", policy)
    first = record.suite.scenario[0].name
    write_json(folder / "ranking.json", ranking)
    table = ranking_table(ranking)
    _whole(folder / "ranking.csv", lambda path: table.to_csv(path, index=False))
    tidy = measurements(ranking, first)
    _whole(folder / "measurements.parquet", lambda path: tidy.to_parquet(path, index=False))
    text = report(record, ranking, policy)
    _whole(folder / "report.md", lambda path: path.write_text(text, encoding="utf-8"))


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
