"""The catalogue is open: plug-ins add metrics that policies may use."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.spec import plugins
from harness.spec.check import check_policy
from harness.spec.metrics import CATALOGUE, Metric, lookup, metric_names
from harness.spec.policy import Limit, Policy

RECALL = Metric("recall", "", "higher", "linear", "cell", "fraction of positives that are found")


class Recall:
    metric = RECALL


@pytest.fixture
def recall(monkeypatch):
    monkeypatch.setattr(plugins, "names", lambda group: ("recall", "torn") if group == "metrics" else ())
    monkeypatch.setattr(plugins, "load", loaded)


def loaded(group, name):
    if name == "torn":
        raise ImportError("no module named 'torn'")
    return Recall


def limits(**found):
    return Policy(limits={key: Limit(min=value) for key, value in found.items()})


def test_a_metric_of_a_plug_in_may_be_limited(recall):
    assert lookup("recall") is lookup("offline.recall") is RECALL
    assert metric_names() == (*CATALOGUE, "recall", "torn")
    check_policy(limits(recall=0.5), "p.toml", ["a"])


def test_the_nearest_metric_may_be_a_plug_ins(recall):
    with pytest.raises(SpecError, match=r"unknown metric 'recal' \(did you mean 'recall'\?\)"):
        check_policy(limits(recal=0.5), "p.toml", ["a"])


def test_a_metric_whose_plug_in_cannot_be_imported_is_an_error(recall):
    with pytest.raises(SpecError, match=r"policy\.limits\.torn: the metric 'torn' cannot be loaded: no module"):
        check_policy(limits(torn=0.5), "p.toml", ["a"])


def test_a_metric_without_plug_in_is_not_known():
    with pytest.raises(KeyError):
        lookup("no_such_metric")
