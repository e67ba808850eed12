"""The selftest passes on this instrument, and fails on a broken one: each check, broken where it looks."""

from __future__ import annotations

import gc
import re
import sys
from functools import partial

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from harness.errors import EvidenceError
from harness.evidence.folder import DUE, START, write_outcome
from harness.launch.cgroup import texts
from harness.launch.limits import CONTROLLERS, Means, Quota, decide
from harness.pipeline import plan
from harness.pipeline.progress import Silent
from harness.scenarios.board import Board
from harness.score.rank import rank
from harness.selftest import order, prove, quota, races, records
from harness.selftest.records import Finding, Setting, at_least, at_most
from harness.spec.outcome import Outcome
from harness.spec.wire import Resources
from harness.stats.arrivals import constant
from harness.stats.pooled import pooled_quantile
from harness.stats.quantiles import Quantile, summarise
from harness.stats.racing import race

from ..launch.limited import require

SIZES = {20: 6, 30: 10, 45: 45, 120: 40, 150: 150, 300: 300, 400: 400}


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.said, self.ticks = [], []

    def say(self, text):
        self.said.append(text)

    def tick(self, phase):
        self.ticks.append(phase)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Do a part of what --quick does, except where thousands take no time; collect the garbage of a part at its end."""
    monkeypatch.setattr(Setting, "size", lambda self, quick, full: SIZES.get(quick, max(2, quick // 5)))
    monkeypatch.setattr(records, "_COLLECT", sys.maxsize)
    yield
    gc.collect()


def verdicts(name: str) -> list[Finding]:
    return prove.prove(0, True, Silent(), {name: prove.CHECKS[name]})


@pytest.mark.parametrize("name", prove.CHECKS)
def test_this_instrument_is_honest(name):
    for finding in verdicts(name):
        assert finding.passed, finding


def without_blocks(names, seed, number):
    """Run all trials of one cell, then all of the next: AAAA BBBB."""
    return tuple(plan.Planned(name, number, 8 * place + number) for place, name in enumerate(names))


def halved(samples, ps, confidence=0.95):
    """Give intervals of half the width."""
    found = summarise(samples, ps, confidence)
    return {p: Quantile(q.value, (q.value + q.low) / 2, (q.value + q.high) / 2) for p, q in found.items()}


def min_max(entries, policy, **how):
    """Score on the scale from the field's best to its worst."""
    scales = {
        key: msgspec.structs.replace(objective, limit=max(entry.metrics[key].value for entry in entries))
        for key, objective in policy.objectives.items()
        if key != "accuracy"
    }
    return rank(entries, msgspec.structs.replace(policy, objectives=policy.objectives | scales), **how)


def no_limit(limits, *where):
    """Grant everything but a memory limit."""
    return decide(msgspec.structs.replace(limits, memory_mib=None), *where)


def twice(by, folder, controller, setting):
    """Set a quota to twice of what it should be."""
    doubled = Quota(2 * setting.quota_us, setting.period_us) if isinstance(setting, Quota) else setting
    return texts(by, folder, controller, doubled)


def blind(*args):
    return 0.0


def narrow(ratio, trials, tail=0.975):
    """Take the requests of all trials for independent ones."""
    return 1.96


def typical(trials, p):
    """Read the percentile of the trial in the middle."""
    return pooled_quantile([sorted(trials, key=lambda trial: np.quantile(trial, p))[len(trials) // 2]] * 2, p)


def own_only(variance, df, residuals):
    """Moderate nothing, and believe in many degrees of freedom."""
    return variance, df * 0.0 + 100.0


def from_the_start_on(board):
    """Count latency from when a request was begun, not from when it was due: coordinated omission."""
    found = SERVED(board)
    return found | {DUE: found[START]}


SERVED = Board.served
BROKEN = {
    "trials are not run in blocks": ("A/A", [("harness.pipeline.plan.block", without_blocks)]),
    "everything within 20 % ties": (
        "power",
        [("harness.score.compare.TIE_MARGIN_LOG", 0.2), ("harness.stats.racing._level", lambda *args: 1e-12)],
    ),
    "intervals of trials are too narrow": ("lognormal sleeper", [("harness.scenarios.base.summarise", halved)]),
    "intervals of cells are too narrow": (
        "lognormal sleeper, over processes",
        [("harness.stats.pooled.half_width", lambda *args: 0.3)],
    ),
    "processes are pooled as if alike": ("pooled percentiles", [("harness.stats.pooled.half_width", narrow)]),
    "stalls of a few are lost": ("stalls", [("harness.selftest.clusters.pooled_quantile", typical)]),
    "variances are not moderated": ("family", [("harness.stats.pairs.moderate", own_only)]),
    "the ranking does not count its pairs": ("family", [("harness.stats.ranksets._could_err", lambda better: 2)]),
    "turns on a host are taken for independent": ("two-state host", [("harness.stats.pooled.half_width", narrow)]),
    "the memory limit is not enforced": ("OOM", [("harness.launch.means.decide", no_limit)]),
    "the quota is not what the target says": ("quota", [("harness.launch.cgroup.texts", twice)]),
    "MB are taken for MiB": ("memory", [("harness.analyse.cold._MIB", 1_000_000)]),
    "scores are scaled over the field": ("rank invariance", [("harness.selftest.order.rank", min_max)]),
    "a slow host is overlooked": ("noise warnings", [("harness.stats.disturbed.KERNEL_RATIO", 3.0)]),
    "every disturbance is a warning": ("noise warnings", [("harness.analyse.disturbance.disagrees", lambda *a: True)]),
    "latency is counted from the start": (
        "open loop, stall",
        [("harness.scenarios.board.Board.served", from_the_start_on)],
    ),
    "arrivals are evenly spaced": (
        "open loop, M/D/1",
        [("harness.scenarios.server.poisson", lambda rate, seconds, rng: constant(rate, seconds))],
    ),
    "waiting is left out of the prediction": (
        "open loop, Lindley",
        [("harness.scenarios.open_metrics.completions", lambda due, service, servers: due + service)],
    ),
    "the race drops whoever is behind": ("race", [("harness.stats.racing._level", lambda *args: 0.5)]),
    "the race forgets the dataset's error": (
        "race, one dataset",
        [("harness.selftest.races.race", lambda values, alive, rule, fixed: race(values, alive, rule))],
    ),
    "limits are certified too soon": (
        "certified limits",
        [("harness.selftest.races.certify_in_order", partial(races.certify_in_order, alpha=0.3))],
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_instrument_fails(fault, monkeypatch):
    name, changes = BROKEN[fault]
    if name == "quota":
        require("cpu")
    for where, what in changes:
        monkeypatch.setattr(where, what)
    found = verdicts(name)
    if name == "quota" and not found[0].available:
        pytest.skip(found[0].found)
    assert not all(finding.passed for finding in found), found


@pytest.mark.parametrize(
    ("wall_s", "cpu_s", "waited_s", "passed", "available"),
    [
        (2.0, 1.0, 0.0, True, True),
        (2.08, 1.0, 0.01, True, True),
        (2.15, 1.0, 0.01, False, True),
        (1.85, 1.0, 0.01, False, True),
        (2.4, 1.0, 0.4, True, False),
        (2.0, 1.0, 0.4, True, False),
        (1.5, 1.0, 0.4, False, True),
    ],
)
def test_a_quota_on_a_busy_host_shows_only_whether_it_is_broken(wall_s, cpu_s, waited_s, passed, available):
    time = quota.Time(wall_s * 1e9, cpu_s * 1e9, waited_s * 1e9)
    found = quota.judged(time, Resources(settle_s=0.1, limits={"cpus": "by a cgroup"}))
    assert (found.passed, found.available) == (passed, available), found.found
    none = quota.judged(time, Resources(limits={"cpus": "not enforced: no cgroup"}))
    assert (none.passed, none.available, none.found) == (True, False, "unavailable: not enforced: no cgroup")


def test_memory_of_cgroups_is_looked_at_too(monkeypatch):
    require("memory")
    found = {finding.test: finding for finding in verdicts("memory")}
    assert found["memory, own cgroup"].available and "n = 1 each" in found["memory, own cgroup"].found
    monkeypatch.setattr("harness.selftest.memory._MIB", 1_000_000)
    found = {finding.test: finding.passed for finding in verdicts("memory")}
    assert found == {"memory": True, "memory, own cgroup": False}


def test_what_this_machine_cannot_enforce_is_said_and_fails_nothing(monkeypatch):
    from harness.selftest.show import proof_table

    monkeypatch.setattr("harness.launch.means.find", lambda: Means({}, dict.fromkeys(CONTROLLERS, "nothing here")))
    for name, wanted in (("quota", ["quota"]), ("memory", ["memory, own cgroup"])):
        found = verdicts(name)
        assert all(finding.passed for finding in found)
        missing = [finding for finding in found if not finding.available]
        assert [finding.test for finding in missing] == wanted and "unavailable" in missing[0].found
        assert "unavailable" in next(iter(proof_table(missing).columns[4].cells))


def test_a_check_that_breaks_down_has_failed():
    def broken(setting):
        raise EvidenceError("no room")

    (proved,) = prove.prove(0, True, Silent(), {"broken": broken})
    assert not proved.passed
    assert "no room" in proved.found


def test_a_trial_that_fails_on_this_machine_fails_its_check_and_no_other(monkeypatch):
    def crashed(launcher, folder, job, terms):
        write_outcome(folder, Outcome(status="failed", failure="crash", message="signal 9"))
        return Outcome(status="failed", failure="crash", message="signal 9")

    monkeypatch.setattr("harness.selftest.queues.run_job", crashed)
    (proved,) = verdicts("open loop, Lindley")
    assert not proved.passed
    assert "a trial of 'load' failed: crash: signal 9" in proved.found


@pytest.mark.parametrize(("passed", "code", "word"), [(True, 0, "passed"), (False, 1, "failed")])
def test_the_exit_code_says_whether_all_passed(passed, code, word, monkeypatch):
    from harness.cli.app import app

    def check(setting):
        return [Finding("A [test]", "truth", "found", "wanted", passed)]

    monkeypatch.setattr(prove, "CHECKS", {"a check": check})
    result = CliRunner().invoke(app, ["selftest", "--quick", "--seed", "3"])
    assert result.exit_code == code
    assert f"a check: {word}" in result.output
    assert "A [test]" in result.output


def test_the_observer_hears_each_check_begin_go_on_and_end():
    def check(setting):
        return [Finding(str(len(list(setting.seeds(0, 3)))), "", "", "", True)]

    heard = Heard()
    prove.prove(0, True, heard, {"a check": check})
    begin, end = heard.said
    assert begin == "a check"
    assert re.fullmatch(r"a check: passed \(\d+\.\d s\)", end)
    assert heard.ticks == ["0 of 3", "1 of 3", "2 of 3", "3 of 3"]


def test_the_slack_is_the_binomial_one():
    assert (at_most(400, 0.05), at_least(200, 0.95), at_most(10, 0.0), at_least(10, 1.0)) == (31, 182, 0, 10)
    rng = np.random.default_rng(0)
    assert (rng.binomial(400, 0.05, 20_000) > at_most(400, 0.05)).mean() <= 0.012
    assert (rng.binomial(400, 0.05, 20_000) > at_most(400, 0.05) - 1).mean() > 0.01


def test_the_dominated_candidate_is_there_to_be_left_out():
    names = order.field(np.random.default_rng(0))
    assert len(names) == 5
    assert max(names, key=lambda name: names[name]["latency_ms"]) == order.DOMINATED
    assert min(names, key=lambda name: names[name]["accuracy"]) == order.DOMINATED
