"""What types cannot say about a suite or target: names, cross-references, files that must exist."""

import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.errors import SpecError
from harness.spec import plugins
from harness.spec.formats import format_of, formats, is_pickle, suffixes
from harness.spec.metrics import CATALOGUE, FRACTIONS, PERCENTILES, lookup, metric_names, nearest, split_key
from harness.spec.policy import Limit, Objective, Policy, keys_of, scale_of
from harness.spec.scenario import kind_of
from harness.spec.suite import Candidate, Dataset, Source, Suite
from harness.spec.target import INSTANCES, ContainerPrice, Lifecycle, Target, UsagePrice
from harness.spec.toml import nearest_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
WHY_NO_PICKLE = "unpickling runs whatever code the file contains"


def plain_name(text: str) -> str:
    """Make a name that a candidate may have out of a file's stem."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-") or "model"


def check_target(target: Target, where: str) -> None:
    """Raise SpecError where a target's name, launcher or limits are wrong."""
    _check_name(target.name, where, "name")
    _one_of(target.launcher, plugins.names("launchers"), where, "launcher")
    limits = target.limits
    one = limits.memory_mib is None or limits.memory_above_baseline_mib is None
    _require(one, where, "limits: memory_mib and memory_above_baseline_mib are both given", "give one of them")
    scaled = limits.cpu_scale < 1.0
    _require(not scaled or limits.cpus is not None, where, "limits.cpu_scale: there is no limits.cpus", "give it too")
    why = "say which ratio of the kernels of `harness doctor` it is"
    _require(not scaled or bool(limits.cpu_scale_source), where, "limits.cpu_scale_source: missing", why)
    _check_lifecycle(target, where)
    limits = target.granted
    granted_ms = math.inf if limits.cpu_time is None else limits.cpu_time * limits.cpu_period_ms
    each = f"{granted_ms:g} ms of each {limits.cpu_period_ms} ms"
    what = f"limits.cpus: {limits.cpu_time or 0:g} CPUs are {each}; Linux needs 1 ms"
    _require(granted_ms >= 1.0, where, what, "raise cpus or cpu_period_ms")
    _check_price(target, where)


def _check_lifecycle(target: Target, where: str) -> None:
    """Raise SpecError where instances are described that the launcher does not start, or wrongly."""
    life, starts = target.lifecycle, target.launcher in INSTANCES
    what = f"lifecycle: the launcher '{target.launcher}' starts no instances"
    _require(life is None or starts, where, what, f"launcher = one of: {', '.join(INSTANCES)}")
    what = f"lifecycle: missing; the launcher '{target.launcher}' starts instances"
    _require(life is not None or not starts, where, what, "write [lifecycle], if only to say init_s and timeout_s")
    if life is not None:
        _check_bought(target, life, where)
        told = not life.elsewhere_ms or bool(life.elsewhere_source)
        _require(told, where, "lifecycle.elsewhere_source: missing", "say who measured elsewhere_ms")


def _check_price(target: Target, where: str) -> None:
    """Raise SpecError where a price has no source, or is by the use of what the target does not limit."""
    if target.price is not None:
        _require(target.price.source.strip(), where, "price.source: is empty", "say where you read the price")
    if isinstance(target.price, UsagePrice):
        what = "price.model: it is billed by memory, and there is no limits.memory_mib"
        _require(target.limits.memory_mib is not None, where, what, "give it")
    if isinstance(target.price, ContainerPrice):
        what = "price.model: 'container' is billed by vCPUs, and there is no limits.cpus"
        _require(target.granted.cpus is not None, where, what, "give it")


def _check_bought(target: Target, life: Lifecycle, where: str) -> None:
    limits = target.limits
    if life.mib_per_cpu is not None:
        what = "lifecycle.mib_per_cpu: memory buys CPU time, but"
        _require(limits.memory_mib is not None, where, f"{what} there is no limits.memory_mib", "give it")
        _require(limits.cpus is None, where, f"{what} limits.cpus is given too", "leave out one of them")
    if life.init_cpus is not None:
        key, cpus = "lifecycle.init_cpus", math.ceil(target.granted.cpus or 0)
        _require(cpus, where, f"{key}: there is no limit of CPU time to differ from", "leave it out")
        _require(life.init_cpus <= cpus, where, f"{key}: {life.init_cpus:g} is more than the {cpus} CPU it is kept to")
        _require(life.init_cpus * limits.cpu_period_ms >= 1, where, f"{key}: Linux needs 1 ms in a period")


def check_suite(suite: Suite, where: str, base: Path) -> None:
    """Raise SpecError for the first mistake in a suite; paths are relative to `base`."""
    _check_name(suite.name, where, "name")
    names = [candidate.name for candidate in suite.candidate]
    _unique(where, "candidate", names)
    _unique(where, "targets", suite.targets)
    _check_scenarios(suite, where, base)
    for index, candidate in enumerate(suite.candidate):
        _check_candidate(candidate, suite.trust_pickle, where, f"candidate[{index}]", base)
    _check_dataset(suite.dataset, where, base)
    trials, most = suite.budget.trials, suite.budget.max_trials
    _require(trials <= most, where, f"budget.max_trials: {most} is below trials = {trials}")
    mend = nearest(suite.reference or "", names)
    _require(suite.reference in (None, *names), where, f"reference: no candidate is called '{suite.reference}'", mend)
    _check_parity(suite, where)
    check_policy(suite.policy, where, [s.name for s in suite.scenario])
    _check_timed(suite, where)


def _require(holds: object, where: str, what: str, mend: str = "") -> None:
    if not holds:
        raise SpecError(where, what, mend)


def _one_of(word: str, known: Collection[str], where: str, key: str) -> None:
    _require(word in known, where, f"{key}: '{word}' is not one of the values", nearest(word, known))


def _check_name(name: str, where: str, key: str) -> None:
    _require(_NAME.fullmatch(name), where, f"{key}: '{name}' is not a name", "letters, digits, '.', '_' and '-'")


def _unique(where: str, key: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        _check_name(Path(name).stem if key == "targets" else name, where, f"{key}[{index}]")
        what = f"{key}[{index}]: the name '{name}' is already taken"
        _require(name not in names[:index], where, what, "names are unique")


def _check_scenarios(suite: Suite, where: str, base: Path) -> None:
    _require(suite.scenario, where, "scenario: at least one is needed")
    _unique(where, "scenario", [scenario.name for scenario in suite.scenario])
    for index, scenario in enumerate(suite.scenario):
        dotted = f"scenario[{index}]: the name '{scenario.name}' must have no '.'"
        _require("." not in scenario.name, where, dotted, "in a policy, a dot separates scenario and metric")
        needs = "cold starts come beside it: put a scenario of steady traffic before it"
        _require(index or scenario.in_trials, where, f"scenario[0]: '{scenario.name}' is no steady traffic", needs)
        problem = scenario.problems()
        _require(problem is None, where, f"scenario[{index}].{problem}")
        for key, file in scenario.files().items():
            _check_file(file, where, f"scenario[{index}].{key}", base)
    for kind, called in (("cold_start", "cold starts"), ("fleet", "users of a fleet")):
        names = [scenario.name for scenario in suite.scenario if kind_of(scenario) == kind]
        _require(len(names) < 2, where, f"scenario: {' and '.join(names)} are both {called}", "leave out one of them")


def _check_parity(suite: Suite, where: str) -> None:
    """Raise SpecError for the tolerance of a precision that neither a candidate nor a conversion's result has."""
    made = (name.rpartition("-to-")[2].partition(".")[2] for name in plugins.names("conversions"))
    known = {candidate.precision for candidate in suite.candidate} | {*filter(None, made)}
    for precision in suite.parity:
        mend = nearest(precision, known)
        _require(precision in known, where, f"parity.{precision}: no variant has this precision", mend)


def _check_candidate(candidate: Candidate, trust: bool, where: str, key: str, base: Path) -> None:
    _check_source(candidate, where, key, base, f" ('{candidate.name}')")
    with_builder = candidate.weights is None or candidate.builder is not None
    _require(with_builder, where, f"{key}.weights: weights need a 'builder' that makes the module")
    _check_file(candidate.weights, where, f"{key}.weights", base)
    pinned = candidate.sha256 is None or _SHA256.fullmatch(candidate.sha256)
    _require(pinned, where, f"{key}.sha256: '{candidate.sha256}' is not 64 of 0-9 and a-f", "see sha256sum")
    if candidate.format is not None:
        _one_of(candidate.format, formats(), where, f"{key}.format")
    for field, path in (("path", candidate.path), ("weights", candidate.weights)):
        pickled = path is not None and is_pickle(path, candidate.format if field == "path" else None)
        what = f"{key}.{field}: '{path}' is a pickle and is refused: {WHY_NO_PICKLE}"
        mend = "export it to .onnx, .pt2 or .safetensors, or write trust_pickle = true if you made it"
        _require(trust or not pickled, where, what, mend)
    _check_format(candidate, where, key)


def _check_format(candidate: Candidate, where: str, key: str) -> None:
    known, given, path = formats(), candidate.format, candidate.path
    built = [name for name, kind in known.items() if kind.built]
    if path is None:
        what = f"{key}.format: a builder cannot make '{given}'"
        _require(given in (None, *built), where, what, f"one of: {', '.join(built)}")
    elif given is None:
        mend = f"give 'format', or a file ending in {', '.join(suffixes())}"
        _require(format_of(path), where, f"{key}.path: the format of '{path}' is not known", mend)
    else:
        what = f"{key}.format: '{given}' is made by a 'builder', not read from a 'path'"
        _require(known[given].suffixes or not known[given].built, where, what)


def _check_source(source: Source | Candidate, where: str, key: str, base: Path, subject: str = "") -> None:
    one = (source.path is None) != (source.builder is None)
    _require(one, where, f"{key}: give either 'path' or 'builder'{subject}")
    _check_builder(source.builder, where, f"{key}.builder")
    _check_file(source.path, where, f"{key}.path", base)


def _check_file(name: str | None, where: str, key: str, base: Path) -> None:
    if name is not None and not (path := base / name).is_file():
        what, near = ("is a folder, not a file", path / "?") if path.is_dir() else ("no such file", path)
        raise SpecError(where, f"{key}: {what}: {path}", nearest_file(near))


def _check_builder(builder: str | None, where: str, key: str) -> None:
    if builder is not None:
        module, _, function = builder.partition(":")
        what = f"{key}: '{builder}' is not of the form 'module:function'"
        _require(all(part.isidentifier() for part in (*module.split("."), function)), where, what)


def _check_dataset(dataset: Dataset, where: str, base: Path) -> None:
    given = [key for key in ("builder", "path", "synthetic") if getattr(dataset, key) is not None]
    what = f"{' and '.join(given)} are given" if given else "none is given"
    _require(len(given) == 1, where, f"dataset: give one of builder, path, synthetic; {what}")
    _check_builder(dataset.builder, where, "dataset.builder")
    _check_file(dataset.path, where, "dataset.path", base)
    for key in ("calibration", "production"):
        if (split := getattr(dataset, key)) is not None:
            _check_source(split, where, f"dataset.{key}", base)
            what = f"dataset.{key}: synthetic inputs have no split beside them"
            _require(dataset.synthetic is None, where, what, "give rows by dataset.path or dataset.builder")


def check_policy(policy: Policy, where: str, scenarios: Sequence[str]) -> None:
    """Raise SpecError for the first mistake in limits, objectives or order; `scenarios` are the suite's names."""
    for key, limit in policy.limits.items():
        _check_key(key, where, f"policy.limits.{key}", scenarios)
        _check_limit(key, limit, where, f"policy.limits.{key}")
    for key, objective in policy.objectives.items():
        _check_key(key, where, f"policy.objectives.{key}", scenarios)
        _check_objective(key, objective, where, f"policy.objectives.{key}")
    check = _check_order if policy.order else _check_weights
    check(policy, where)


def _check_key(key: str, where: str, path: str, scenarios: Sequence[str]) -> None:
    scenario, name = split_key(key)
    try:
        metric = lookup(name)
    except KeyError:
        raise SpecError(where, f"{path}: unknown metric '{name}'", nearest(name, metric_names())) from None
    except ImportError as error:
        raise SpecError(where, f"{path}: the metric '{name}' cannot be loaded: {error}") from None
    if scenario is None:
        return
    mend = f"write '{name}'"
    _require(scenario in scenarios, where, f"{path}: unknown scenario '{scenario}'", nearest(scenario, scenarios))
    _require(scenario != scenarios[0], where, f"{path}: the suite's first scenario needs no prefix", mend)
    what = f"{path}: '{name}' belongs to the cell, not to a scenario"
    _require(metric.scope != "cell", where, what, mend)


def _check_limit(key: str, limit: Limit, where: str, path: str) -> None:
    ends = [end for end in (limit.min, limit.max) if end is not None]
    _require(ends, where, f"{path}: give 'min' or 'max'")
    _require(ends == sorted(ends), where, f"{path}: min {limit.min} is above max {limit.max}")
    better = lookup(key).better
    wrong, right = ("min", "max") if better == "lower" else ("max", "min")
    what = f"{path}: {better} is better for '{key}', so a '{wrong}' alone rules out the best"
    _require(better == "none" or getattr(limit, right) is not None, where, what, f"write {right} = {ends[0]:g}")
    _check_reachable(key, ends, where, path)


def _check_reachable(key: str, numbers: Sequence[float], where: str, path: str) -> None:
    """Raise SpecError for numbers that no value of a metric can have: negative ones, and fractions above 1."""
    name = split_key(key)[1]
    for number in numbers if name in CATALOGUE else ():
        _require(number >= 0, where, f"{path}: {number:g} is below 0, which '{name}' never is")
        fits = number <= 1 or name not in FRACTIONS
        _require(fits, where, f"{path}: {number:g} is above 1, and '{name}' is a fraction", "93 % is 0.93")


def _check_objective(key: str, objective: Objective, where: str, path: str) -> None:
    target, limit, better = objective.target, objective.limit, lookup(key).better
    _require(target != limit, where, f"{path}: target and limit are both {limit}, but must differ")
    positive = scale_of(key, objective) != "log" or min(target, limit) > 0
    _require(positive, where, f"{path}: a log scale needs target and limit above 0", 'or scale = "linear"')
    right = better == "none" or (target < limit) == (better == "lower")
    _require(right, where, f"{path}: {better} is better for '{key}', so target and limit are swapped")
    _check_reachable(key, (target, limit), where, path)


def _check_timed(suite: Suite, where: str) -> None:
    """Raise SpecError where the policy wants latency percentiles of a scenario that gives none."""
    for key in keys_of(suite.policy):
        name, metric = split_key(key)
        scenario = next((each for each in suite.scenario if each.name == name), suite.scenario[0])
        timed = metric not in PERCENTILES or plugins.load("scenarios", kind_of(scenario)).times_requests
        what = f"policy: '{key}': the scenario '{scenario.name}' ({kind_of(scenario)}) gives no latency percentiles"
        _require(timed, where, what, "take those of another scenario")


def _check_order(policy: Policy, where: str) -> None:
    for key in policy.order:
        mend = nearest(key, policy.objectives)
        _require(key in policy.objectives, where, f"policy.order: '{key}' is not an objective", mend)
    _require(len(set(policy.order)) == len(policy.order), where, "policy.order: a metric is named twice")
    weighted = any(objective.weight is not None for objective in policy.objectives.values())
    _require(not weighted, where, "policy: give either weights or an order, not both")
    missing = sorted(set(policy.objectives) - set(policy.order))
    _require(not missing, where, f"policy.order: leaves out {', '.join(missing)}")


def _check_weights(policy: Policy, where: str) -> None:
    for key, objective in policy.objectives.items():
        what = f"policy.objectives.{key}: missing key 'weight'"
        _require(objective.weight is not None, where, what, "or give policy.order")
    some = not policy.objectives or any(objective.weight for objective in policy.objectives.values())
    _require(some, where, "policy.objectives: all weights are 0; at least one must be above 0")
