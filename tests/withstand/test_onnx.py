"""ONNX files that are wrong, each in its own way, beside one that is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .helpers import only_run, rows, run_cli

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def model(path: Path, inputs: dict[str, list[int | str]], kind: int | None = None, operator: str = "Softmax") -> None:
    """Write a model that gives `operator` of its first input and ignores the others."""
    kind = onnx.TensorProto.FLOAT if kind is None else kind
    helper = onnx.helper
    first = next(iter(inputs))
    graph = helper.make_graph(
        [helper.make_node(operator, [first], ["scores"])],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("scores", kind, inputs[first])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


SAYS = {
    "truncated": ("load_error", "onnxruntime cannot load"),
    "garbage": ("load_error", "onnxruntime cannot load"),
    "empty": ("load_error", "onnxruntime cannot load"),
    "wrong-name": ("load_error", "the model wants the input 'tokens', which the dataset lacks; it has"),
    "wrong-width": ("load_error", "input 'pixels' wants shape [n, 7], the dataset gives [rows, 10]"),
    "wrong-rank": ("load_error", "input 'pixels' wants shape [n, 5, 2], the dataset gives [rows, 10]"),
    "wrong-type": ("load_error", "input 'pixels' wants int64, the dataset gives float32"),
    "no-operator": ("load_error", "onnxruntime cannot load"),
    "nan": ("output_error", "NaN or infinite"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure them all in one run, one trial each."""
    base = tmp_path_factory.mktemp("onnx")
    rng = np.random.default_rng(0)
    pixels = rng.random((64, 10), dtype=np.float32)
    np.savez(base / "data.npz", pixels=-pixels, mask=pixels, labels=pixels.argmin(axis=1))
    model(base / "good.onnx", {"pixels": ["n", 10]})
    whole = (base / "good.onnx").read_bytes()
    (base / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (base / "garbage.onnx").write_bytes(rng.bytes(4096))
    (base / "empty.onnx").write_bytes(b"")
    model(base / "wrong-name.onnx", {"tokens": ["n", 10], "mask": ["n", 10]})
    model(base / "wrong-width.onnx", {"pixels": ["n", 7]})
    model(base / "wrong-rank.onnx", {"pixels": ["n", 5, 2]})
    model(base / "wrong-type.onnx", {"pixels": ["n", 10]}, onnx.TensorProto.INT64, "Abs")
    model(base / "no-operator.onnx", {"pixels": ["n", 10]}, operator="NoSuchOperator")
    model(base / "nan.onnx", {"pixels": ["n", 10]}, operator="Log")
    entries = "".join(f'[[candidate]]\nname = "{name}"\npath = "{name}.onnx"\n' for name in ("good", *SAYS))
    (base / "suite.toml").write_text(
        f'description = "wrong models"\ntargets = ["cpu-onnx-1t"]\n[dataset]\npath = "data.npz"\n{entries}'
        '[[scenario]]\nname = "one"\nkind = "single_stream"\nseconds = 0.05\n'
        "[budget]\nseconds = 600\ntrials = 1\nmax_trials = 1\n"
        "[policy.objectives]\nlatency_p50_ms = { weight = 1, target = 0.0001, limit = 1000 }\n"
    )
    done = run_cli("run", base / "suite.toml", "--out", base / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return only_run(base / "out")


@pytest.mark.parametrize("name", SAYS)
def test_a_wrong_model_says_what_is_wrong(run: Path, name: str) -> None:
    failure, says = SAYS[name]
    row = rows(run)[name]
    assert (row["status"], row["failure"]) == ("failed", failure), row["reasons"]
    assert says in " ".join(d["message"] for d in row["reasons"])
    assert not row["metrics"] and row["place"] is None


def test_the_right_one_is_measured(run: Path) -> None:
    row = rows(run)["good"]
    assert row["eligible"] and row["place"] == 1
    assert row["metrics"]["latency_p50_ms"]["value"] > 0 and row["metrics"]["accuracy"]["value"] == 1.0
