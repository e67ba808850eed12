"""Probes of a third party beside the built-in ones: one that reads, and three that cannot be used."""

from __future__ import annotations

import csv

TRIAL = "cells/m@place/trial-01"


def test_a_probe_adds_columns_with_units_and_facts(bench, fake) -> None:
    slow = fake.replace("0.5", "60") + 'clock = "real"\n'
    done = bench.run({"m.fake.toml": slow})
    assert done.status == 0, done.text
    record = done.read(f"{TRIAL}/outcome.json")["launched"]["probes"]["files"]
    assert record == {"columns": {"open_fds": "1", "niceness": "1"}, "facts": {"watched": 1}}
    with (done.run / TRIAL / "telemetry.csv").open() as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert {"files.open_fds", "host.steal_s", "process.rss_bytes"} <= set(reader.fieldnames)
    assert not any(name.startswith(("watt.", "broken.", "misspelt.")) for name in reader.fieldnames)
    counts = [int(row["files.open_fds"]) for row in rows if row["files.open_fds"]]
    assert len(rows) >= 2 and max(counts) >= 4  # three standard ones and the event log
    assert all(None not in row.values() for row in rows)  # no row is shorter than the header


def test_probes_that_cannot_be_used_are_recorded_and_the_run_goes_on(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake})
    assert done.status == 0, done.text
    probes = done.read(f"{TRIAL}/outcome.json")["launched"]["probes"]
    assert set(probes) == {"broken", "cgroup", "files", "host", "misspelt", "nvml", "process", "rapl", "watt"}
    assert probes["watt"] == {"unavailable": "no power meter on this host"}
    assert probes["broken"]["unavailable"] == "cannot be loaded: No module named 'a_package_that_nobody_has'"
    assert probes["misspelt"]["unavailable"].startswith("cannot be loaded: ")
    assert "FilesProbe" in probes["misspelt"]["unavailable"]
    assert done.row("m")["metrics"]["latency_p50_ms"]["value"] == 0.5
