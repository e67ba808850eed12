"""MLflow: a run and its rows as a parent run with nested ones: parameters, metrics with intervals, tags, artefacts."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import SpecError
from harness.export.base import Source, missing
from harness.pipeline.decision import FILE as DECISION
from harness.pipeline.decision import SIGNATURE
from harness.score.records import Row

_ARTEFACTS = ("ranking.json", "ranking.csv", DECISION, SIGNATURE, "manifest.json", "report.md", "report.html")
_TAG = "harness.run"
_PLAIN = ("score", "score_low", "score_high", "p_best", "place", "rank_low", "rank_high")


class MlFlow:
    """Logs to a tracking store: a SQLite file, or what MLflow takes for a tracking URI."""

    name = "mlflow.db"

    def export(self, source: Source, out: str) -> str:
        """Log the run; `out` is a file for SQLite, or a tracking URI. An exported run is not logged again."""
        client = _client(out)
        errors = _errors()
        try:
            parent, rows = _log(client, source, out)
        except errors as error:
            raise SpecError(f"--out {out}", f"MLflow did not take the run: {error}") from error
        return f"run {parent} of experiment '{source.suite}', with {rows} nested runs"


def _log(client: Any, source: Source, out: str) -> tuple[str, int]:
    experiment = _experiment(client, source.suite, out)
    known = client.search_runs([experiment], f"tags.`{_TAG}` = '{source.ranked.record.id}'", max_results=1)
    if known:
        raise SpecError(f"--out {out}", f"the run is there already, as {known[0].info.run_id}", "delete it there first")
    begin_ms = int(datetime.fromisoformat(source.ranked.record.created).timestamp() * 1000)
    parent = client.create_run(experiment, begin_ms, _tags(source), source.ranked.record.id).info.run_id
    for row in source.ranked.ranking.rows:
        tags = {"mlflow.parentRunId": parent, "harness.status": row.status, "harness.parent": source.ranked.record.id}
        child = client.create_run(experiment, begin_ms, tags, f"{row.candidate}@{row.target}").info.run_id
        _batch(client, child, begin_ms, _parameters(source, row), dict(_metrics(row)))
        client.set_terminated(child, "FAILED" if row.status == "failed" else "FINISHED")
    for name in _ARTEFACTS:
        if (source.ranked.folder / name).is_file():
            client.log_artifact(parent, str(source.ranked.folder / name))
    client.set_terminated(parent)
    return parent, len(source.ranked.ranking.rows)


def _experiment(client: Any, name: str, out: str) -> str:
    """Return the id of the suite's experiment; a new one in a file keeps its artefacts beside the file."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    place = None if "://" in out else (Path(out).absolute().parent / "mlflow-artifacts" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _tags(source: Source) -> dict[str, str]:
    record, first = source.ranked.record, next((r for r in source.ranked.ranking.rows if r.place == 1), None)
    best = {} if first is None else {"harness.first": f"{first.candidate}@{first.target}"}
    return {_TAG: record.id, "harness.version": record.harness, "harness.suite": source.suite, **best}


def _parameters(source: Source, row: Row) -> dict[str, str]:
    cell = next(c for c in source.reader.cells if (c.candidate.name, c.target.name) == (row.candidate, row.target))
    prepared = source.reader.prepared.cells.get(cell.name)
    variant = prepared.variant if prepared is not None else None
    found = {"candidate": row.candidate, "version": cell.candidate.version, "target": row.target}
    found |= {"runtime": cell.target.runtime, "device": cell.target.device, "precision": cell.target.precision}
    return found | ({"variant_sha256": variant.digest, "format": variant.format} if variant is not None else {})


def _metrics(row: Row) -> Iterator[tuple[str, float]]:
    """Yield what is known of a row by name; the ends of an interval as `<metric>.low`, `<metric>.high`."""
    for name in _PLAIN:
        if (value := getattr(row, name)) is not None:
            yield name, float(value)
    yield from (("eligible", float(row.eligible)), ("may_be_best", float(row.may_be_best)))
    for key, measure in row.metrics.items():
        for name, end in ((key, measure.value), (f"{key}.low", measure.low), (f"{key}.high", measure.high)):
            if end is not None:
                yield name, float(end)


def _batch(client: Any, run: str, at_ms: int, parameters: dict[str, str], metrics: dict[str, float]) -> None:
    from mlflow.entities import Metric, Param

    told = [Metric(name, value, at_ms, 0) for name, value in metrics.items()]
    client.log_batch(run, metrics=told, params=[Param(name, value) for name, value in parameters.items() if value])


def _client(out: str) -> Any:
    """Open a tracking store. Unless the environment says otherwise, MLflow sends no usage figures and prints little."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    uri = out if "://" in out else f"sqlite:///{Path(out).absolute()}"
    try:
        from mlflow import MlflowClient

        if uri.startswith("sqlite:"):
            import alembic  # noqa: F401
            import sqlalchemy  # noqa: F401

            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=uri)
    except ImportError as error:
        raise missing("mlflow", error) from error
    except _errors() as error:
        raise SpecError(f"--out {out}", f"MLflow cannot open it: {error}", "give a file, or a tracking URI") from error


def _errors() -> tuple[type[Exception], ...]:
    """Return what MLflow raises, its database and its connection included (OSError: requests')."""
    from mlflow.exceptions import MlflowException

    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return (MlflowException, OSError)
    return (MlflowException, SQLAlchemyError, OSError)


EXPORTER = MlFlow()
