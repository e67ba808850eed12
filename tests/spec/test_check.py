"""What types cannot say of a suite: each mistake is one message with its key and its mend."""

from __future__ import annotations

import math

import msgspec
import pytest

from harness.spec.check import check_suite, plain_name
from harness.spec.find import load_suite
from harness.spec.formats import format_of, is_pickle, stem_of
from harness.spec.policy import WIDE, keys_of
from harness.spec.suite import Parity, tolerance


def set_in(*path):
    """A change that sets the last of `path` at the keys before it."""
    *keys, last, value = path

    def change(suite):
        for key in keys:
            suite = suite[key]
        suite[last] = value

    return change


def test_the_suite_that_every_test_changes_is_right(suites):
    suite, path = load_suite(str(suites.write(suites.tables())))
    assert (suite.name, path) == ("mine", suites.folder / "mine.toml")
    assert keys_of(suite.policy) == ("latency_p99_ms", "accuracy", "offline.throughput_per_s")


NAMES = [
    (set_in("targets", []), "targets: at least one is needed"),
    (set_in("candidate", []), "candidate: at least one is needed"),
    (set_in("scenario", []), "scenario: at least one is needed"),
    (set_in("candidate", 1, "name", "a"), "candidate[1]: the name 'a' is already taken (names are unique)"),
    (
        set_in("scenario", 1, "name", "interactive"),
        "scenario[1]: the name 'interactive' is already taken (names are unique)",
    ),
    (set_in("targets", ["t", "u", "t"]), "targets[2]: the name 't' is already taken (names are unique)"),
    (
        set_in("candidate", 0, "name", "../a"),
        "candidate[0]: '../a' is not a name (letters, digits, '.', '_' and '-')",
    ),
    (set_in("candidate", 0, "name", ""), "candidate[0]: '' is not a name (letters, digits, '.', '_' and '-')"),
    (set_in("name", "../../out"), "name: '../../out' is not a name (letters, digits, '.', '_' and '-')"),
    (
        set_in("scenario", 1, "name", "off.line"),
        "scenario[1]: the name 'off.line' must have no '.' (in a policy, a dot separates scenario and metric)",
    ),
    (
        set_in("scenario", 0, {"name": "cold", "kind": "cold_start"}),
        "scenario[0]: 'cold' is no steady traffic (cold starts come beside it: put a scenario of steady traffic before "
        "it)",
    ),
    (
        lambda suite: suite["scenario"].extend({"name": n, "kind": "cold_start"} for n in ("one", "two")),
        "scenario: one and two are both cold starts (leave out one of them)",
    ),
    (
        lambda suite: suite["scenario"].extend({"name": n, "kind": "fleet", "rate_per_s": 1} for n in ("one", "two")),
        "scenario: one and two are both users of a fleet (leave out one of them)",
    ),
    (
        lambda suite: suite["scenario"].append({"name": "users", "kind": "fleet"}),
        "scenario[2].rate_per_s: missing; give requests per second, or a 'trace'",
    ),
    (
        lambda suite: suite["scenario"].append({"name": "cold", "kind": "cold_start", "requests": 1}),
        "scenario[2].requests: a start is measured by its first two requests; give 2 or more",
    ),
    (set_in("reference", "aa"), "reference: no candidate is called 'aa' (did you mean 'a'?)"),
]
CANDIDATES = [
    (set_in("candidate", 0, {"name": "a"}), "candidate[0]: give either 'path' or 'builder' ('a')"),
    (set_in("candidate", 0, "builder", "m:f"), "candidate[0]: give either 'path' or 'builder' ('a')"),
    (
        set_in("candidate", 0, {"name": "a", "builder": "models.f"}),
        "candidate[0].builder: 'models.f' is not of the form 'module:function'",
    ),
    (
        set_in("candidate", 0, {"name": "a", "builder": ""}),
        "candidate[0].builder: '' is not of the form 'module:function'",
    ),
    (
        set_in("candidate", 0, "weights", "a.onnx"),
        "candidate[0].weights: weights need a 'builder' that makes the module",
    ),
    (
        set_in("candidate", 0, {"name": "a", "builder": "m:f", "format": "onnx"}),
        "candidate[0].format: a builder cannot make 'onnx' (one of: sklearn, torch)",
    ),
    (
        set_in("candidate", 0, "format", "onxx"),
        "candidate[0].format: 'onxx' is not one of the values (did you mean 'onnx'?)",
    ),
    (
        set_in("candidate", 0, "format", "torch"),
        "candidate[0].format: 'torch' is made by a 'builder', not read from a 'path'",
    ),
]
DATASET = [
    (
        set_in("dataset", "calibration", {"builder": "m:f", "path": "c.npz"}),
        "dataset.calibration: give either 'path' or 'builder'",
    ),
    (set_in("dataset", "production", {}), "dataset.production: give either 'path' or 'builder'"),
    (
        set_in("dataset", "production", {"builder": "m.f"}),
        "dataset.production.builder: 'm.f' is not of the form 'module:function'",
    ),
    (
        set_in("dataset", "production", {"pth": "c.npz"}),
        "dataset.production.pth: unknown key (did you mean 'path'?)",
    ),
]
BUDGET = [
    (set_in("budget", "trials", 0), "budget.trials: must be >= 1, is 0"),
    (set_in("budget", "seconds", math.inf), "budget.seconds: must be finite, is inf"),
    (set_in("budget", "max_trials", 2), "budget.max_trials: 2 is below trials = 3"),
    (set_in("scenario", 0, "seconds", 0), "scenario[0].seconds: must be > 0, is 0"),
    (set_in("scenario", 0, "max_samples", 0), "scenario[0].max_samples: must be >= 1, is 0"),
    (set_in("scenario", 1, "batch_sizes", []), "scenario[1].batch_sizes: at least one is needed"),
    (set_in("scenario", 1, "batch_sizes", [1, 0]), "scenario[1].batch_sizes[1]: must be >= 1, is 0"),
    (set_in("scenario", 1, "batch_sizes", [8, 1, 8]), "scenario[1].batch_sizes: a size is named twice"),
    (set_in("parity", "int8", {"max_abs_diff": -1e-3}), "parity.int8.max_abs_diff: must be >= 0, is -0.001"),
    (set_in("dataset", {}), "dataset: give one of builder, path, synthetic; none is given"),
    (
        set_in("dataset", "builder", "m:f"),
        "dataset: give one of builder, path, synthetic; builder and synthetic are given",
    ),
    (set_in("dataset", "synthetic", "rows", 0), "dataset.synthetic.rows: must be >= 1, is 0"),
    (set_in("dataset", "synthetic", "dims", "n", -1), "dataset.synthetic.dims.n: must be >= 1, is -1"),
]  # fmt: skip
OBJECTIVE = ("policy", "objectives", "latency_p99_ms")
POLICY = [
    (set_in(*OBJECTIVE, "weight", -1), "policy.objectives.latency_p99_ms.weight: must be >= 0, is -1"),
    (set_in(*OBJECTIVE, "limit", math.nan), "policy.objectives.latency_p99_ms.limit: must be finite, is nan"),
    (set_in(*OBJECTIVE, "target", -math.inf), "policy.objectives.latency_p99_ms.target: must be finite, is -inf"),
    (set_in("policy", "limits", "load_ms", {"max": math.inf}), "policy.limits.load_ms.max: must be finite, is inf"),
    (set_in(*OBJECTIVE, "weight", 0), "policy.objectives: all weights are 0; at least one must be above 0"),
    (
        set_in(*OBJECTIVE, "target", 5),
        "policy.objectives.latency_p99_ms: target and limit are both 5.0, but must differ",
    ),
    (
        set_in(*OBJECTIVE, {"weight": 1, "target": 5, "limit": 0.5}),
        "policy.objectives.latency_p99_ms: lower is better for 'latency_p99_ms', so target and limit are swapped",
    ),
    (
        set_in("policy", "objectives", "accuracy", {"weight": 1, "target": 0.9, "limit": 0.99}),
        "policy.objectives.accuracy: higher is better for 'accuracy', so target and limit are swapped",
    ),
    (
        set_in(*OBJECTIVE, "target", 0),
        'policy.objectives.latency_p99_ms: a log scale needs target and limit above 0 (or scale = "linear")',
    ),
    (
        set_in(*OBJECTIVE, {"target": 0.5, "limit": 5}),
        "policy.objectives.latency_p99_ms: missing key 'weight' (or give policy.order)",
    ),
    (set_in("policy", "order", ["latency_p99_ms"]), "policy: give either weights or an order, not both"),
    (
        set_in("policy", "order", ["latency_p9_ms"]),
        "policy.order: 'latency_p9_ms' is not an objective (did you mean 'latency_p99_ms'?)",
    ),
    (set_in("policy", "order", ["latency_p99_ms"] * 2), "policy.order: a metric is named twice"),
    (
        set_in("policy", "limits", "acuracy", {"min": 1}),
        "policy.limits.acuracy: unknown metric 'acuracy' (did you mean 'accuracy'?)",
    ),
    (
        set_in("policy", "limits", "ofline.throughput_per_s", {"min": 1}),
        "policy.limits.ofline.throughput_per_s: unknown scenario 'ofline' (did you mean 'offline'?)",
    ),
    (
        set_in("policy", "limits", "offline.accuracy", {"min": 1}),
        "policy.limits.offline.accuracy: 'accuracy' belongs to the cell, not to a scenario (write 'accuracy')",
    ),
    (
        set_in("policy", "limits", "interactive.latency_p50_ms", {"max": 1}),
        "policy.limits.interactive.latency_p50_ms: the suite's first scenario needs no prefix (write 'latency_p50_ms')",
    ),
    (set_in("policy", "limits", "accuracy", {}), "policy.limits.accuracy: give 'min' or 'max'"),
    (set_in("policy", "limits", "accuracy", {"min": 2, "max": 1}), "policy.limits.accuracy: min 2.0 is above max 1.0"),
    (set_in("policy", "confidence", 1), "policy.confidence: must be < 1, is 1"),
]


@pytest.mark.parametrize(
    ("change", "said"), [*NAMES, *CANDIDATES, *DATASET, *BUDGET, *POLICY], ids=lambda value: str(value)[:60]
)
def test_what_cannot_be_is_one_message(suites, change, said):
    assert suites.refusal(change) == said


def test_an_order_replaces_all_weights(suites):
    objectives = {"accuracy": {"target": 1, "limit": 0.5}, "load_ms": {"target": 1, "limit": 9}}

    def change(suite):
        suite["policy"] |= {"objectives": objectives, "order": ["load_ms"]}

    assert suites.refusal(change) == "policy.order: leaves out accuracy"
    suite = suites.tables(change)
    suite["policy"]["order"].append("accuracy")
    assert load_suite(str(suites.write(suite)))[0].policy.order == ("load_ms", "accuracy")


@pytest.mark.parametrize("name", ["m.joblib", "m.pkl", "m.pt", "m.pth"])
def test_a_pickle_is_refused_unless_the_suite_trusts_it(suites, name):
    (suites.folder / name).touch()
    said = suites.refusal(set_in("candidate", 0, "path", name))
    assert said.startswith(f"candidate[0].path: '{name}' is a pickle and is refused: unpickling runs whatever code")
    assert said.endswith("write trust_pickle = true if you made it)")
    suite = suites.tables(set_in("candidate", 0, "path", name))
    assert load_suite(str(suites.write(suite | {"trust_pickle": True})))[0].trust_pickle


def test_a_pickle_by_another_name_is_refused_too(suites):
    (suites.folder / "m.bin").touch()
    change = set_in("candidate", 0, {"name": "a", "path": "m.bin", "format": "sklearn"})
    assert "'m.bin' is a pickle and is refused" in suites.refusal(change)


def test_pickled_weights_are_refused_too(suites):
    (suites.folder / "w.pt").touch()
    change = set_in("candidate", 0, {"name": "a", "builder": "m:f", "weights": "w.pt"})
    assert suites.refusal(change).startswith("candidate[0].weights: 'w.pt' is a pickle and is refused")


@pytest.mark.parametrize(
    ("change", "key", "near"),
    [
        (set_in("candidate", 0, "path", "aa.onnx"), "candidate[0].path", "a.onnx"),
        (
            set_in("candidate", 0, {"name": "a", "builder": "m:f", "weights": "b.fak.toml"}),
            "candidate[0].weights",
            "b.fake.toml",
        ),
        (set_in("dataset", {"path": "d.npz"}), "dataset.path", "c.npz"),
        (set_in("dataset", "calibration", {"path": "d.npz"}), "dataset.calibration.path", "c.npz"),
    ],
)
def test_a_missing_file_comes_with_the_nearest(suites, change, key, near):
    said = suites.refusal(change)
    assert said.startswith(f"{key}: no such file: {suites.folder}")
    assert said.endswith(f"(did you mean '{near}'?)")


def test_a_file_of_no_known_format_needs_one(suites):
    (suites.folder / "a.bin").touch()
    said = suites.refusal(set_in("candidate", 0, "path", "a.bin"))
    assert said.startswith("candidate[0].path: the format of 'a.bin' is not known (give 'format', or a file ending in")
    suite = suites.tables(set_in("candidate", 0, {"name": "a", "path": "a.bin", "format": "onnx"}))
    assert load_suite(str(suites.write(suite)))[0].candidate[0].format == "onnx"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("m.onnx", "onnx"), ("m.pt2", "pt2"), ("m.pt", "checkpoint"), ("m.fake.toml", "fake"), ("m.toml", None)],
)
def test_formats_by_name(name, kind):
    assert format_of(name) == kind


def test_a_pickle_is_known_by_its_suffix_or_its_format():
    assert is_pickle("m.pt")
    assert is_pickle("m.bin", "checkpoint")
    assert not is_pickle("m.onnx", "onnx")


@pytest.mark.parametrize(
    ("path", "stem"), [("x/m.fake.toml", "m"), ("m.v2.onnx", "m.v2"), ("m.bin", "m"), ("m", "m"), ("m.toml", "m")]
)
def test_a_stem_is_a_name_without_its_suffix(path, stem):
    assert stem_of(path) == stem


def test_splits_beside_the_evaluation_split_are_read(suites):
    splits = {"calibration": {"path": "c.npz"}, "production": {"builder": "m:f"}}
    suite = suites.tables(lambda tables: tables.update(dataset={"path": "c.npz", **splits}))
    dataset = load_suite(str(suites.write(suite)))[0].dataset
    assert (dataset.calibration.path, dataset.production.builder) == ("c.npz", "m:f")


def test_the_suites_tolerance_comes_before_the_default():
    mine = Parity(max_abs_diff=0.5)
    assert tolerance({"fp16": mine}, "fp16") == mine
    assert tolerance({"fp16": mine}, "bf16") == Parity(2e-2, 0.99)
    assert tolerance({}, "fp32") == Parity(1e-3, 0.99)
    assert tolerance({}, "int8") == tolerance({}, "fp8") == Parity(None, 0.9)


@pytest.mark.parametrize(
    ("stem", "name"), [("résumé v2", "r-sum--v2"), ("_hidden", "hidden"), ("...", "model"), ("a.b_c-d", "a.b_c-d")]
)
def test_a_plain_name_is_one_a_candidate_may_have(stem, name):
    assert plain_name(stem) == name


def test_the_wide_policy_is_right(suites):
    suite, path = load_suite(str(suites.write(suites.tables())))
    check_suite(msgspec.structs.replace(suite, policy=WIDE), "x", path.parent)
