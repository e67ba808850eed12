"""`harness init`: a suite for one's own model that is right as it is written, whatever the model calls its parts."""

from __future__ import annotations

import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from harness.cli import suite_text as init
from harness.errors import SpecError
from harness.pipeline.request import Request, open_new
from harness.pipeline.run import run
from harness.spec.find import load_suite
from harness.spec.outcome import Input


@pytest.fixture(scope="module")
def models():
    pytest.importorskip("onnxruntime")
    spec = spec_from_file_location("harness_test_models", Path(__file__).parents[1] / "models.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_suite_of_a_model_with_two_inputs_runs_as_it_is(models, tmp_path):
    written = init.write_suite(models.picked(tmp_path / "my model.onnx"), None)
    assert written == tmp_path / "my-model.toml"
    suite, _ = load_suite(str(written))
    assert suite.targets == ("cpu-onnx",)
    assert suite.dataset.synthetic.inputs == {"scores": "Nx64:float32:normal", "row": "Nx1:int64:0..1"}
    assert "#   row: int64 [batch, 1]" in written.read_text().splitlines()
    folder, record = open_new(Request([str(written)], out=tmp_path / "results", quick=True, budget_s=8.0))
    (row,) = run(folder, record).ranking.rows
    assert (row.candidate, row.status, row.eligible) == ("my-model", "measured", True)
    assert {"latency_p99_ms", "offline.throughput_per_s", "cost_per_million_usd"} <= set(row.metrics)
    assert "accuracy" not in row.metrics


def test_a_model_that_no_guess_fits_gets_a_suite_to_complete(models, tmp_path):
    helper = models.helper
    to = helper.make_node("Constant", [], ["to"], value_ints=[7919, -1])
    nodes = [to, helper.make_node("Reshape", ["x", "to"], ["y"])]
    sides = {"x": ("float32", ["batch", "odd"])}, {"y": ("float32", [7919, "b"])}
    model = models.onnx_model(tmp_path / "m.onnx", nodes, *sides)
    written = init.write_suite(model, None).read_text()
    assert "# none of " in written and "the runtime says: " in written
    assert '# "x" = "1x3x320x320:float32"' in written.splitlines()
    suite, _ = load_suite(str(tmp_path / "m.toml"))
    assert suite.dataset.synthetic.inputs == {}


def test_sizes_and_inputs_that_are_said_are_in_the_suite(models, tmp_path):
    model = models.picked(tmp_path / "m.onnx")
    written = init.write_suite(model, None, ["batch=4"], ["scores=Nx64:float32:0..1"])
    suite, _ = load_suite(str(written))
    assert suite.dataset.synthetic.inputs == {"scores": "Nx64:float32:0..1", "row": "4x1:int64:0..1"}


@pytest.mark.parametrize(
    ("dims", "inputs", "said"),
    [
        (["batsh=4"], [], r"m\.onnx: --dim batsh: the model has no dimension of this name \(did you mean 'batch'\?\)"),
        ([], ["row=1x9"], r"m\.onnx: --input row=1x9: the model wants \*x1"),
        (["batch"], [], "--dim: 'batch' has no name and '='"),
    ],
)
def test_what_is_said_wrongly_writes_no_suite(models, tmp_path, dims, inputs, said):
    model = models.picked(tmp_path / "m.onnx")
    with pytest.raises(SpecError, match=said):
        init.write_suite(model, None, dims, inputs)
    assert not list(tmp_path.glob("*.toml"))


def test_what_exists_is_not_overwritten(models, tmp_path):
    model = models.doubled(tmp_path / "m.onnx")
    (tmp_path / "m.toml").write_text("mine")
    with pytest.raises(SpecError, match=r"m\.toml: exists already \(give another name with --out\)"):
        init.write_suite(model, None)
    assert (tmp_path / "m.toml").read_text() == "mine"


def test_a_suite_elsewhere_names_the_model_by_its_whole_path(models, tmp_path):
    model = models.doubled(tmp_path / "m.onnx")
    (tmp_path / "suites").mkdir()
    written = init.write_suite(model, tmp_path / "suites" / "s.toml")
    assert load_suite(str(written))[0].candidate[0].path == str(model)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.onnx", "m.onnx: no such file"),
        ("notes.txt", "notes.txt: its format is not known"),
        ("m.pkl", "m.pkl: a pickle is refused: unpickling runs whatever code the file contains"),
        ("broken.onnx", "onnxruntime cannot load broken.onnx"),
    ],
)
def test_what_is_no_model_is_refused(models, tmp_path, name, said):
    for other in ("notes.txt", "m.pkl", "broken.onnx"):
        (tmp_path / other).write_bytes(b"nothing")
    with pytest.raises(SpecError) as caught:
        init.write_suite(tmp_path / name, None)
    assert said in str(caught.value)
    assert not list(tmp_path.glob("*.toml"))


def test_a_folder_that_is_not_there_is_said(models, tmp_path):
    model = models.doubled(tmp_path / "m.onnx")
    with pytest.raises(SpecError, match=r"cannot be written: No such file or directory"):
        init.write_suite(model, tmp_path / "gone" / "s.toml")


@pytest.mark.parametrize("stem", ["_private", "-x", "größe", "a b", 'quo"te', "back\\slash"])
@pytest.mark.parametrize("dim", ["seq", "2*seq + 1", 'a"b', "a\\b", "ü"])
def test_any_names_make_a_right_suite(tmp_path, stem, dim):
    model = tmp_path / f"{stem}.onnx"
    model.touch()
    inputs = (Input(name="x\n[evil]", dtype="float32", shape=("batch", dim, "...", 3)),)
    path = tmp_path / "suite.toml"
    for works in ((f"{dim}=Nx3:float32", "x\n[evil]=Nx4"), ()):
        found = init.Described(inputs, works, "" if works else f"{dim}\n[evil]")
        path.write_text(init.suite_text(model, path, found), encoding="utf-8")
        suite, _ = load_suite(str(path))
        assert suite.dataset.synthetic.inputs == ({dim: "Nx3:float32", "x\n[evil]": "Nx4"} if works else {})
        assert suite.candidate[0].path == model.name
        assert "evil" not in tomllib.loads(path.read_text())
