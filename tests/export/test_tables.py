"""CSV and Parquet, read back by pandas and pyarrow."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq

from harness.export.tables import CSV, PARQUET


def test_a_table_has_every_metric_of_every_row_and_a_line_for_a_row_without(source, tmp_path):
    assert "columns" in CSV.export(source, str(tmp_path / "x.csv"))
    PARQUET.export(source, str(tmp_path / "x.parquet"))
    found = pd.read_csv(tmp_path / "x.csv")
    assert set(found["run"]) == {source.ranked.record.id}
    rows = {row.candidate: row for row in source.ranked.ranking.rows}
    quick = found[found.candidate == "quick"].set_index("metric")
    assert set(quick.index) == set(rows["quick"].metrics)
    assert quick.loc["latency_p50_ms", "value"] == rows["quick"].metrics["latency_p50_ms"].value
    assert set(quick["version"]) == {'v1 "final" \\ 2'}
    broken = found[found.candidate == "broken"]
    assert (len(broken), broken["status"].item(), broken["value"].isna().item()) == (1, "failed", True)
    table = pq.read_table(tmp_path / "x.parquet").to_pandas()
    assert list(table.columns) == list(found.columns)
    assert table["value"].tolist()[: len(quick)] == found["value"].tolist()[: len(quick)]
