from __future__ import annotations

import numpy as np
import pytest

from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.executorch import ExecuTorchRuntime, Signature
from harness.spec.target import Target
from harness.spec.variant import Variant

pytest.importorskip("executorch")
torch = pytest.importorskip("torch")


def target(**options):
    return Target(name="t", description="d", runtime="executorch", options=options)


def load(path, threads=1, **options):
    return ExecuTorchRuntime().load(Variant(format="executorch", path=str(path)), target(**options), threads, 0, 0)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Write a program of a module; `methods` are constant ones beside it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    def make(function, *examples, method="forward", **methods):
        class Module(torch.nn.Module):
            def forward(self, *inputs):
                return function(*inputs)

        exported = torch.export.export(Module().eval(), examples)
        lowered = to_edge_transform_and_lower(
            {method: exported}, partitioner=[XnnpackPartitioner()], constant_methods=methods or None
        )
        path = tmp_path_factory.mktemp("pte") / "m.pte"
        path.write_bytes(lowered.to_executorch().buffer)
        return path

    return make


def test_another_makers_program_has_numbered_inputs_of_fixed_sizes(program):
    session = load(program(lambda x, y: (x + y, x - y), torch.ones(2, 3), torch.ones(2, 3)))
    assert session.inputs == (
        Tensor("input_0", np.dtype("float32"), (2, 3)),
        Tensor("input_1", np.dtype("float32"), (2, 3)),
    )
    feed = {"input_1": np.ones((2, 3), np.float32), "input_0": np.full((2, 3), 3, np.float32)}
    added, subtracted = session.infer(feed)
    assert (added.tolist(), subtracted.tolist()) == ([[4.0] * 3] * 2, [[2.0] * 3] * 2)


def test_a_constant_method_names_the_inputs(program):
    text = Signature(("pixels",), False).text()
    session = load(program(lambda x: x * 2, torch.ones(1, 3), **{Signature.METHOD: text}))
    assert session.inputs == (Tensor("pixels", np.dtype("float32"), (1, 3)),)


@pytest.mark.parametrize("text", ["no json", '{"inputs": ["a", "b"], "open_batch": false}'])
def test_names_that_do_not_fit_are_an_error(program, text):
    path = program(lambda x: x * 2, torch.ones(1, 3), **{Signature.METHOD: text})
    with pytest.raises(ModelError, match=r"harness_signature cannot be read|names 2 inputs and takes 1"):
        load(path)


@pytest.mark.parametrize(
    ("example", "kind"), [(torch.ones(1, 2, dtype=torch.int64), "int64"), (torch.ones(1, 2, dtype=torch.bool), "bool")]
)
def test_dtypes_are_the_models(program, example, kind):
    session = load(program(lambda x: x.to(torch.float32) * 2, example))
    assert session.inputs[0].dtype == np.dtype(kind)
    assert session.infer({"input_0": np.ones((1, 2), kind)})[0].tolist() == [[2.0, 2.0]]


def test_no_later_call_changes_an_output(program):
    session = load(program(lambda x: x + x, torch.ones(1, 3)))
    outputs = [session.infer({"input_0": np.full((1, 3), value, np.float32)})[0] for value in (1.0, 2.0, 3.0)]
    assert [output[0, 0] for output in outputs] == [2.0, 4.0, 6.0]


def test_threads_are_those_of_the_target(program):
    path = program(lambda x: x + x, torch.ones(1, 3))
    assert load(path, threads=2).facts() == {"executorch.threads": 2}
    assert load(path, threads=2, intra_op_threads=1).facts() == {"executorch.threads": 1}


def test_a_file_that_is_no_program_is_named(program, tmp_path):
    (tmp_path / "broken.pte").write_bytes(b"not a program" * 100)
    with pytest.raises(ModelError, match=r"executorch cannot load broken\.pte: "):
        load(tmp_path / "broken.pte")
    whole = program(lambda x: x + x, torch.ones(1, 3)).read_bytes()
    (tmp_path / "half.pte").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"executorch cannot load half\.pte: "):
        load(tmp_path / "half.pte")
    with pytest.raises(ModelError, match="model file not found"):
        load(tmp_path / "gone.pte")


def test_a_program_without_the_method_says_which_it_has(program):
    with pytest.raises(ModelError, match=r"m\.pte has no method 'forward'; it has encode"):
        load(program(lambda x: x + x, torch.ones(1, 3), method="encode"))


def test_what_is_not_there_is_said():
    runtime = ExecuTorchRuntime()
    assert runtime.unavailable(target()) is None
    elsewhere = Target(name="t", description="d", runtime="executorch", device="cuda")
    assert runtime.unavailable(elsewhere) == "device 'cuda' is not supported by this runtime (cpu)"
    assert runtime.forkable(target()) and not runtime.forkable(elsewhere)
    assert set(runtime.versions()) == {"executorch", "torch", "numpy"}
