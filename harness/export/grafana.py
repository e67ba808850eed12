"""Grafana: three dashboards over the metrics that `prometheus` writes, and alert rules with burn rates.

Executive: what to deploy and why. On-call: are the objectives kept, is the data fresh. Debug: one model on one target.
"""

import json
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.evidence.files import cannot_write, write_whole
from harness.export.base import Source

_ROWS = 'suite=~"$suite", model=~"$model", target=~"$target"'
_SUITE = 'suite=~"$suite"'
_WIDTH = 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
Kind = Literal["stat", "table", "timeseries", "bargauge"]


class Panel(NamedTuple):
    """A panel: title, kind, (query, legend) pairs, unit of Grafana, width of 24 columns, threshold of alarm."""

    title: str
    kind: Kind
    queries: tuple[tuple[str, str], ...]
    unit: str = "none"
    width: int = 12
    alarm: float | None = None


def _of(name: str, more: str = "") -> str:
    return f"{name}{{{_ROWS}{more}}}"


_FAILED = _of("harness_row_status", ', status="failed"')
_P99 = ', percentile="99"'
_WHO = "{{model}} on {{target}}"
_WHAT = f"{_WHO}: {{{{objective}}}}"
_BURN = (
    f"{_of('harness_objective_slow_requests')} / {_of('harness_objective_requests')} "
    f"/ {_of('harness_objective_budget_ratio')}"
)
_EXECUTIVE = (
    Panel("First place", "table", ((f"{_of('harness_row_place')} == 1", _WHO),), width=8),
    Panel("May be the best", "stat", ((f"sum by (suite) ({_of('harness_row_may_be_best')})", "{{suite}}"),), width=4),
    Panel("Keep every limit", "stat", ((f"sum by (suite) ({_of('harness_row_eligible')})", "{{suite}}"),), width=4),
    Panel(
        "Last run",
        "stat",
        ((f"harness_run_created_timestamp_seconds{{{_SUITE}}} * 1000", "{{suite}}"),),
        "dateTimeFromNow",
        8,
    ),
    Panel("Chance of being the best", "bargauge", ((_of("harness_row_p_best"), _WHO),), "percentunit"),
    Panel("Score", "bargauge", ((_of("harness_row_score"), _WHO),)),
    Panel("Cost of a million inferences", "bargauge", ((_of("harness_cost_per_million_usd"), _WHO),), "currencyUSD"),
    Panel("Accuracy", "bargauge", ((_of("harness_accuracy"), _WHO),), "percentunit"),
    Panel("Score over runs", "timeseries", ((_of("harness_row_score"), _WHO),), width=24),
)
_ON_CALL = (
    Panel("Burn rate (1: the error budget is used up)", "timeseries", ((_BURN, _WHAT),), alarm=1),
    Panel(
        "Requests slower than the threshold",
        "timeseries",
        (
            (
                f"{_of('harness_objective_slow_requests')} / {_of('harness_objective_requests')}",
                _WHAT,
            ),
        ),
        "percentunit",
    ),
    Panel(
        "p99 and the threshold",
        "timeseries",
        (
            (_of("harness_latency_seconds", _P99), _WHO),
            (_of("harness_objective_threshold_seconds"), f"threshold of {_WHO}: {{{{objective}}}}"),
        ),
        "s",
    ),
    Panel(
        "Age of the last run",
        "stat",
        ((f"time() - harness_run_created_timestamp_seconds{{{_SUITE}}}", "{{suite}}"),),
        "s",
        6,
        36 * 3600,
    ),
    Panel(
        "Failed",
        "stat",
        ((f"sum by (suite) ({_FAILED}) or vector(0)", "{{suite}}"),),
        width=6,
        alarm=1,
    ),
    Panel("Status", "table", ((_of("harness_row_status"), f"{_WHO}: {{{{status}}}}"),)),
    Panel("Warnings", "table", ((f"{_of('harness_row_warnings')} > 0", _WHO),)),
)
_DEBUG = (
    Panel("Latency", "timeseries", ((_of("harness_latency_seconds"), f"{_WHO} p{{{{percentile}}}}"),), "s", 24),
    Panel(
        "p99 with its interval",
        "timeseries",
        tuple(
            (_of(f"harness_latency_seconds{end}", _P99), f"{_WHO}{text}")
            for end, text in (("_low", " low"), ("", ""), ("_high", " high"))
        ),
        "s",
    ),
    Panel("Throughput", "timeseries", ((_of("harness_throughput_per_second"), f"{_WHO}: {{{{scenario}}}}"),), "reqps"),
    Panel("Loading", "timeseries", ((_of("harness_load_seconds"), _WHO),), "s", 8),
    Panel("First inference", "timeseries", ((_of("harness_first_inference_seconds"), _WHO),), "s", 8),
    Panel("Warm-up", "timeseries", ((_of("harness_warm_up_inferences"), _WHO),), width=8),
    Panel(
        "Memory",
        "timeseries",
        tuple(
            (_of(f"harness_memory_{name}_bytes"), f"{_WHO} {name}") for name in ("peak", "loaded", "baseline", "anon")
        ),
        "bytes",
    ),
    Panel("Size on disk", "timeseries", ((_of("harness_artefact_bytes"), _WHO),), "bytes"),
    Panel(
        "The host",
        "timeseries",
        (
            (f"harness_run_host_disturbed_ratio{{{_SUITE}}}", "slices disturbed"),
            (f"harness_run_host_steal_ratio{{{_SUITE}}}", "time stolen"),
        ),
        "percentunit",
    ),
    Panel("Ranks that a row could have", "timeseries", tuple(
        (_of(f"harness_row_rank_{end}"), f"{_WHO} {end}") for end in ("low", "high")
    )),
)  # fmt: skip
DASHBOARDS = {
    "executive": ("Harness: what to deploy", _EXECUTIVE),
    "on-call": ("Harness: objectives", _ON_CALL),
    "debug": ("Harness: one model on one target", _DEBUG),
}


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard in Grafana's JSON model, for import or provisioning."""
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"harness-{name}",
        "title": title,
        "tags": ["harness"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-30d", "to": "now"},
        "templating": {"list": [_source_variable(), *map(_variable, ("suite", "model", "target"))]},
        "panels": _laid_out(panels),
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}


def _variable(label: str) -> dict[str, Any]:
    query = f"label_values(harness_row_status, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _laid_out(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Place panels from left to right, in rows of 24 columns."""
    found: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + 8
        found.append(_panel(number, panel) | {"gridPos": {"x": x, "y": y, "w": panel.width, "h": 8}})
        x += panel.width
    return found


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "expr": query,
            "legendFormat": legend,
            "datasource": _DATASOURCE,
            "instant": instant,
            "range": not instant,
            "format": "table" if panel.kind == "table" else "time_series",
        }
        for index, (query, legend) in enumerate(panel.queries)
    ]
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }


def alert_rules() -> str:
    """Return the alert rules, as Prometheus reads them."""
    return files("harness.export").joinpath("alerts.yml").read_text(encoding="utf-8")


class Grafana:
    """Writes the dashboards and alert rules into a folder. They are the same for every run."""

    name = "grafana"

    def export(self, source: Source, out: str) -> str:
        """Write the files; `out` is a folder. Raises EvidenceError if it is a file."""
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        texts = {f"{name}.json": json.dumps(dashboard(name), indent=1) + "\n" for name in DASHBOARDS}
        for name, text in {**texts, "harness.rules.yml": alert_rules()}.items():
            write_whole(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))
        return f"{len(texts)} dashboards, and alert rules"


EXPORTER = Grafana()
