"""The suite that `harness init` writes for a model, with its inputs read off the model."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import SpecError
from harness.launch.base import Terms, launchers, run_job
from harness.pipeline.request import Request, described
from harness.spec.check import WHY_NO_PICKLE, plain_name
from harness.spec.find import load_target
from harness.spec.formats import format_of, is_pickle, stem_of, suffixes
from harness.spec.outcome import Input
from harness.spec.synthetic import Synthetic
from harness.spec.toml import nearest_file
from harness.spec.variant import Variant
from harness.spec.wire import Describe

_TARGETS = {
    "onnx": ("cpu-onnx",),
    "pt2": ("cpu-torch", "cpu-onnx"),
    "executorch": ("edge-executorch",),
    "litert": ("edge-litert",),
}


def write_suite(model: Path, out: Path | None, dims: Sequence[str] = (), inputs: Sequence[str] = ()) -> Path:
    """Write a suite for `model` to `out` (beside the model when None) and return its path.

    `dims` and `inputs` are as typed, see `request.described`. Raises SpecError where the model does not run with them.
    """
    if not model.is_file():
        raise SpecError(str(model), "no such file", nearest_file(model))
    path = out if out is not None else model.with_name(f"{plain_name(stem_of(model.name))}.toml")
    if path.suffix != ".toml":
        raise SpecError(str(path), "is no name of a suite", f"it ends in .toml: --out {path}.toml")
    if path.exists():
        raise SpecError(str(path), "exists already", "give another name with --out")
    told = described(Request((), dims=dims, inputs=inputs)).synthetic or Synthetic()
    found = describe(model, told)
    if found.problem and (dims or inputs):
        raise SpecError(str(model), found.problem)
    text = suite_text(model, path, found)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(str(path), f"cannot be written: {error.strerror}") from None
    return path


class Described(NamedTuple):
    """A model's inputs; those that were found to work as they are typed (`NAME=SHAPE:DTYPE:VALUES`), or why none do."""

    inputs: tuple[Input, ...]
    works: tuple[str, ...] = ()
    problem: str = ""


def describe(model: Path, told: Synthetic) -> Described:
    """Load `model` in a child process, and find inputs that it runs with and that are as they were told."""
    kind = format_of(model.name)
    if is_pickle(model.name):
        raise SpecError(str(model), f"a pickle is refused: {WHY_NO_PICKLE}", "export it to .onnx or .pt2")
    if kind not in _TARGETS:
        raise SpecError(str(model), "its format is not known", f"one of: {', '.join(suffixes())}")
    target = load_target(_TARGETS[kind][0])
    synthetic = msgspec.structs.replace(told, rows=1)
    job = Describe(variant=Variant(format=kind, path=model.name), target=target, synthetic=synthetic)
    with tempfile.TemporaryDirectory() as folder:
        launcher = launchers([target.launcher])[target.launcher]
        outcome = run_job(launcher, Path(folder), job, Terms(model.absolute().parent))
    if outcome.status != "ok":
        raise SpecError(str(model), outcome.message)
    chosen = [line for note in outcome.notes for line in _texts(note.data.get("inputs"))]
    return Described(outcome.inputs, tuple(chosen), outcome.message)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def suite_text(model: Path, suite: Path, found: Described) -> str:
    """Return the suite as TOML, with comments that say what to change."""
    folder, path = suite.absolute().parent, model.absolute()
    works = [line.rpartition("=") for line in found.works]
    return _TEXT.format(
        name=plain_name(stem_of(model.name)),
        path=_quoted(str(path.relative_to(folder) if path.is_relative_to(folder) else path)),
        targets=", ".join(map(_quoted, _TARGETS[format_of(model.name) or "onnx"])),
        inputs="\n".join(_line(f"#   {i.name}: {i.dtype} [{', '.join(map(str, i.shape))}]") for i in found.inputs),
        works="\n".join(f"{_quoted(name)} = {_quoted(line)}" for name, _, line in works) or _missing(found),
    )


def _missing(found: Described) -> str:
    """Return comments in place of inputs that nobody found."""
    name = found.inputs[0].name if found.inputs else "x"
    return "\n".join(map(_line, (f"# {found.problem}", f'# {_quoted(name)} = "1x3x320x320:float32"')))


def _quoted(text: str) -> str:
    """Return `text` as a TOML string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    """Keep a comment on its line, whatever a model calls its inputs."""
    return "".join(c if c.isprintable() else "?" for c in text)


_TEXT = """\
description = "Should {name} serve, and where?"
targets = [{targets}] # `harness targets` lists them

# The model takes:
{inputs}

# Synthetic inputs say nothing of quality. For accuracy replace this by real rows and labels:
#   [dataset]
#   path = "data.npz"                  # arrays named like the inputs, and `labels`
#   builder = "my_module:load"         # returns {{"inputs": {{...}}, "labels": ...}}
[dataset.synthetic]
rows = 64

[dataset.synthetic.inputs] # the model runs with these: SHAPE:DTYPE:VALUES, N is any number of rows
{works}

[[candidate]] # add as many as there are models to choose from
name = "{name}"
path = {path}

[[scenario]] # the first scenario's metrics need no prefix below
name = "interactive"
kind = "single_stream"
seconds = 1.0

[[scenario]]
name = "offline"
kind = "offline"
seconds = 1.0
batch_sizes = [1, 8, 32]

[budget]
seconds = 120

[policy.limits] # hard: a row that breaks one is not eligible
latency_p99_ms = {{ max = 100 }}

[policy.objectives] # fixed scales: 1 at `target` or better, 0 at `limit` or worse
latency_p99_ms = {{ weight = 2, target = 1, limit = 100 }}
cost_per_million_usd = {{ weight = 1, target = 0.01, limit = 10 }}
# accuracy = {{ weight = 3, target = 0.99, limit = 0.90 }}
"""
