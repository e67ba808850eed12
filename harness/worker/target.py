"""Jobs about a target: whether it can be used here, and what a model takes when it is loaded there."""

from harness.runtimes.base import load_runtime, wrong_option
from harness.spec import plugins
from harness.spec.metrics import nearest
from harness.spec.wire import CheckTarget, Describe, Input, Outcome


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
        reason = runtime.unavailable(target)
        versions = {} if reason else runtime.versions()
    except ImportError as error:
        reason, versions = f"{error}", {}
    if reason:
        return Outcome(status="unavailable", message=reason, formats=runtime.formats)
    return Outcome(status="ok", formats=runtime.formats, versions=versions)


def describe(job: Describe) -> Outcome:
    """Load a model and return its inputs; raises ModelError where it cannot be loaded."""
    session = load_runtime(job.target.runtime).load(job.variant, job.target, job.resources.threads, 0, 0)
    inputs = tuple(Input(name=t.name, dtype=str(t.dtype or "unknown"), shape=t.shape) for t in session.inputs)
    return Outcome(status="ok", inputs=inputs)
