"""ONNX Runtime on CUDA, without one: which providers are asked for, what is missing, how feeds are bound."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from harness.runtimes import onnx_cuda
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.target import Target

ort = pytest.importorskip("onnxruntime")


def target(device="cuda", precision="fp32", **options):
    return Target(name="t", description="d", runtime="onnxruntime", device=device, precision=precision, options=options)


class Driver:
    """Stands in for libcuda with two devices."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 2
        return 0


@pytest.fixture
def gpu_build(monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*onnx_cuda.PROVIDERS.values(), "CPUExecutionProvider"])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())


def test_a_cpu_build_says_what_to_install():
    said = OnnxRuntime().unavailable(target())
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this is a GPU build")
    assert said == "this onnxruntime has no CUDAExecutionProvider: pip install 'harness-bench[onnx-gpu]' in its place"


def test_what_a_gpu_build_lacks_is_said(gpu_build, monkeypatch):
    ask = OnnxRuntime().unavailable
    assert ask(target()) is None and ask(target("cuda:1", provider="tensorrt")) is None
    assert ask(target("cuda:2")) == "there is no device 'cuda:2': 2 can be seen here"
    assert ask(target(provider="rocm")) == "options.provider: 'rocm' is none of cuda, tensorrt"
    assert ask(target(inputs="pinned")) == "options.inputs: 'pinned' is none of copied, resident"

    def missing(name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert ask(target()) == "no NVIDIA driver is installed (libcuda.so.1)"


def test_full_precision_is_full_precision():
    (cuda, options), (cpu, _) = onnx_cuda.providers(target("cuda:1"))
    assert (cuda, cpu) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {"device_id": "1", "use_tf32": "0"}, "ONNX Runtime multiplies in TF32 unless it is told not to"
    assert onnx_cuda.providers(target(precision="tf32"))[0][1]["use_tf32"] == "1"


def test_tensorrt_comes_first_and_casts_to_half_precision():
    (first, options), second, _ = onnx_cuda.providers(target(precision="fp16", provider="tensorrt"))
    assert (first, options["trt_fp16_enable"]) == ("TensorrtExecutionProvider", "1")
    assert second[0] == "CUDAExecutionProvider"
    assert onnx_cuda.precisions(target(precision="fp16", provider="tensorrt")) == ("fp16", "fp32")
    assert onnx_cuda.precisions(target(precision="fp16")) == ("fp16",), "the CUDA provider casts nothing"
    assert onnx_cuda.precisions(target(precision="tf32")) == ("tf32", "fp32")


def test_a_placed_feed_is_bound_once_and_run_by_its_binding(monkeypatch):
    """On the real API where it can be had: OrtValues of the CPU stand in for those of a device."""
    made = ort.OrtValue.ortvalue_from_numpy
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, **device: made(array)))
    calls = []
    binding = SimpleNamespace(
        bind_ortvalue_input=lambda name, value: calls.append(("input", name, value.shape())),
        bind_output=lambda name, device, number: calls.append(("output", name, device, number)),
        synchronize_outputs=lambda: calls.append("wait"),
    )
    session = SimpleNamespace(
        io_binding=lambda: binding,
        run_with_iobinding=lambda found: calls.append(found is binding),
        run=lambda outputs, feed: [feed["x"] * 2],
    )
    binder = onnx_cuda.Binder(session, ("y",), "cuda:1")
    host = {"x": np.ones((2, 3), np.float32)}
    assert np.array_equal(binder.infer(host)[0], 2 * host["x"])
    placed = binder.place(host)
    assert calls == [("input", "x", [2, 3]), ("output", "y", "cuda", 1)]
    assert binder.infer(placed) == () and calls[2:] == [True, "wait"]
