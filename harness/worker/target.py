"""Jobs about a target: whether it can be used here, and what a model takes when it is loaded there."""

from importlib.util import find_spec

from harness.runtimes.base import InputError, load_runtime, wrong_option
from harness.spec import plugins
from harness.spec.metrics import nearest
from harness.spec.outcome import Fact, Input, Outcome
from harness.spec.target import Target
from harness.spec.wire import CheckTarget, Describe
from harness.worker.inputs import guess_for, note

CLIENT = "awslambdaric"
"""The package that asks the Runtime API of AWS Lambda for work."""


def check_target(job: CheckTarget) -> Outcome:
    """Say whether the target can be used here ("ok"), not ("unavailable"), or is wrong ("invalid")."""
    target = job.target
    try:
        runtime = load_runtime(target.runtime)
    except LookupError:
        mend = nearest(target.runtime, plugins.names("runtimes"))
        return Outcome(status="invalid", message=f"runtime: unknown runtime '{target.runtime}' ({mend})")
    except ImportError as error:
        return Outcome(status="unavailable", message=f"the runtime cannot be imported: {error}")
    problem = wrong_option(target.options, runtime.options)
    if problem:
        return Outcome(status="invalid", message=f"options.{problem}")
    try:
        reason = runtime.unavailable(target) or _without_client(target)
        versions = {} if reason else runtime.versions()
    except ImportError as error:
        reason, versions = plugins.what_brings(error, "runtimes", target.runtime) or str(error), {}
    if reason:
        return Outcome(status="unavailable", message=reason, formats=runtime.formats)
    forkable, facts = getattr(runtime, "forkable", None), getattr(runtime, "facts", None)
    settings: dict[str, Fact] = {"forkable": forkable is not None and bool(forkable(target))}
    settings |= {} if facts is None else facts(target)
    casts = getattr(runtime, "precisions", None)
    precisions = () if casts is None else tuple(casts(target))
    return Outcome(status="ok", formats=runtime.formats, precisions=precisions, versions=versions, settings=settings)


def _without_client(target: Target) -> str | None:
    """Say that a function's runtime client is missing, if it is."""
    if target.launcher != "function" or find_spec(CLIENT) is not None:
        return None
    found = plugins.extra("launchers", target.launcher, CLIENT)
    return f"the runtime client {CLIENT} is not installed: pip install '{found or CLIENT}'"


def describe(job: Describe) -> Outcome:
    """Load a model and return its inputs, with a note of synthetic ones that it runs with.

    Where none are found, `message` says why. Raises ModelError where it cannot be loaded.
    """
    session = load_runtime(job.target.runtime).load(job.variant, job.target, job.resources.threads, 0, 0)
    inputs = tuple(Input(name=t.name, dtype=str(t.dtype or "unknown"), shape=t.shape) for t in session.inputs)
    try:
        with session.scope():
            guess = guess_for(session, job.synthetic, 0)
    except InputError as error:
        return Outcome(status="ok", inputs=inputs, message=str(error))
    return Outcome(status="ok", inputs=inputs, notes=(note(guess),))
