"""What the check of a target says: whether it can be used, and whether its trials may be forks."""

from __future__ import annotations

import pytest

from harness.runtimes.fake import FakeRuntime
from harness.spec.target import Target
from harness.spec.wire import CheckTarget
from harness.worker import target as worker
from harness.worker.target import check_target

JOB = CheckTarget(target=Target(name="t", description="d", runtime="fake"))


class Unforkable(FakeRuntime):
    def forkable(self, target: Target) -> bool:
        return False


class Older(FakeRuntime):
    """A runtime of a third party from before there were forks."""

    forkable = None


@pytest.mark.parametrize(("runtime", "forkable"), [(FakeRuntime, True), (Unforkable, False), (Older, False)])
def test_a_runtime_says_whether_its_trials_may_be_forks(
    monkeypatch: pytest.MonkeyPatch, runtime: type[FakeRuntime], forkable: bool
) -> None:
    monkeypatch.setattr(worker, "load_runtime", lambda name: runtime())
    outcome = check_target(JOB)
    assert (outcome.status, outcome.formats, outcome.settings) == ("ok", ("fake",), {"forkable": forkable})


class OnDevice(FakeRuntime):
    def precisions(self, target: Target) -> tuple[str, ...]:
        return (target.precision, "fp32")

    def facts(self, target: Target) -> dict[str, str]:
        return {"device_name": "a GPU"}


def test_a_runtime_says_what_it_casts_and_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "load_runtime", lambda name: OnDevice())
    outcome = check_target(CheckTarget(target=Target(name="t", description="d", runtime="fake", precision="fp16")))
    assert outcome.precisions == ("fp16", "fp32")
    assert outcome.settings == {"forkable": True, "device_name": "a GPU"}
    monkeypatch.setattr(worker, "load_runtime", lambda name: Older())
    assert check_target(JOB).precisions == ()


def test_a_runtime_that_is_not_there_is_wrong_or_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = check_target(CheckTarget(target=Target(name="t", description="d", runtime="fakke")))
    assert wrong.status == "invalid" and "fake" in wrong.message

    def missing(name: str) -> FakeRuntime:
        raise ImportError("No module named 'libx'")

    monkeypatch.setattr(worker, "load_runtime", missing)
    unavailable = check_target(JOB)
    assert unavailable.status == "unavailable" and "libx" in unavailable.message
