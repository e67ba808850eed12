"""The table of a memory sweep, and the cheapest size that keeps the limits."""

from __future__ import annotations

from rich.console import Console

from harness.pipeline.tune import sized
from harness.report.kept import kept
from harness.report.tune import tune_table, verdict
from harness.score.records import Ranking
from harness.spec.diagnostics import diagnostic
from harness.spec.find import load_target

from .test_cells import measure, row

COST = "cost_per_million_usd"
TARGETS = [sized(load_target("serverless-1769"), mib) for mib in (512, 1024, 1769)]


def ranking(*rows):
    return Ranking(suite="s", rows=rows, notes=())


def size(mib, cost, **more):
    metrics = {COST: measure(*cost), "users.latency_p99_ms": measure(389.0, 299.0, 573.0)}
    return row(candidate="a", target=f"memory-{mib}", metrics=metrics, **more)


CHEAP, NEAR, DEAR = (0.3, 0.29, 0.31), (0.32, 0.305, 0.34), (0.6, 0.5, 0.7)


def test_the_cheapest_of_those_that_keep_the_limits_is_named_with_what_is_as_cheap():
    told = ranking(size(1769, CHEAP, eligible=False), size(512, CHEAP), size(1024, NEAR))
    assert verdict(told, TARGETS) == (
        "cheapest that keeps the limits: 512 MiB, 0.3 USD per million; not told apart in cost from 1,024 MiB"
    )
    assert verdict(ranking(size(1769, CHEAP), size(512, DEAR), size(1024, DEAR)), TARGETS) == (
        "cheapest that keeps the limits: 1,769 MiB, 0.3 USD per million"
    )


def test_what_is_undecided_or_broken_is_not_called_kept():
    undecided = {"eligible": False, "status": "undecided"}
    told = ranking(size(512, CHEAP, **undecided), size(1024, DEAR, **undecided), size(1769, CHEAP, eligible=False))
    assert verdict(told, TARGETS) == (
        "no size is certain to keep the limits; cheapest of those that may: 512 MiB, 0.3 USD per million"
    )
    broken = ranking(*(size(mib, CHEAP, eligible=False) for mib in (512, 1024, 1769)))
    assert verdict(broken, TARGETS) == "no size keeps the limits at a cost that is known"


def test_sizes_are_rows_smallest_first_with_whole_tails():
    told = ranking(size(1769, DEAR), size(1024, NEAR, eligible=False), size(512, CHEAP))
    console = Console(width=140)
    with console.capture() as shown:
        console.print(tune_table(told, TARGETS, "users", "which size?"))
    lines = [line for line in shown.get().splitlines() if " 0.29 " in line or " 0.58 " in line or " 1.00 " in line]
    assert [line.split()[0] for line in lines] == ["512", "1,024", "1,769"]
    assert [line.split()[-1] for line in lines] == ["kept", "broken", "kept"]
    assert "[299, 573]" in shown.get() and "p99 (users)" in shown.get()


def test_a_report_lists_what_kept_instances_cost():
    said = diagnostic(
        "provisioned", "…", provisioned=[0, 1], cold_rate=[0.035, 0.0], p99_ms=[389.0, 9.0], usd=[0.02, None]
    )
    lines = kept(ranking(size(512, CHEAP, reasons=(said,)), size(1024, CHEAP))).splitlines()
    assert lines[2:] == ["| a@memory-512 | 0 | 3.50 % | 389 | 0.02 |", "| a@memory-512 | 1 | 0.00 % | 9 | – |"]
    assert kept(ranking(size(512, CHEAP))) == ""
