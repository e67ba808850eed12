from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from harness.runtimes import feeds
from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.torch import TorchRuntime
from harness.spec.target import Target
from harness.spec.variant import Variant

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture
def built(torch_beside, tmp_path, torch_target, monkeypatch):
    """Load what a builder beside the suite makes."""
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)  # may be called once a process
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(function, target=torch_target, **more):
        fields = {"builder": f"{torch_beside}:{function}", "import_from": str(tmp_path), "format": "torch"}
        return TorchRuntime().load(Variant(**(fields | more)), target, 1, 0, 0)

    return call


def run(session, **feed):
    with session.scope():
        return session.infer(feed)


def linear(weights, x):
    return x @ weights["layer.weight"].numpy().T + weights["layer.bias"].numpy()


@pytest.fixture
def weights(tmp_path):
    made = {"layer.weight": torch.arange(12.0).reshape(4, 3), "layer.bias": torch.ones(4)}
    safetensors.save_file(made, tmp_path / "w.safetensors")
    return made


def test_a_builder_takes_its_weights_from_safetensors(built, weights, tmp_path):
    session = built("linear", weights=str(tmp_path / "w.safetensors"))
    assert session.inputs == (Tensor("x", np.dtype("float32"), ("batch", 3)),)
    x = np.ones((2, 3), np.float32)
    (scores,) = run(session, x=x)
    np.testing.assert_allclose(scores, linear(weights, x), rtol=1e-6)


def test_plain_tensors_in_a_checkpoint_need_no_trust(built, weights, tmp_path):
    torch.save(weights, tmp_path / "w.pt")
    (scores,) = run(built("linear", weights=str(tmp_path / "w.pt")), x=np.ones((1, 3), np.float32))
    np.testing.assert_allclose(scores[0], [4, 13, 22, 31], rtol=1e-6)


def test_weights_that_do_not_fit_name_their_file_and_builder(built, tmp_path, torch_beside):
    safetensors.save_file({"layer.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(
        ModelError, match=r"the weights in other\.safetensors do not fit made_\d+:linear: .*layer\.bias"
    ):
        built("linear", weights=str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "gone.safetensors"])
def test_weights_that_cannot_be_read_name_their_file(built, tmp_path, name):
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=rf"the weights in {name} do not fit"):
        built("linear", weights=str(tmp_path / name))


def test_weights_that_would_run_code_are_refused_without_trust(built, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"layer.weight": Evil()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt do not fit"):
        built("linear", weights=str(tmp_path / "w.pt"))
    assert not (tmp_path / "ran").exists()


def test_several_inputs_go_in_by_the_order_of_forward(built):
    session = built("tokens")
    assert [(t.name, str(t.dtype)) for t in session.inputs] == [("tokens", "int64"), ("mask", "float32")]
    mask, tokens = np.zeros((2, 5), np.float32), np.ones((2, 5), np.int64)
    (scores,) = run(session, mask=mask, tokens=tokens)
    np.testing.assert_allclose(scores[0], scores[1])
    assert scores.shape == (2, 3)


def test_a_module_is_put_into_evaluation(built):
    session = built("dropping")
    x = np.ones((64, 3), np.float32)
    np.testing.assert_array_equal(run(session, x=x)[0], run(session, x=x)[0])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("unnamed", r"Unnamed\.forward names no inputs; give the module `example_inputs`"),
        ("nothing", r":nothing gives a value of type int, not a module"),
        ("nothin", r"the module has no function 'nothin' \(did you mean 'nothing'\?\)"),
        ("broken", r"builder '\w+:broken' failed: ValueError: the weights are gone$"),
    ],
)
def test_a_builder_that_makes_no_module_says_so(built, function, said):
    with pytest.raises(ModelError, match=said):
        built(function)


def test_a_builder_that_is_not_there_says_so(built):
    with pytest.raises(ModelError, match=r"builder 'no_such:f' cannot be imported: No module named 'no_such'"):
        built("linear", builder="no_such:f")


def test_an_exported_program_runs_at_any_batch(tmp_path, torch_target, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    module = torch.nn.Linear(3, 2)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (torch.zeros(2, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "m.pt2")
    artefact = Variant(format="pt2", path=str(tmp_path / "m.pt2"))
    session = TorchRuntime().load(artefact, torch_target, 1, 0, 0)
    assert feeds.fixed_batch(session.inputs) is None
    for rows in (1, 3):
        x = np.ones((rows, 3), np.float32)
        (y,) = run(session, input=x)
        np.testing.assert_allclose(y, module(torch.from_numpy(x)).detach().numpy(), rtol=1e-5)


def test_an_exported_program_for_a_dtype_numpy_lacks_is_named(tmp_path, torch_target, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    module = torch.nn.ReLU()
    torch.export.save(torch.export.export(module, (torch.zeros(2, dtype=torch.bfloat16),)), tmp_path / "m.pt2")
    with pytest.raises(ModelError, match="input 'input' has the type bfloat16, which cannot be fed"):
        TorchRuntime().load(Variant(format="pt2", path=str(tmp_path / "m.pt2")), torch_target, 1, 0, 0)


@pytest.mark.parametrize(("kind", "name"), [("pt2", "m.pt2"), ("checkpoint", "m.pt")])
def test_a_damaged_file_is_named(tmp_path, torch_target, kind, name, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=f"torch cannot load {name}: "):
        artefact = Variant(format=kind, path=str(tmp_path / name), trust_pickle=True)
        TorchRuntime().load(artefact, torch_target, 1, 0, 0)


def test_a_checkpoint_is_refused_without_trust(tmp_path, torch_target, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    torch.save(torch.nn.Linear(1, 1), tmp_path / "m.pt")
    artefact = Variant(format="checkpoint", path=str(tmp_path / "m.pt"))
    with pytest.raises(ModelError, match=r"m\.pt is a pickle and is refused; write trust_pickle = true"):
        TorchRuntime().load(artefact, torch_target, 1, 0, 0)
    trusted = Variant(format="checkpoint", path=str(tmp_path / "m.pt"), trust_pickle=True)
    assert TorchRuntime().load(trusted, torch_target, 1, 0, 0).inputs[0].name == "input"


def target(**fields):
    return Target(**({"name": "t", "description": "d", "runtime": "torch"} | fields))


def test_what_is_not_there_is_said(monkeypatch):
    runtime = TorchRuntime()
    assert runtime.unavailable(target()) is None
    said = runtime.unavailable(target(device="npu"))
    assert said == "device 'npu' is not supported by this runtime (cpu, cuda, cuda:1, …)"
    assert runtime.unavailable(target(options={"mode": "jit"})) == "options.mode: 'jit' is none of eager, compile"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = runtime.unavailable(target(options={"mode": "compile"}))
    assert said == 'mode = "compile" needs a C++ compiler (g++ or clang++) on the PATH'


def test_only_eager_mode_is_forked_and_all_is_imported_before_loading():
    runtime = TorchRuntime()
    assert runtime.forkable(target()) and not runtime.forkable(target(options={"mode": "compile"}))
    program = (
        "import sys\nfrom harness.runtimes.torch import TorchRuntime, _LATE\nTorchRuntime().preload()\n"
        "print([name for name in ('torch.export', *_LATE) if name not in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=120, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler for Inductor")
def test_compile_really_compiles_and_agrees(built, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.utils.counters.clear()
    session = built("linear", target=target(options={"mode": "compile"}))
    x = np.ones((2, 3), np.float32)
    (compiled,) = run(session, x=x)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    (eager,) = run(built("linear"), x=x)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_module_runs_in_half_precision_and_answers_in_float32(built, precision):
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    (wanted,), (found,) = run(built("linear"), x=x), run(built("linear", target=target(precision=precision)), x=x)
    assert found.dtype == np.float32
    difference = np.abs(found - wanted).max()
    assert 0 < difference < 0.02, "it is not the same, and near"


def test_an_exported_program_runs_in_half_precision_too(tmp_path, monkeypatch):
    """The graph checks the dtypes that it was exported with; they are not those it is to run in."""
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)

    class Casts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x).to(torch.float32)

    module = Casts()
    program = torch.export.export(module, (torch.zeros(2, 3),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "m.pt2")
    variant = Variant(format="pt2", path=str(tmp_path / "m.pt2"))
    session = TorchRuntime().load(variant, target(precision="bf16"), 1, 0, 0)
    x = np.ones((3, 3), np.float32)
    np.testing.assert_allclose(run(session, x=x)[0], module(torch.from_numpy(x)).detach().numpy(), atol=0.05)


def test_channels_last_changes_the_layout_and_not_the_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    variant = Variant(format="torch", builder="harness.suites.sizes.models:cnn")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype=np.float32)
    plain, last = (
        run(TorchRuntime().load(variant, target(options=options), 1, 0, 0), thumbnail=x)[0]
        for options in ({}, {"channels_last": True})
    )
    np.testing.assert_allclose(last, plain, rtol=1e-3, atol=1e-4)
