"""From a command line to a run: which suite, which targets, what the flags change."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import __version__
from harness.errors import SpecError
from harness.evidence.files import write_json
from harness.evidence.run import RunRecord, new_folder
from harness.pipeline.traces import read_traces, save_traces
from harness.scenarios.single_stream import SingleStream
from harness.spec.check import check_suite, plain_name
from harness.spec.find import load_suite, load_targets
from harness.spec.formats import format_of, stem_of, suffixes
from harness.spec.policy import WIDE
from harness.spec.scenario import Scenario
from harness.spec.suite import Budget, Candidate, Dataset, Suite, Synthetic
from harness.spec.target import Target
from harness.spec.toml import nearest_file

_TARGETS = {"onnx": ("cpu-onnx",), "executorch": ("edge-executorch",), "litert": ("edge-litert",)}
_OTHERS = ("cpu-onnx", "cpu-torch")
"""Where bare models are measured, by their format."""
QUICK_FRACTION = 0.3
_WINDOW_S = 0.5
"""The window of bare models: processes of a fast model differ more than its requests, so more and shorter trials."""
QUICK_SECONDS = 60.0
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>s|m|min|h)?")
_WITHOUT_SUITE = "models without a suite: {}, no labels, so no accuracy"
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Request(NamedTuple):
    """What `harness run` was asked for; `dims`, `inputs` and `rows` describe the inputs of bare models, as typed."""

    what: Sequence[str]
    targets: Sequence[str] = ()
    out: Path = Path("results")
    budget_s: float | None = None
    seed: int = 0
    quick: bool = False
    exhaustive: bool = False
    controls: bool = False
    dims: Sequence[str] = ()
    inputs: Sequence[str] = ()
    rows: Path | None = None


def seconds(text: str, option: str = "--budget") -> float:
    """Read a duration: `90s`, `2m`, `1h`, or plain seconds. Raises SpecError if it is none, or not above 0."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or float(found["number"]) <= 0:
        raise SpecError(option, f"'{text}' is not a duration above 0", "write 90s, 2m or 1h")
    return float(found["number"]) * _UNITS[found["unit"]]


def open_new(request: Request) -> tuple[Path, RunRecord]:
    """Read what is asked for, and make a run folder for it.

    Raises SpecError if the suite, a target or a flag is wrong. Raises EvidenceError if the folder cannot be made.
    """
    suite, file, synthetic = _suite(request)
    names = tuple(request.targets) or suite.targets
    where = "--target" if request.targets else f"{file}: targets"
    targets = load_targets(names, where, None if request.targets else file.parent)
    return begun(request, adjusted(suite, request), file, targets, synthetic)


def begun(
    request: Request, suite: Suite, file: Path, targets: tuple[Target, ...], synthetic: bool = False
) -> tuple[Path, RunRecord]:
    """Make a run folder for a suite of this file on these targets."""
    suite = msgspec.structs.replace(suite, targets=tuple(target.name for target in targets))
    suite, traces = read_traces(suite, str(file), file.parent)
    folder = new_folder(request.out, suite.name)
    save_traces(folder, traces)
    record = RunRecord(
        id=folder.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        suite=suite,
        suite_file=str(file),
        base=str(file.parent),
        targets=targets,
        seed=request.seed,
        quick=request.quick,
        synthetic_policy=synthetic,
        controls=request.controls,
        harness=__version__,
    )
    write_json(folder / "run.json", record)
    return folder, record


def extended(folder: Path, record: RunRecord, budget_s: float) -> RunRecord:
    """Give a run another budget (s, for all of its measuring) and keep that in its record.

    The budget that it has already stays: the command may be one that was stopped. Raises SpecError if it is less than
    before. Raises EvidenceError if the record cannot be written.
    """
    before = record.suite.budget
    if budget_s == before.seconds:
        return record
    if budget_s < before.seconds:
        mend = "give more: the budget is that of the whole run"
        raise SpecError("--budget", f"the run has {before.seconds:g} s already", mend)
    budget = msgspec.structs.replace(before, seconds=budget_s)
    record = msgspec.structs.replace(record, suite=msgspec.structs.replace(record.suite, budget=budget))
    write_json(folder / "run.json", record)
    return record


def _suite(request: Request) -> tuple[Suite, Path, bool]:
    """Return the suite, its file (or the folder paths are relative to), and whether it was made up here."""
    if not request.what:
        raise SpecError("harness run", "nothing to run", "name a suite, or model files: harness run digits")
    if all(format_of(name) for name in request.what):
        return _without_suite(request.what, described(request)), Path.cwd() / "no-suite.toml", True
    _refuse_description(request)
    if len(request.what) > 1:
        odd = next(name for name in request.what if not format_of(name))
        raise SpecError(odd, "is not a model file", f"either one suite, or files ending in {', '.join(suffixes())}")
    if Path(request.what[0]).is_file() and not request.what[0].endswith(".toml"):
        mend = f"a suite ends in .toml, a model in {', '.join(suffixes())}"
        raise SpecError(request.what[0], "is neither a suite nor a model file", mend)
    suite, file = load_suite(request.what[0])
    return suite, file, False


def described(request: Request) -> Dataset:
    """Return the inputs of bare models: rows of a file, or synthetic ones as --dim and --input say.

    Raises SpecError that names the option.
    """
    if request.rows is not None:
        if request.dims or request.inputs:
            raise SpecError("--inputs", "rows need no description", "leave out --dim and --input")
        if not request.rows.is_file():
            raise SpecError("--inputs", f"no such file: {request.rows}", nearest_file(request.rows))
        return Dataset(path=str(request.rows.absolute()))
    dims = {name: _size(size, name) for name, size in _pairs("--dim", request.dims, "height=320")}
    inputs = dict(_pairs("--input", request.inputs, "images=1x3x320x320:float32"))
    try:
        return Dataset(synthetic=Synthetic(dims=dims, inputs=inputs))
    except ValueError as error:
        raise SpecError("--input", str(error).removeprefix("inputs.")) from None


def _pairs(option: str, texts: Sequence[str], example: str) -> list[tuple[str, str]]:
    """Split `NAME=…` texts at the last `=`, for a name may have one; names are unique."""
    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, _, value = text.rpartition("=")
        if not name:
            raise SpecError(option, f"'{text}' has no name and '='", f"write {option} {example}")
        if name in dict(pairs):
            raise SpecError(option, f"'{name}' is given twice")
        pairs.append((name, value))
    return pairs


def _size(text: str, name: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise SpecError("--dim", f"{name}: '{text}' is not a size", f"write --dim {name}=320")
    return int(text)


def _refuse_description(request: Request) -> None:
    """Raise SpecError where inputs are described beside a suite, which has its own."""
    options = {"--dim": request.dims, "--input": request.inputs, "--inputs": request.rows}
    for option, given in options.items():
        if given:
            mend = "write it into [dataset] of the suite: synthetic = { dims = { … }, inputs = { … } }, or path"
            raise SpecError(option, "describes the inputs of bare model files", mend)


def _without_suite(models: Sequence[str], dataset: Dataset) -> Suite:
    """Make a suite of bare model files: their inputs, wide scales."""
    named = zip(_names(models), models, strict=True)
    candidates = tuple(Candidate(name=name, path=str(Path(model).absolute())) for name, model in named)
    targets = tuple(dict.fromkeys(name for model in models for name in _TARGETS.get(format_of(model) or "", _OTHERS)))
    suite = Suite(
        name="models",
        description=_WITHOUT_SUITE.format("inputs from a file" if dataset.path else "synthetic inputs"),
        targets=targets,
        candidate=candidates,
        scenario=(SingleStream(name="interactive", seconds=_WINDOW_S),),
        dataset=dataset,
        budget=Budget(seconds=60.0),
        policy=WIDE,
    )
    check_suite(suite, "harness run", Path.cwd())
    return suite


def _names(models: Sequence[str]) -> list[str]:
    """Name models by their stems; where these are the same, by their folders too, or else by number."""
    stems = [plain_name(stem_of(model)) for model in models]
    fuller = [plain_name(f"{Path(model).absolute().parent.name}-{Path(model).name}") for model in models]
    for names in (stems, fuller):
        if len(set(names)) == len(names):
            return names
    return [f"{stem}-{number}" for number, stem in enumerate(stems, 1)]


def _shortened(scenario: Scenario) -> Scenario:
    return msgspec.structs.replace(scenario, seconds=scenario.seconds * QUICK_FRACTION)  # type: ignore[type-var]


def adjusted(suite: Suite, request: Request) -> Suite:
    """Apply --budget, --quick and --exhaustive."""
    budget, scenarios, changes = suite.budget, suite.scenario, dict[str, object]()
    if request.quick:
        changes |= {"seconds": min(budget.seconds, QUICK_SECONDS), "trials": min(budget.trials, 3)}
        scenarios = tuple(_shortened(scenario) if scenario.in_trials else scenario for scenario in scenarios)
    if request.budget_s is not None:
        changes["seconds"] = request.budget_s
    if request.exhaustive:
        changes["race"] = "off"
    return msgspec.structs.replace(suite, budget=msgspec.structs.replace(budget, **changes), scenario=scenarios)
