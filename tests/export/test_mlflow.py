"""A run in MLflow's own store, read back by its client."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.export.mlflow import EXPORTER


@pytest.fixture(scope="module")
def logged(source, tmp_path_factory):
    """A store with the run in it: its file, and a client of it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    told = EXPORTER.export(source, str(path))
    assert "2 nested runs" in told
    return path, MlflowClient(tracking_uri=f"sqlite:///{path}")


def test_rows_are_nested_runs_with_metrics_parameters_and_tags(source, logged):
    _, client = logged
    experiment = client.get_experiment_by_name("fakes").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`harness.run` = '{source.ranked.record.id}'")
    assert parent.data.tags["harness.first"] == "quick@here"
    runs = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    named = {run.info.run_name: run for run in runs}
    assert named.keys() == {"quick@here", "broken@here"}
    quick, row = named["quick@here"], next(r for r in source.ranked.ranking.rows if r.candidate == "quick")
    for key, measure in row.metrics.items():
        assert quick.data.metrics[key] == measure.value
        assert quick.data.metrics.get(f"{key}.high") == measure.high
    assert quick.data.params["version"] == 'v1 "final" \\ 2'
    assert quick.data.params["runtime"] == "fake"
    assert (quick.info.status, named["broken@here"].info.status) == ("FINISHED", "FAILED")
    assert "score" not in named["broken@here"].data.metrics


def test_the_record_is_an_artefact_that_can_be_read_back(source, logged, tmp_path):
    _, client = logged
    experiment = client.get_experiment_by_name("fakes").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`harness.run` = '{source.ranked.record.id}'")
    assert {"decision.json", "manifest.json", "ranking.json"} <= {
        each.path for each in client.list_artifacts(parent.info.run_id)
    }
    path = client.download_artifacts(parent.info.run_id, "decision.json", str(tmp_path))
    assert (tmp_path / "decision.json").samefile(path)
    assert (tmp_path / "decision.json").read_bytes() == (source.ranked.folder / "decision.json").read_bytes()


def test_a_run_is_logged_once(source, logged):
    with pytest.raises(SpecError, match="is there already"):
        EXPORTER.export(source, str(logged[0]))


def test_a_store_that_cannot_be_used_is_named(source, tmp_path):
    (tmp_path / "x.db").write_text("no database")
    with pytest.raises(SpecError, match=r"--out .*x\.db"):
        EXPORTER.export(source, str(tmp_path / "x.db"))
    with pytest.raises(SpecError, match="--out nosuch://x"):
        EXPORTER.export(source, "nosuch://x")
