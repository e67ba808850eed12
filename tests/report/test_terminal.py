"""What a terminal shows: text that looks like markup stays text, numbers have their units."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.report.footprint import footprint_table
from harness.report.lists import policy_lines
from harness.report.progress import Live
from harness.report.table import ranked_table
from harness.report.tune import tune_table
from harness.report.verdicts import headline
from harness.score.records import Ranking
from harness.score.verdicts import Comparison, Verdict
from harness.spec.policy import Limit, Policy

NAMED = "a [/b] [red]suite"
NOTHING = Ranking(suite="s", rows=())


@pytest.mark.parametrize(
    "table",
    [
        ranked_table(NOTHING, Policy(), NAMED),
        footprint_table(NOTHING, NAMED),
        tune_table(NOTHING, (), None, NAMED),
    ],
    ids=["ranked", "footprint", "tune"],
)
def test_a_title_is_text_whatever_is_in_it(table):
    out = io.StringIO()
    Console(file=out, width=120).print(table)
    assert NAMED in out.getvalue()


def test_a_step_is_text_whatever_is_in_it():
    out = io.StringIO()
    with Live(Console(file=out, width=120, force_terminal=True, color_system=None), clock=lambda: 9.0) as live:
        live.say(NAMED)
        live.tick("load [/x]")
    assert f"{NAMED} load [/x]" in out.getvalue()


def test_a_limit_has_its_unit():
    policy = Policy(limits={"latency_p99_ms": Limit(max=20.5), "accuracy": Limit(min=0.93)})
    assert policy_lines(policy) == ["limit: p99 at most 20.5 ms", "limit: accuracy at least 0.93"]


@pytest.mark.parametrize(("again", "words"), [(1, "1 suspect measured"), (2, "2 suspects measured")])
def test_suspects_are_counted_in_english(again, words):
    found = Comparison(suite="s", base=("b",), new="n", alpha=0.05, verdicts=(suspect(),) * again, rows=())
    assert words in headline(found)


def suspect() -> Verdict:
    nothing = dict.fromkeys(("base", "new", "change", "low", "high"))
    told = {"row": "a@x", "metric": "load_ms", "unit": "ms", "basis": "paired", "relative": True, "margin": 0.1, "n": 3}
    return Verdict(verdict="ambiguous", confirmed=False, **told, **nothing)
