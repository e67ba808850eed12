"""What a trial feeds its model: rows of the dataset, or synthetic inputs that the model runs with."""

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.evidence.files import read_arrays
from harness.runtimes import feeds as feeding
from harness.runtimes.base import Hint, InputError, Session
from harness.runtimes.guess import Guess, Mark, Model, find, lines_of
from harness.runtimes.layout import settle_by
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.synthetic import Synthetic
from harness.spec.wire import Trial


def inputs_of(
    job: Trial, session: Session, mark: Mark = lambda _: None
) -> tuple[dict[str, Array], tuple[Diagnostic, ...]]:
    """Return the arrays that the model is fed, rows in front, and a note where they are synthetic.

    The session's `inputs` are then laid out: the axis that carries rows, and whether their number is fixed. `mark` is
    called before each guess that is run. Raises ModelError where the dataset does not fit, InputError where what was
    said of synthetic inputs does not, or no guess works.
    """
    if job.dataset is not None:
        arrays = feeding.match(session.inputs, read_arrays(Path(job.dataset) / "inputs"))
        session.inputs = settle_by(session.inputs, arrays)
        return arrays, ()
    if job.synthetic is None:
        raise InputError("the job has neither a dataset nor synthetic inputs")
    guess = guess_for(session, job.synthetic, job.seed, mark)
    session.inputs = guess.tensors
    return guess.arrays, (note(guess),)


def guess_for(session: Session, spec: Synthetic, seed: int, mark: Mark = lambda _: None) -> Guess:
    """Find inputs that a session runs with; call it in the session's scope."""
    hints: Callable[[], Mapping[str, Hint]] = getattr(session, "hints", dict)
    return find(Model(session.inputs, session.infer, hints, session.clock), spec, seed, mark)


def note(guess: Guess) -> Diagnostic:
    """Return the note that says what was chosen.

    `data.inputs` are the options that would say it outright, `data.tried` the guesses that were run, and
    `data.first_ns` how long the one took that was chosen (None where none was run).
    """
    lines = list(lines_of(guess))
    chosen = "; ".join(f"{name} {line}" for name, line in guess.lines.items())
    how = f" ({guess.tried} guesses were tried)" if guess.tried > 1 else ""
    text = f"inputs are synthetic, drawn from the model's signature{how}: {chosen}"
    return diagnostic("inputs_synthetic", text, inputs=[*lines], tried=guess.tried, first_ns=guess.first_ns)
