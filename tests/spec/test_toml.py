from __future__ import annotations

import copy
import math
import string
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SpecError
from harness.spec import plugins, toml
from harness.spec.metrics import nearest
from harness.spec.ranges import Positive
from harness.spec.scenario import Scenario, decode_hook, kind_of
from harness.spec.suite import Suite
from harness.spec.target import Target

FULL: dict[str, Any] = {
    "description": "every kind of table",
    "targets": ["t"],
    "dataset": {"synthetic": {"rows": 8}},
    "candidate": [{"name": "a", "path": "a.onnx", "task": "regression"}, {"name": "b", "builder": "m:f"}],
    "scenario": [
        {"name": "one", "kind": "single_stream", "seconds": 1},
        {"name": "many", "kind": "offline", "batch_sizes": [1, 2]},
    ],
    "budget": {"trials": 4},
    "policy": {"order": ["accuracy"], "objectives": {"accuracy": {"target": 1.0, "limit": 0.5}}, "limits": {}},
}
REQUIRED = {"description", "targets", "candidate", "name", "kind", "target", "limit"}
FREE = {("policy", "objectives", "accuracy")}
TARGET = {"description": "d", "runtime": "fake"}
PRICE = {"model": "hourly", "usd_per_hour": 1.0, "source": "s", "as_of": "2026-01-01"}


def paths(tables: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All keys of a nested dict, as paths; free keys (a metric's name) are left out."""
    found: list[tuple[Any, ...]] = []
    items = tables.items() if isinstance(tables, dict) else enumerate(tables) if isinstance(tables, list) else ()
    for key, value in items:
        if isinstance(key, str) and (*path, key) not in FREE:
            found.append((*path, key))
        found += paths(value, (*path, key))
    return found


def shown(path: tuple[Any, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def inside(tables: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tables = tables[key]
    return tables


def refusal(tables: dict[str, Any], kind: type[msgspec.Struct] = Suite) -> str:
    with pytest.raises(SpecError) as caught:
        toml.decode(tables, kind, "f.toml")
    return str(caught.value)


def changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    tables = copy.deepcopy(FULL)
    inside(tables, path[:-1])[path[-1]] = value
    return tables


def test_a_suite_with_every_kind_of_table_is_read():
    suite = toml.decode(FULL, Suite, "f.toml")
    assert suite.scenario[1].batch_sizes == (1, 2)
    assert suite.policy.objectives["accuracy"].limit == 0.5


@given(st.sampled_from(paths(FULL)), st.text(string.ascii_lowercase).map("no_".__add__))
def test_any_key_renamed_is_refused_with_its_path(path, name):
    tables = copy.deepcopy(FULL)
    table = inside(tables, path[:-1])
    table[name] = table.pop(path[-1])
    message = refusal(tables)
    if path[-1] == "kind":
        assert message.startswith(f"f.toml: {shown(path[:-1])}: missing key 'kind'")
    else:
        assert message.startswith(f"f.toml: {shown((*path[:-1], name))}: unknown key (")


@given(st.sampled_from([path for path in paths(FULL) if path[-1] in REQUIRED]))
def test_any_required_key_left_out_is_named_with_its_table(path):
    tables = copy.deepcopy(FULL)
    del inside(tables, path[:-1])[path[-1]]
    where = shown(path[:-1]) or "top level"
    assert refusal(tables).startswith(f"f.toml: {where}: missing key '{path[-1]}'")


@given(st.sampled_from([path for path in paths(FULL) if path[-1] != "limits"]))
def test_any_value_of_another_type_is_named_with_its_key(path):
    assert refusal(changed(path, {"no": [{}]} if path[-1] != "objectives" else 3)).startswith(f"f.toml: {shown(path)}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("descripton",), "f.toml: descripton: unknown key (did you mean 'description'?)"),
        (("budget", "second"), "f.toml: budget.second: unknown key (did you mean 'seconds'?)"),
        (("candidate", 1, "pth"), "f.toml: candidate[1].pth: unknown key (did you mean 'path'?)"),
        (("scenario", 1, "batch_size"), "f.toml: scenario[1].batch_size: unknown key (did you mean 'batch_sizes'?)"),
        (
            ("policy", "objectives", "accuracy", "wieght"),
            "f.toml: policy.objectives.accuracy.wieght: unknown key (did you mean 'weight'?)",
        ),
    ],
)
def test_an_unknown_key_comes_with_file_path_and_nearest(path, said):
    assert refusal(changed(path, 1)) == said


def test_a_key_of_another_kind_of_scenario_is_unknown():
    message = refusal(changed(("scenario", 0, "batch_sizes"), [1]))
    assert message.startswith("f.toml: scenario[0].batch_sizes: unknown key (one of: kind, max_samples")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            ("scenario", 1, "kind"),
            "ofline",
            "scenario[1].kind: 'ofline' is not one of the values (did you mean 'offline'?)",
        ),
        (
            ("scenario", 0, "kind"),
            "zzz",
            "scenario[0].kind: 'zzz' is not one of the values "
            "(one of: capacity, multi_stream, offline, server, single_stream)",
        ),
        (("scenario", 0, "kind"), 3, "scenario[0].kind: expected 'str', got 'int'"),
        (("scenario", 0), 3, "scenario[0]: expected 'table', got 'int'"),
        (("scenario", 1, "batch_sizes"), ["x"], "scenario[1].batch_sizes[0]: expected 'int', got 'str'"),
        (("parity",), {"fp32": 3}, "parity.fp32: expected 'table', got 'int'"),
        (("budget", "race"), "x", "budget.race: 'x' is not one of the values (one of: front, off, winner)"),
        (
            ("policy", "missing"),
            "ignored",
            "policy.missing: 'ignored' is not one of the values (did you mean 'ignore'?)",
        ),
        (("candidate", 0), 3, "candidate[0]: expected 'table', got 'int'"),
        (("targets",), "t", "targets: expected 'array', got 'str'"),
        (("budget", "trials"), 2.5, "budget.trials: expected 'int', got 'float'"),
        (
            ("policy", "objectives", "accuracy", "weight"),
            "3",
            "policy.objectives.accuracy.weight: expected 'float', got 'str'",
        ),
        (("dataset", "synthetic", "dims"), {"n": "x"}, "dataset.synthetic.dims.n: expected 'int', got 'str'"),
    ],
)  # fmt: skip
def test_a_wrong_value_comes_with_its_path_and_what_would_be_right(path, value, said):
    assert refusal(changed(path, value)) == f"f.toml: {said}"


def test_a_wrong_kind_is_told_before_the_keys_that_only_the_right_kind_has():
    tables = changed(("scenario", 1, "kind"), "ofline")
    assert "scenario[1].kind" in refusal(tables)


def test_a_dotted_metric_without_quotes_is_explained():
    limits = {"offline": {"throughput_per_s": {"min": 1}}}
    assert refusal(changed(("policy", "limits"), limits)) == (
        "f.toml: policy.limits.offline.throughput_per_s: a key with a dot needs quotes "
        '(write "offline.throughput_per_s" = …)'
    )


def test_a_price_of_an_unknown_model_names_the_known_one():
    message = refusal({**TARGET, "price": {**PRICE, "model": "hourl"}}, Target)
    assert message == "f.toml: price.model: 'hourl' is not one of the values (did you mean 'hourly'?)"


def test_a_price_needs_its_source_and_date():
    message = refusal({**TARGET, "price": {"model": "hourly", "usd_per_hour": 1.0, "as_of": "2026-01-01"}}, Target)
    assert message == "f.toml: price: missing key 'source'"


def test_an_option_that_is_no_single_value_is_named():
    message = refusal({**TARGET, "options": {"threads": [1]}}, Target)
    assert message.startswith("f.toml: options.threads: expected '")


@pytest.mark.parametrize("word", ["a`b", "x` - at `$.scenario[9]`", "x\n", " - at `$.no[...]`"])
def test_words_that_look_like_a_path_do_not_change_the_path(word):
    assert refusal(changed(("budget", "race"), word)).startswith(f"f.toml: budget.race: '{word}' is not one of")
    assert refusal(changed(("budget", word), 1)).startswith(f"f.toml: budget.{word}: unknown key")
    assert refusal(changed(("scenario", 1, "kind"), word)).startswith(f"f.toml: scenario[1].kind: '{word}' is not")


def test_a_kind_that_cannot_be_imported_is_named(monkeypatch):
    def broken(group, name):
        raise ImportError("no module named 'x'")

    monkeypatch.setattr(plugins, "load", broken)
    said = "f.toml: scenario[0]: kind 'single_stream' cannot be loaded: no module named 'x'"
    assert refusal(FULL) == said


class Burst(Scenario, msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="burst", tag_field="kind"):
    name: str
    seconds: Positive = 1.0
    max_samples: int = 10
    gaps_ms: dict[str, Positive] = {}


class BurstKind:
    parameters = Burst


@pytest.fixture
def burst(monkeypatch):
    monkeypatch.setattr(plugins, "names", lambda group: ("burst",))
    monkeypatch.setattr(plugins, "load", lambda group, name: BurstKind)


def test_a_kind_of_a_plug_in_is_read(burst):
    suite = toml.decode(changed(("scenario",), [{"kind": "burst", "name": "b", "gaps_ms": {"a": 2}}]), Suite, "f")
    assert suite.scenario == (Burst("b", gaps_ms={"a": 2.0}),)
    assert kind_of(suite.scenario[0]) == "burst"
    assert msgspec.json.decode(msgspec.json.encode(suite), type=Suite, dec_hook=decode_hook) == suite


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "burst"}, "scenario[0]: missing key 'name'"),
        ({"kind": "burst", "name": "b", "gaps": 1}, "scenario[0].gaps: unknown key (did you mean 'gaps_ms'?)"),
        ({"kind": "burst", "name": "b", "gaps_ms": {"a": 0}}, "scenario[0].gaps_ms.a: must be > 0, is 0"),
        ({"kind": "burst", "name": "b", "seconds": math.inf}, "scenario[0].seconds: must be finite, is inf"),
        ({"kind": "brst", "name": "b"}, "scenario[0].kind: 'brst' is not one of the values (did you mean 'burst'?)"),
        ({"name": "b"}, "scenario[0]: missing key 'kind' (one of: burst)"),
    ],
)
def test_a_mistake_in_a_plug_ins_scenario_is_explained_like_any_other(burst, table, said):
    assert refusal(changed(("scenario",), [table])) == f"f.toml: {said}"


class Nested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: Literal["a", "b"] | None = None


def test_a_choice_that_may_be_left_out_is_still_a_choice():
    assert toml.decode({"mode": "a"}, Nested, "f.toml").mode == "a"
    assert "mode: 'c' is not one of the values (one of: a, b)" in refusal({"mode": "c"}, Nested)


@given(st.text(max_size=8), st.lists(st.text(min_size=1, max_size=8), max_size=6))
def test_nearest_always_names_a_known_word_or_all_of_them(word, known):
    said = nearest(word, known)
    assert any(name in said for name in known) if known else said == "none is known"
