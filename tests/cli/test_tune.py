"""`harness tune` as a user meets it: real starts of real functions, a table by size, and a run like any other."""

from __future__ import annotations

import json
from pathlib import Path

from .test_cli import SUITE, harness, write_fakes

FUNCTION = """
description = "a function of fakes"
runtime = "fake"
launcher = "function"
[limits]
memory_mib = 1769
cpu_period_ms = 20
[lifecycle]
mib_per_cpu = 1769
storage = "warm"
keep_alive_s = 300
[price]
model = "function"
usd_per_gb_s = 0.0000166667
usd_per_million_requests = 0.2
provisioned_usd_per_gb_s = 0.0000041667
provisioned_duration_usd_per_gb_s = 0.0000097222
source = "made up"
as_of = 2026-09-20
"""
USERS = """
[[scenario]]
name = "cold"
kind = "cold_start"
requests = 4
[[scenario]]
name = "users"
kind = "fleet"
rate_per_s = 0.01
requests = 5000
[policy.limits]
"users.latency_p50_ms" = { max = 5000 }
"""


def test_a_sweep_shows_cost_against_the_tail_and_is_a_run_like_any_other(tmp_path: Path):
    folder = write_fakes(tmp_path)
    (folder / "fn.toml").write_text(FUNCTION)
    (folder / "mine.toml").write_text(SUITE.replace("[policy.objectives]", f"{USERS}[policy.objectives]"))
    done = harness(
        folder,
        *("tune", "mine.toml", "--candidate", "fast", "--memory", "512,1769,10240"),
        *("--target", "fn.toml", "--quick", "--budget", "1s"),
    )
    assert done.returncode == 0, done.stderr
    assert "not measured: 10240 MiB buy 5.8 vCPUs" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["512"], ["1,769"])]
    assert [each[:2] for each in rows] == [["512", "0.29"], ["1,769", "1.00"]]
    assert "cost per month" in done.stdout and "cheapest that keeps the limits: 512 MiB" in done.stdout
    (run,) = (folder / "results").iterdir()
    told = json.loads((run / "ranking.json").read_text())["rows"]
    assert {row["target"] for row in told} == {"memory-512", "memory-1769"}
    small = next(row["metrics"] for row in told if row["target"] == "memory-512")
    assert 0.03 < small["users.cold_start_rate"]["value"] < 0.08  # e^-3 = 5 %
    assert small["cold_total_p50_ms"]["n"] == 10
    shown = harness(folder, "show", "latest", "memory-512")
    assert shown.returncode == 0, shown.stderr
    assert "kept instance would lower cold starts from" in shown.stdout
