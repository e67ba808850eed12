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
from harness.scenarios.single_stream import SingleStream
from harness.spec.check import check_suite, plain_name
from harness.spec.find import load_suite, load_targets
from harness.spec.formats import format_of, stem_of, suffixes
from harness.spec.policy import WIDE
from harness.spec.suite import Budget, Candidate, Dataset, Suite, Synthetic

QUICK_FRACTION = 0.3
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
    """Read a duration: `90s`, `2m`, `1h`, or plain seconds. Raises SpecError if it is none, or not above 0."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or float(found["number"]) <= 0:
        raise SpecError("--budget", f"'{text}' is not a duration above 0", "write 90s, 2m or 1h")
    return float(found["number"]) * _UNITS[found["unit"]]


def open_new(request: Request) -> tuple[Path, RunRecord]:
    """Read what is asked for, and make a run folder for it.

    Raises SpecError if the suite, a target or a flag is wrong. Raises EvidenceError if the folder cannot be made.
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
        harness=__version__,
    )
    write_json(folder / "run.json", record)
    return folder, record


def _suite(request: Request) -> tuple[Suite, Path, bool]:
    """Return the suite, its file (or the folder paths are relative to), and whether it was made up here."""
    if not request.what:
        raise SpecError("harness run", "nothing to run", "name a suite, or model files: harness run digits")
    if all(format_of(name) for name in request.what):
        return _without_suite(request.what), Path.cwd() / "no-suite.toml", True
    if len(request.what) > 1:
        odd = next(name for name in request.what if not format_of(name))
        raise SpecError(odd, "is not a model file", f"either one suite, or files ending in {', '.join(suffixes())}")
    if Path(request.what[0]).is_file() and not request.what[0].endswith(".toml"):
        mend = f"a suite ends in .toml, a model in {', '.join(suffixes())}"
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
    stems = [plain_name(stem_of(model)) for model in models]
    fuller = [plain_name(f"{Path(model).absolute().parent.name}-{Path(model).name}") for model in models]
    for names in (stems, fuller):
        if len(set(names)) == len(names):
            return names
    return [f"{stem}-{number}" for number, stem in enumerate(stems, 1)]


def _adjusted(suite: Suite, request: Request) -> Suite:
    """Apply --budget, --quick and --exhaustive."""
    budget, scenarios, changes = suite.budget, suite.scenario, dict[str, object]()
    if request.quick:
        changes |= {"seconds": min(budget.seconds, QUICK_SECONDS), "trials": min(budget.trials, 3)}
        scenarios = tuple(msgspec.structs.replace(s, seconds=s.seconds * QUICK_FRACTION) for s in scenarios)  # type: ignore[type-var]
    if request.budget_s is not None:
        changes["seconds"] = request.budget_s
    if request.exhaustive:
        changes["race"] = "off"
    return msgspec.structs.replace(suite, budget=msgspec.structs.replace(budget, **changes), scenario=scenarios)
