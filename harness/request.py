"""From a command line to a run: which suite, which targets, what the flags change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import SpecError
from harness.runs import RunRecord, fingerprint, new_folder, write_run
from harness.spec.check import SUFFIXES, check_suite, format_of, plain_name
from harness.spec.find import load_suite, load_targets
from harness.spec.policy import WIDE
from harness.spec.suite import Budget, Candidate, Dataset, Scenario, SingleStream, Suite, Synthetic

QUICK_SHARE = 0.3
QUICK_SECONDS = 60.0
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>s|m|min|h)?")
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Request(NamedTuple):
    """What `harness run` was asked for."""

    what: Sequence[str]
    targets: Sequence[str] = ()
    out: Path = Path("results")
    budget_s: float | None = None
    seed: int = 0
    quick: bool = False
    exhaustive: bool = False


def seconds(text: str) -> float:
    """Read a duration: `90s`, `2m`, `1h`, or plain seconds.

    Raises:
        SpecError: it is none, or not above 0.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or float(found["number"]) <= 0:
        raise SpecError("--budget", f"'{text}' is not a duration above 0", "write 90s, 2m or 1h")
    return float(found["number"]) * _UNITS[found["unit"]]


def open_new(request: Request) -> tuple[Path, RunRecord]:
    """Read what is asked for, and make a run folder for it.

    Raises:
        SpecError: the suite, a target or a flag is wrong.
        EvidenceError: the folder cannot be made.
    """
    suite, file, synthetic = _suite(request)
    names = tuple(request.targets) or suite.targets
    where = "--target" if request.targets else f"{file}: targets"
    targets = load_targets(names, where, None if request.targets else file.parent)
    suite = msgspec.structs.replace(_adjusted(suite, request), targets=tuple(target.name for target in targets))
    folder = new_folder(request.out, suite.name)
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
        host=fingerprint(),
    )
    write_run(folder, record)
    return folder, record


def _suite(request: Request) -> tuple[Suite, Path, bool]:
    """Return the suite, its file (or the folder paths are relative to), and whether it was made up here."""
    if not request.what:
        raise SpecError("harness run", "nothing to run", "name a suite, or model files: harness run digits")
    if all(format_of(name) for name in request.what):
        return _without_suite(request.what), Path.cwd() / "no-suite.toml", True
    if len(request.what) > 1:
        odd = next(name for name in request.what if not format_of(name))
        raise SpecError(odd, "is not a model file", f"either one suite, or files ending in {', '.join(SUFFIXES)}")
    if Path(request.what[0]).is_file() and not request.what[0].endswith(".toml"):
        mend = f"a suite ends in .toml, a model in {', '.join(SUFFIXES)}"
        raise SpecError(request.what[0], "is neither a suite nor a model file", mend)
    suite, file = load_suite(request.what[0])
    return suite, file, False


def _without_suite(models: Sequence[str]) -> Suite:
    """Make a suite of bare model files: synthetic inputs, wide scales."""
    named = zip(_names(models), models, strict=True)
    candidates = tuple(Candidate(name=name, path=str(Path(model).absolute())) for name, model in named)
    targets = ("cpu-onnx",) if all(name.endswith(".onnx") for name in models) else ("cpu-onnx", "cpu-torch")
    suite = Suite(
        name="models",
        description="models without a suite: synthetic inputs, no labels, so no accuracy",
        targets=targets,
        candidate=candidates,
        scenario=(SingleStream(name="interactive"),),
        dataset=Dataset(synthetic=Synthetic()),
        budget=Budget(seconds=60.0),
        policy=WIDE,
    )
    check_suite(suite, "harness run", Path.cwd())
    return suite


def _names(models: Sequence[str]) -> list[str]:
    """Name models by their stems; where these are the same, by their folders too, or else by number."""
    stems = [plain_name(Path(model).name.removesuffix(_suffix(model))) for model in models]
    fuller = [plain_name(f"{Path(model).absolute().parent.name}-{Path(model).name}") for model in models]
    for names in (stems, fuller):
        if len(set(names)) == len(names):
            return names
    return [f"{stem}-{number}" for number, stem in enumerate(stems, 1)]


def _suffix(name: str) -> str:
    return next(s for s in SUFFIXES if name.endswith(s))


def _adjusted(suite: Suite, request: Request) -> Suite:
    """Apply --budget, --quick and --exhaustive."""
    budget, scenarios = suite.budget, suite.scenario
    if request.quick:
        budget = msgspec.structs.replace(
            budget, seconds=min(budget.seconds, QUICK_SECONDS), trials=min(budget.trials, 3)
        )
        scenarios = tuple(_quick(scenario) for scenario in scenarios)
    if request.budget_s is not None:
        budget = msgspec.structs.replace(budget, seconds=request.budget_s)
    if request.exhaustive:
        budget = msgspec.structs.replace(budget, race="off")
    return msgspec.structs.replace(suite, budget=budget, scenario=scenarios)


def _quick(scenario: Scenario) -> Scenario:
    return msgspec.structs.replace(scenario, seconds=scenario.seconds * QUICK_SHARE)
