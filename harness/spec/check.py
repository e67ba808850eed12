"""What types cannot say about a suite or target: names, signs, ranges, files that must exist."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from harness.errors import SpecError
from harness.spec.metrics import CATALOGUE, nearest, split_key
from harness.spec.policy import Limit, Objective, Policy, scale_of
from harness.spec.suite import Candidate, Dataset, Offline, Suite
from harness.spec.target import Target
from harness.spec.toml import nearest_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SUFFIXES = {
    ".onnx": "onnx",
    ".pt2": "pt2",
    ".pt": "checkpoint",
    ".pth": "checkpoint",
    ".joblib": "sklearn",
    ".pkl": "sklearn",
    ".fake.toml": "fake",
}
PICKLES = (".pt", ".pth", ".joblib", ".pkl")
PICKLED_FORMATS = ("checkpoint", "sklearn")
BUILT_FORMATS = ("torch", "sklearn")
WHY_NO_PICKLE = "unpickling runs whatever code the file contains"


def format_of(path: str) -> str | None:
    """Infer a candidate's format from its file name; None when the suffix is not known."""
    return next((kind for suffix, kind in SUFFIXES.items() if path.endswith(suffix)), None)


def plain_name(text: str) -> str:
    """Make a name that a candidate may have out of a file's stem."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-") or "model"


def check_target(target: Target, where: str) -> None:
    """Raise SpecError where a target's numbers cannot be."""
    if target.name:
        _check_name(target.name, where, "name")
    for key, value in (("limits.cpus", target.limits.cpus), ("limits.memory_mib", target.limits.memory_mib)):
        if value is not None and not 0 < value < math.inf:
            raise SpecError(where, f"{key}: must be above 0, is {value}")
    price = target.price
    if price is not None and not 0 <= price.usd_per_hour < math.inf:
        raise SpecError(where, f"price.usd_per_hour: must be 0 or more, is {price.usd_per_hour}")
    if price is not None and not 0 < price.utilisation <= 1:
        raise SpecError(where, f"price.utilisation: must be above 0 and at most 1, is {price.utilisation}")


def check_suite(suite: Suite, where: str, base: Path) -> None:
    """Raise SpecError for the first thing in a suite that cannot be; paths are relative to `base`."""
    if suite.name:
        _check_name(suite.name, where, "name")
    for key, items in (
        ("targets", suite.targets),
        ("candidate", suite.candidate),
        ("scenario", suite.scenario),
    ):
        if not items:
            raise SpecError(where, f"{key}: at least one is needed")
    _unique(where, "candidate", [c.name for c in suite.candidate])
    _unique(where, "scenario", [s.name for s in suite.scenario])
    for index, scenario in enumerate(suite.scenario):
        if "." in scenario.name:
            mend = "a dot parts scenario and metric in a policy"
            raise SpecError(where, f"scenario[{index}]: the name '{scenario.name}' must have no '.'", mend)
    _unique(where, "targets", list(suite.targets))
    for index, candidate in enumerate(suite.candidate):
        _check_candidate(candidate, suite.trust_pickle, where, f"candidate[{index}]", base)
    _check_dataset(suite.dataset, where, base)
    _check_budget(suite, where)
    names = [c.name for c in suite.candidate]
    if suite.reference is not None and suite.reference not in names:
        mend = nearest(suite.reference, names)
        raise SpecError(where, f"reference: no candidate is called '{suite.reference}'", mend)
    check_policy(suite.policy, where, [s.name for s in suite.scenario])


def _check_name(name: str, where: str, key: str) -> None:
    if not _NAME.fullmatch(name):
        raise SpecError(where, f"{key}: '{name}' is not a name", "letters, digits, '.', '_' and '-'")


def _unique(where: str, key: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        _check_name(Path(name).stem if key == "targets" else name, where, f"{key}[{index}]")
        if name in names[:index]:
            raise SpecError(where, f"{key}[{index}]: the name '{name}' is already taken", "names are unique")


def _check_candidate(candidate: Candidate, trust: bool, where: str, key: str, base: Path) -> None:
    if (candidate.path is None) == (candidate.builder is None):
        raise SpecError(where, f"{key}: give either 'path' or 'builder' ('{candidate.name}')")
    if candidate.builder is not None:
        _check_builder(candidate.builder, where, f"{key}.builder")
    if candidate.weights is not None and candidate.builder is None:
        raise SpecError(where, f"{key}.weights: weights need a 'builder' that makes the module")
    for field, name in (("path", candidate.path), ("weights", candidate.weights)):
        if name is None:
            continue
        if not (base / name).is_file():
            raise SpecError(where, f"{key}.{field}: no such file: {base / name}", nearest_file(base / name))
        pickled = name.endswith(PICKLES) or (field == "path" and candidate.format in PICKLED_FORMATS)
        if pickled and not trust:
            raise SpecError(
                where,
                f"{key}.{field}: '{name}' is a pickle and is refused: {WHY_NO_PICKLE}",
                "export it to .onnx, .pt2 or .safetensors, or write trust_pickle = true if you made it",
            )
    _check_format(candidate, where, key)


def _check_format(candidate: Candidate, where: str, key: str) -> None:
    if candidate.path is not None and candidate.format is None and format_of(candidate.path) is None:
        mend = f"give 'format', or a file ending in {', '.join(SUFFIXES)}"
        raise SpecError(where, f"{key}.path: the format of '{candidate.path}' is not known", mend)
    if candidate.path is not None and candidate.format == "torch":
        raise SpecError(where, f"{key}.format: 'torch' is made by a 'builder', not read from a 'path'")
    if candidate.builder is not None and candidate.format not in (None, *BUILT_FORMATS):
        mend = f"one of: {', '.join(BUILT_FORMATS)}"
        raise SpecError(where, f"{key}.format: a builder cannot make '{candidate.format}'", mend)


def _check_builder(builder: str, where: str, key: str) -> None:
    module, colon, function = builder.partition(":")
    if not colon or not module or not function.isidentifier():
        raise SpecError(where, f"{key}: '{builder}' is not of the form 'module:function'")


def _check_dataset(dataset: Dataset, where: str, base: Path) -> None:
    given = [k for k in ("builder", "path", "synthetic") if getattr(dataset, k) is not None]
    if len(given) != 1:
        what = f"both {' and '.join(given)} are given" if given else "none is given"
        raise SpecError(where, f"dataset: give one of builder, path, synthetic; {what}")
    if dataset.builder is not None:
        _check_builder(dataset.builder, where, "dataset.builder")
    if dataset.path is not None and not (base / dataset.path).is_file():
        path = base / dataset.path
        raise SpecError(where, f"dataset.path: no such file: {path}", nearest_file(path))
    if dataset.synthetic is not None:
        _positive(where, "dataset.synthetic.rows", dataset.synthetic.rows)
        for name, size in dataset.synthetic.dims.items():
            _positive(where, f"dataset.synthetic.dims.{name}", size)


def _positive(where: str, key: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise SpecError(where, f"{key}: must be above 0, is {value}")


def _check_budget(suite: Suite, where: str) -> None:
    budget = suite.budget
    for key in ("seconds", "trials", "max_trials", "phase_timeout_s"):
        _positive(where, f"budget.{key}", getattr(budget, key))
    if budget.max_trials < budget.trials:
        raise SpecError(where, f"budget.max_trials: {budget.max_trials} is below trials = {budget.trials}")
    for index, scenario in enumerate(suite.scenario):
        _positive(where, f"scenario[{index}].seconds", scenario.seconds)
        _positive(where, f"scenario[{index}].max_samples", scenario.max_samples)
        if isinstance(scenario, Offline):
            if not scenario.batch_sizes:
                raise SpecError(where, f"scenario[{index}].batch_sizes: at least one is needed")
            for size in scenario.batch_sizes:
                _positive(where, f"scenario[{index}].batch_sizes", size)
            if len(set(scenario.batch_sizes)) != len(scenario.batch_sizes):
                raise SpecError(where, f"scenario[{index}].batch_sizes: a size is named twice")
    for key, value in (("max_abs_diff", suite.parity.max_abs_diff), ("top1_agreement", suite.parity.top1_agreement)):
        if not 0 <= value < math.inf:
            raise SpecError(where, f"parity.{key}: must be 0 or more, is {value}")


def check_policy(policy: Policy, where: str, scenarios: Iterable[str]) -> None:
    """Raise SpecError for limits and objectives that cannot be judged."""
    names = list(scenarios)
    for key, limit in policy.limits.items():
        _check_key(key, where, f"policy.limits.{key}", names)
        _check_limit(limit, where, f"policy.limits.{key}")
    for key, objective in policy.objectives.items():
        _check_key(key, where, f"policy.objectives.{key}", names)
        _check_objective(key, objective, where, f"policy.objectives.{key}")
    if not 0 < policy.confidence < 1:
        raise SpecError(where, f"policy.confidence: must be between 0 and 1, is {policy.confidence}")
    _check_weights(policy, where)


def _check_key(key: str, where: str, path: str, scenarios: list[str]) -> None:
    scenario, name = split_key(key)
    if name not in CATALOGUE:
        raise SpecError(where, f"{path}: unknown metric '{name}'", nearest(name, list(CATALOGUE)))
    if scenario is not None and scenario not in scenarios:
        raise SpecError(where, f"{path}: unknown scenario '{scenario}'", nearest(scenario, scenarios))
    if scenario is not None and scenario == scenarios[0]:
        raise SpecError(where, f"{path}: the suite's first scenario needs no prefix", f"write '{name}'")
    if scenario is not None and CATALOGUE[name].scope == "cell":
        raise SpecError(where, f"{path}: '{name}' belongs to the cell, not to a scenario", f"write '{name}'")


def _check_limit(limit: Limit, where: str, path: str) -> None:
    if limit.min is None and limit.max is None:
        raise SpecError(where, f"{path}: give 'min' or 'max'")
    if limit.min is not None and limit.max is not None and limit.min > limit.max:
        raise SpecError(where, f"{path}: min {limit.min} is above max {limit.max}")
    for side in (limit.min, limit.max):
        if side is not None and not math.isfinite(side):
            raise SpecError(where, f"{path}: must be a finite number, is {side}")


def _check_objective(key: str, objective: Objective, where: str, path: str) -> None:
    if objective.weight is not None and not 0 <= objective.weight < math.inf:
        raise SpecError(where, f"{path}.weight: must be 0 or more, is {objective.weight}")
    if not (math.isfinite(objective.target) and math.isfinite(objective.limit)):
        raise SpecError(where, f"{path}: target and limit must be finite numbers")
    if objective.target == objective.limit:
        raise SpecError(where, f"{path}: target and limit are both {objective.limit}; nothing lies between")
    if scale_of(key, objective) == "log" and min(objective.target, objective.limit) <= 0:
        raise SpecError(where, f"{path}: a log scale needs target and limit above 0", 'or scale = "linear"')
    better = CATALOGUE[split_key(key)[1]].better
    wants_less = objective.target < objective.limit
    if better != "none" and wants_less != (better == "lower"):
        raise SpecError(where, f"{path}: {better} is better for '{key}', so target and limit are swapped")


def _check_weights(policy: Policy, where: str) -> None:
    weights = [o.weight for o in policy.objectives.values()]
    for key in policy.order:
        if key not in policy.objectives:
            mend = nearest(key, list(policy.objectives))
            raise SpecError(where, f"policy.order: '{key}' is not an objective", mend)
    if len(set(policy.order)) != len(policy.order):
        raise SpecError(where, "policy.order: a metric is named twice")
    if policy.order:
        if any(weight is not None for weight in weights):
            raise SpecError(where, "policy: give either weights or an order, not both")
        if len(policy.order) != len(weights):
            missing = sorted(set(policy.objectives) - set(policy.order))
            raise SpecError(where, f"policy.order: leaves out {', '.join(missing)}")
        return
    for key, objective in policy.objectives.items():
        if objective.weight is None:
            raise SpecError(where, f"policy.objectives.{key}: missing key 'weight'", "or give policy.order")
    if weights and sum(w for w in weights if w is not None) == 0:
        raise SpecError(where, "policy.objectives: all weights are 0; nothing is wanted")
