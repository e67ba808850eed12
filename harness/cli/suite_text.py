"""The suite that `harness init` writes for a model, with its inputs read off the model."""

import json
import tempfile
from pathlib import Path

from harness.errors import SpecError
from harness.launch.base import Terms, launchers, run_job
from harness.spec.check import WHY_NO_PICKLE, plain_name
from harness.spec.find import load_target
from harness.spec.formats import format_of, is_pickle, stem_of, suffixes
from harness.spec.toml import nearest_file
from harness.spec.variant import Variant
from harness.spec.wire import Describe, Input

_TARGETS = {"onnx": ("cpu-onnx",), "pt2": ("cpu-torch", "cpu-onnx")}


def write_suite(model: Path, out: Path | None) -> Path:
    """Write a suite for `model` to `out` (beside the model when None) and return its path."""
    path = out if out is not None else model.with_name(f"{plain_name(stem_of(model.name))}.toml")
    if path.exists():
        raise SpecError(str(path), "exists already", "give another name with --out")
    text = suite_text(model, path, inputs_of(model))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(str(path), f"cannot be written: {error.strerror}") from None
    return path


def inputs_of(model: Path) -> tuple[Input, ...]:
    """Load `model` in a child process and return its inputs."""
    if not model.is_file():
        raise SpecError(str(model), "no such file", nearest_file(model))
    kind = format_of(model.name)
    if is_pickle(model.name):
        raise SpecError(str(model), f"a pickle is refused: {WHY_NO_PICKLE}", "export it to .onnx or .pt2")
    if kind not in _TARGETS:
        raise SpecError(str(model), "its format is not known", f"one of: {', '.join(suffixes())}")
    target = load_target(_TARGETS[kind][0])
    job = Describe(variant=Variant(format=kind, path=model.name), target=target)
    with tempfile.TemporaryDirectory() as folder:
        launcher = launchers([target.launcher])[target.launcher]
        outcome = run_job(launcher, Path(folder), job, Terms(model.absolute().parent))
    if outcome.status != "ok":
        raise SpecError(str(model), outcome.message)
    return outcome.inputs


def suite_text(model: Path, suite: Path, inputs: tuple[Input, ...]) -> str:
    """Return the suite as TOML, with comments that say what to change."""
    folder, path = suite.absolute().parent, model.absolute()
    names = dict.fromkeys(d for i in inputs for d in i.shape[1:] if isinstance(d, str) and d != "...")
    return _TEXT.format(
        name=plain_name(stem_of(model.name)),
        path=_quoted(str(path.relative_to(folder) if path.is_relative_to(folder) else path)),
        targets=", ".join(map(_quoted, _TARGETS[format_of(model.name) or "onnx"])),
        inputs="\n".join(_line(f"#   {i.name}: {i.dtype} [{', '.join(map(str, i.shape))}]") for i in inputs),
        dims=", ".join(f"{_quoted(name)} = 16" for name in names),
    )


def _quoted(text: str) -> str:
    """Return `text` as a TOML string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    """Keep a comment on its line, whatever a model calls its inputs."""
    return "".join(c if c.isprintable() else "?" for c in text)


_TEXT = """\
description = "Should {name} serve, and where?"
targets = [{targets}] # `harness targets` lists them

# The model takes (its first dimension is the batch):
{inputs}

[dataset]
# Synthetic inputs say nothing of quality. For accuracy give real rows and labels instead:
#   path = "data.npz"                  # arrays named like the inputs, and `labels`
#   builder = "my_module:load"         # returns {{"inputs": {{...}}, "labels": ...}}
synthetic = {{ rows = 64, dims = {{ {dims} }} }}

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
