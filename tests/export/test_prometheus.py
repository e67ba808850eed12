"""The text format, read by Prometheus' own client; dashboards and rules name only what is written."""

from __future__ import annotations

import json
import re

import numpy as np
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.errors import EvidenceError
from harness.export.grafana import DASHBOARDS, alert_rules, dashboard
from harness.export.grafana import EXPORTER as GRAFANA
from harness.export.prometheus import EXPORTER, helps, place_of
from harness.export.slo import objectives
from harness.spec.metrics import CATALOGUE

RECORDED = ("harness:burn_rate",)


@pytest.fixture(scope="module")
def families(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("collector") / "harness.prom"
    EXPORTER.export(source, str(path))
    assert [each.name for each in path.parent.iterdir()] == ["harness.prom"]
    return {each.name: each for each in text_string_to_metric_families(path.read_text())}


def value(families, name, **labels):
    found = [s.value for s in families[name].samples if labels.items() <= s.labels.items()]
    assert len(found) == 1
    return found[0]


def test_values_are_in_base_units_with_the_ends_of_their_intervals(source, families):
    quick = next(row for row in source.ranked.ranking.rows if row.candidate == "quick")
    for key, percentile in (("latency_p50_ms", "50"), ("latency_p90_ms", "90")):
        labels = {"model": "quick", "target": "here", "scenario": "interactive", "percentile": percentile}
        assert value(families, "harness_latency_seconds", **labels) == quick.metrics[key].value * 1e-3
        assert value(families, "harness_latency_seconds_low", **labels) == quick.metrics[key].low * 1e-3
    memory = value(families, "harness_memory_peak_bytes", model="quick")
    assert memory == quick.metrics["memory_peak_mib"].value * 2**20
    assert all(family.type == "gauge" and family.documentation for family in families.values())


def test_labels_survive_quotes_and_backslashes(families):
    versions = {s.labels["version"] for s in families["harness_row_status"].samples}
    assert versions == {'v1 "final" \\ 2', ""}


def test_what_is_not_known_has_no_sample(families):
    assert value(families, "harness_row_status", model="broken", status="failed") == 1
    assert value(families, "harness_row_eligible", model="broken") == 0
    assert not [s for s in families["harness_row_place"].samples if s.labels["model"] == "broken"]
    assert not [s for s in families["harness_latency_seconds"].samples if s.labels["model"] == "broken"]


def test_slow_requests_are_counted_against_the_policys_limit(source, families):
    trials = source.reader.trials("quick@here")
    latencies = np.concatenate([np.asarray(trial.latencies("interactive")) for trial in trials])
    slow = value(families, "harness_objective_slow_requests", objective="latency_p90_ms")
    assert value(families, "harness_objective_requests", model="quick") == len(latencies)
    assert slow == np.count_nonzero(latencies > 1.5e6)
    assert value(families, "harness_objective_threshold_seconds", model="quick") == 1.5e-3
    (found,) = objectives(source)
    assert found.burn_rate == pytest.approx(slow / len(latencies) / 0.1)


def test_every_name_is_known_and_every_metric_of_the_catalogue_has_one(families):
    assert set(families) <= set(helps())
    names = [place_of(key) for key in CATALOGUE]
    assert len({(place.name, *place.labels.values()) for place in names}) == len(CATALOGUE)
    assert all(re.fullmatch(r"harness_[a-z0-9_]+", name) for name in helps())


def queries() -> dict[str, str]:
    found = {}
    for name in DASHBOARDS:
        for panel in dashboard(name)["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                found[f"{name}: {panel['title']} {target['refId']}"] = re.sub(r"\$\w+", ".*", query)
    rules = re.findall(r"expr: (?:>-\n\s+)?(.+)", alert_rules())
    return found | {f"rule {number}": text for number, text in enumerate(rules)}


@pytest.mark.parametrize("name", queries())
def test_dashboards_and_rules_are_promql_over_what_is_written(name):
    query = queries()[name]
    promql_parser.parse(query)
    used = set(re.findall(r"\bharness[_:][a-zA-Z0-9_]+", query))
    assert used
    assert used <= {*helps(), *RECORDED}
    labels = set(re.findall(r"(\w+)=~?\"", query))
    assert labels <= {"suite", "model", "target", "scenario", "percentile", "status"}


def test_dashboards_are_written_with_the_rules(source, tmp_path):
    GRAFANA.export(source, str(tmp_path / "grafana"))
    assert sorted(path.name for path in (tmp_path / "grafana").iterdir()) == [
        *("debug.json", "executive.json", "harness.rules.yml", "on-call.json"),
    ]
    for name in DASHBOARDS:
        found = json.loads((tmp_path / "grafana" / f"{name}.json").read_text())
        assert [panel["id"] for panel in found["panels"]] == [*range(1, len(found["panels"]) + 1)]
        places = [panel["gridPos"] for panel in found["panels"]]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        assert len({(place["x"], place["y"]) for place in places}) == len(places)
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="file"):
        GRAFANA.export(source, str(tmp_path / "file"))
