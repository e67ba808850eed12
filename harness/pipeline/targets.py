"""Targets as such: whether each can be used here, and whether its options are of any use."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import SpecError
from harness.evidence.run import PreparedCell
from harness.launch.base import Terms, launchers, run_job
from harness.spec.find import known, load_target
from harness.spec.outcome import Outcome
from harness.spec.target import Target
from harness.spec.wire import CheckTarget


def check_all() -> dict[str, Outcome | SpecError]:
    """Check every known target in a process of its own; a wrong target file gives its error."""
    found: dict[str, Outcome | SpecError] = {}
    for name, path in known("targets").items():
        try:
            target = load_target(str(path.absolute()))
            launcher = launchers([target.launcher])[target.launcher]
        except SpecError as error:
            found[name] = error
            continue
        with tempfile.TemporaryDirectory() as folder:
            terms = Terms(Path(folder), python=target.python, timeout_s=120)
            outcome = run_job(launcher, Path(folder) / "job", CheckTarget(target=target), terms)
        found[name] = SpecError(str(path), outcome.message) if outcome.status == "invalid" else outcome
    return found


def refuse_unused_options(target: Target, prepared: Iterable[PreparedCell]) -> None:
    """Refuse an option of `[conversion]` that no conversion for this target takes.

    Raises SpecError if there is one. Not where a conversion failed, which might have taken it, nor where nothing is
    converted: the target may be unavailable here, or load what it is given.
    """
    cells = list(prepared)
    if any(cell.status == "failed" and cell.variant is None for cell in cells):
        return
    converted = {cell.variant.steps: cell.takes for cell in cells if cell.variant is not None and cell.variant.steps}
    unused = sorted(set(target.conversion).difference(*converted.values()))
    if converted and unused:
        steps = dict.fromkeys(step for each in converted for step in each)
        raise SpecError(f"target '{target.name}'", f"conversion.{unused[0]}: no option of {', '.join(steps)}")
