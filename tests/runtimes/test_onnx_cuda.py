"""ONNX Runtime on CUDA, without one: which providers are asked for, what is missing, how feeds are bound."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from harness.runtimes import onnx_cuda
from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.target import Target
from harness.spec.variant import Variant

ort = pytest.importorskip("onnxruntime")


def target(device="cuda", precision="fp32", **options):
    return Target(name="t", description="d", runtime="onnxruntime", device=device, precision=precision, options=options)


VARIANT = Variant(format="onnx", path="a.onnx", digest="sha256:" + 64 * "a")


class Driver:
    """Stands in for libcuda with two devices."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 2
        return 0


@pytest.fixture
def opened(monkeypatch):
    """A GPU build with two devices and all libraries; what was loaded, in order."""
    found = []

    def load(name, mode=ctypes.DEFAULT_MODE):
        found.append(Path(name).name)
        return Driver()

    monkeypatch.setattr(ort, "get_available_providers", lambda: [*onnx_cuda.PROVIDERS.values(), "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "preload_dlls", lambda: found.append("preload"), raising=False)
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "as before")
    return found


def test_a_cpu_build_says_what_to_install():
    said = OnnxRuntime().unavailable(target())
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this is a GPU build")
    assert said == "this onnxruntime has no CUDAExecutionProvider: pip install 'harness-bench[onnx-gpu]' in its place"


def test_what_a_gpu_build_lacks_is_said(opened, monkeypatch):
    ask = OnnxRuntime().unavailable
    assert ask(target()) is None and ask(target("cuda:1", provider="tensorrt")) is None
    assert ask(target("cuda:2")) == "there is no device 'cuda:2': 2 can be seen here"
    assert ask(target(provider="rocm")) == "options.provider: 'rocm' is none of cuda, tensorrt"
    assert ask(target(inputs="pinned")) == "options.inputs: 'pinned' is none of copied, resident"

    def missing(name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert ask(target()) == "no NVIDIA driver is installed (libcuda.so.1)"


def test_libraries_that_pip_installed_are_loaded_before_a_provider_is(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_libs", ModuleType("tensorrt_libs"))
    assert OnnxRuntime().unavailable(target()) is None
    assert opened[1:] == ["preload", "libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"]
    assert OnnxRuntime().unavailable(target(provider="tensorrt")) is None
    assert opened[-1] == "libonnxruntime_providers_tensorrt.so"


def test_a_library_that_is_missing_is_named(opened, monkeypatch):
    def load(name, mode=ctypes.DEFAULT_MODE):
        if "providers_cuda" in name:
            raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")
        return Driver()

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert OnnxRuntime().unavailable(target()) == (
        "CUDAExecutionProvider cannot be loaded: libcublasLt.so.13: cannot open shared object file: No such file or "
        "directory (pip install 'harness-bench[onnx-gpu]' brings CUDA and cuDNN)"
    )


def test_only_full_precision_forbids_tf32_to_nvidia_s_libraries(opened):
    """TensorRT has no option for it, and computes float32 in TF32 unless the environment says otherwise."""
    onnx_cuda.preload(target(precision="tf32"))
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "as before"
    onnx_cuda.preload(target())
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_full_precision_is_full_precision():
    (cuda, options), (cpu, _) = onnx_cuda.providers(target("cuda:1"), VARIANT)
    assert (cuda, cpu) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {"device_id": "1", "use_tf32": "0"}, "ONNX Runtime multiplies in TF32 unless it is told not to"
    assert onnx_cuda.providers(target(precision="tf32"), VARIANT)[0][1]["use_tf32"] == "1"


def test_tensorrt_comes_first_and_casts_to_half_precision():
    (first, options), second, _ = onnx_cuda.providers(target(precision="fp16", provider="tensorrt"), VARIANT)
    assert (first, options["trt_fp16_enable"]) == ("TensorrtExecutionProvider", "1")
    assert second[0] == "CUDAExecutionProvider"
    assert onnx_cuda.precisions(target(precision="fp16", provider="tensorrt")) == ("fp16", "fp32")
    assert onnx_cuda.precisions(target(precision="fp16")) == ("fp16",), "the CUDA provider casts nothing"
    assert onnx_cuda.precisions(target(precision="tf32")) == ("tf32", "fp32")


def test_engines_of_variants_that_differ_in_weights_only_are_kept_apart():
    """ONNX Runtime names an engine by the graph: in one folder, the second would run with the weights of the first."""
    asked = target(precision="fp16", provider="tensorrt")
    other = Variant(format="onnx", path="a.onnx", digest="sha256:" + 64 * "b")
    folders = [onnx_cuda.providers(asked, each)[0][1]["trt_engine_cache_path"] for each in (VARIANT, other, VARIANT)]
    assert folders[0] == folders[2] != folders[1] and all(Path(folder).is_dir() for folder in folders)
    unknown = onnx_cuda.providers(asked, Variant(format="onnx", path="a.onnx"))[0][1]
    assert "trt_engine_cache_path" not in unknown, "without a digest, variants cannot be kept apart"


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


def test_threads_have_bindings_of_their_own(monkeypatch):
    """A binding holds the outputs of its last run: two threads that run one would write into the same memory."""
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, **device: array))
    ran, made = [], []

    def binding():
        made.append(
            SimpleNamespace(
                bind_ortvalue_input=lambda name, value: None,
                bind_output=lambda name, device, number: None,
                synchronize_outputs=lambda: None,
            )
        )
        return made[-1]

    session = SimpleNamespace(io_binding=binding, run_with_iobinding=ran.append, run=lambda outputs, feed: "host")
    binder = onnx_cuda.Binder(session, ("y",), "cuda")
    feed = binder.place({"x": np.ones(1, np.float32)})
    first, second = binder.connect(), binder.connect()
    for infer in (binder.infer, first, second, first):
        infer(feed)
    assert ran == [made[0], made[1], made[2], made[1]]
    assert first({"x": np.ones(1, np.float32)}) == "host"
