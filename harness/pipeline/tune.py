"""`harness tune`: one candidate of a suite, as a function of several memory sizes. Memory buys CPU time.

The sweep is a normal run of a suite that is derived here: one candidate, one target for each size, and none drops out.
A size is refused where this machine has fewer CPUs than it buys: nothing here could show how fast it is.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import SpecError
from harness.evidence.run import RunRecord
from harness.pipeline.request import Request, adjusted, begun
from harness.spec.check import check_target
from harness.spec.find import load_suite, load_target
from harness.spec.metrics import nearest
from harness.spec.suite import Candidate, Suite
from harness.spec.target import Target

SIZES = (512, 1024, 1769, 2048, 3072, 4096, 6144, 8192, 10240)
LEAST_MIB, MOST_MIB = 128, 10240
DEFAULT = "serverless-1769"


class Sizes(NamedTuple):
    """The memory sizes (MiB) that a machine can emulate, and those that buy more CPUs than it has."""

    emulated: tuple[int, ...]
    refused: tuple[int, ...]


def read_sizes(text: str) -> tuple[int, ...]:
    """Read `512,1024,…`, smallest first. Raises SpecError for what is no memory size of a function."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not part.isdecimal() or not LEAST_MIB <= int(part) <= MOST_MIB:
            what = f"'{part}' is not a memory size from {LEAST_MIB} to {MOST_MIB} MiB"
            raise SpecError("--memory", what, "write --memory 512,1024,1769")
    if not parts:
        raise SpecError("--memory", "no size is given", "write --memory 512,1024,1769")
    return tuple(sorted({int(part) for part in parts}))


def emulated(sizes: Sequence[int], mib_per_cpu: float, cpus: int) -> Sizes:
    """Part sizes by whether they buy at most the CPUs that there are."""
    fits = [size / mib_per_cpu <= cpus for size in sizes]
    parts = ([size for size, fit in zip(sizes, fits, strict=True) if fit is wanted] for wanted in (True, False))
    return Sizes(*map(tuple, parts))


def why_refused(refused: Sequence[int], mib_per_cpu: float, cpus: int) -> str:
    """Say why sizes are refused."""
    bought = [f"{size / mib_per_cpu:.1f}" for size in (refused[0], refused[-1])]
    many = f"{bought[0]} vCPUs" if len(refused) == 1 else f"{bought[0]} to {bought[1]} vCPUs"
    listed = ", ".join(map(str, refused))
    return f"not measured: {listed} MiB buy {many}, and this machine has {cpus} CPUs to show it on"


def open_tune(
    request: Request, candidate: str, sizes: Sequence[int], on: str | None, cpus: int
) -> tuple[Path, RunRecord, str]:
    """Make a run of one candidate on functions of these sizes; returns it, and why other sizes are refused.

    `on` names the target whose memory is varied: without it, the suite's first function, else `serverless-1769`.
    Raises SpecError where the candidate is unknown, the target is no function, or no size is left.
    """
    suite, file = load_suite(request.what[0])
    base = _base(suite, file, on)
    per_cpu = base.lifecycle.mib_per_cpu if base.lifecycle is not None else None
    if per_cpu is None:
        mend = "name a target with lifecycle.mib_per_cpu, as serverless-1769 has it"
        raise SpecError(f"target '{base.name}'", "memory buys no CPU time there, so there is nothing to tune", mend)
    told = emulated(sizes, per_cpu, cpus)
    why = why_refused(told.refused, per_cpu, cpus) if told.refused else ""
    if not told.emulated:
        raise SpecError("--memory", why, "give smaller sizes")
    targets = tuple(sized(base, size) for size in told.emulated)
    folder, record = begun(
        request, derived(adjusted(suite, request), _candidate(suite, file, candidate)), file, targets
    )
    return folder, record, why


def _base(suite: Suite, file: Path, on: str | None) -> Target:
    if on is not None:
        return load_target(on)
    named = (load_target(name, str(file), file.parent) for name in suite.targets)
    return next((t for t in named if t.lifecycle is not None and t.lifecycle.mib_per_cpu), None) or load_target(DEFAULT)


def _candidate(suite: Suite, file: Path, name: str) -> Candidate:
    known = {candidate.name: candidate for candidate in suite.candidate}
    if name not in known:
        raise SpecError("--candidate", f"{file.name} has no candidate '{name}'", nearest(name, known))
    return known[name]


def sized(base: Target, memory_mib: int) -> Target:
    """Return a function of another size: threads as many as the CPUs that it buys, INIT on one CPU at least."""
    life, limits = base.lifecycle, msgspec.structs.replace(base.limits, memory_mib=memory_mib)
    assert life is not None and life.mib_per_cpu is not None, "the base is a function"
    cpus = memory_mib / life.mib_per_cpu
    life = msgspec.structs.replace(life, init_cpus=1.0 if cpus < 1.0 else None)
    options = {key: value for key, value in base.options.items() if key != "intra_op_threads"}
    target = msgspec.structs.replace(
        base,
        name=f"memory-{memory_mib}",
        description=f"{base.name} with {memory_mib:,} MiB: {cpus:.2f} vCPU",
        limits=limits,
        lifecycle=life,
        options=options | ({"intra_op_threads": max(1, math.ceil(cpus))} if "intra_op_threads" in base.options else {}),
    )
    check_target(target, f"target '{target.name}'")
    return target


def derived(suite: Suite, candidate: Candidate) -> Suite:
    """Return the suite of a sweep: one candidate, which is its own reference, and no race."""
    return msgspec.structs.replace(
        suite,
        name=f"{suite.name}-tune",
        description=f"{candidate.name}: which memory size is the cheapest that keeps the limits?",
        candidate=(candidate,),
        reference=None,
        budget=msgspec.structs.replace(suite.budget, race="off"),
    )
