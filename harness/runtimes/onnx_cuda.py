"""ONNX Runtime on a CUDA device: the CUDA or the TensorRT provider, with inputs copied or resident on the device.

With `inputs = "copied"`, `run` copies to the device and back and waits, inside the sample. With "resident", inputs and
outputs are bound to memory of the device (I/O binding). No events of the device can be recorded through ONNX Runtime.

TensorRT's engines, which take seconds to minutes to build, are kept per variant: the first process that loads one
builds it, and the load time of later ones is without that.
"""

import ctypes
import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from harness.runtimes.base import Feed, Infer
from harness.spec.arrays import Array
from harness.spec.target import Target
from harness.spec.variant import Variant

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
PRECISIONS = {"cuda": ("fp32", "tf32"), "tensorrt": ("fp32", "tf32", "fp16")}
INPUTS = ("copied", "resident")
_BRINGS = {
    "cuda": "pip install 'harness-bench[onnx-gpu]' brings CUDA and cuDNN",
    "tensorrt": "TensorRT is a package of its own: pip install tensorrt, of the version that onnxruntime-gpu asks for",
}


def unavailable(target: Target) -> str | None:
    """Say what is missing: the provider, a precision that it computes in, an option's value, the device."""
    import onnxruntime as ort

    provider, inputs = str(target.options.get("provider", "cuda")), target.options.get("inputs", "copied")
    if provider not in PROVIDERS:
        return f"options.provider: '{provider}' is none of {', '.join(PROVIDERS)}"
    if inputs not in INPUTS:
        return f"options.inputs: '{inputs}' is none of {', '.join(INPUTS)}"
    if PROVIDERS[provider] not in ort.get_available_providers():
        return f"this onnxruntime has no {PROVIDERS[provider]}: pip install 'harness-bench[onnx-gpu]' in its place"
    return _device_lacks(target.device) or _libraries_lack(target, provider)


def _device_lacks(device: str) -> str | None:
    """Say why CUDA's driver shows no such device; ONNX Runtime itself tells only when a session is made."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1)"
    count = ctypes.c_int()
    if (code := driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))) != 0:
        return f"CUDA cannot be used here (driver error {code})"
    return None if number_of(device) < count.value else f"there is no device '{device}': {count.value} can be seen here"


def _libraries_lack(target: Target, provider: str) -> str | None:
    """Say which library a provider misses; ONNX Runtime would take the CPU in its place and tell it in a log only."""
    import onnxruntime as ort

    preload(target)
    folder = Path(ort.__file__).with_name("capi")
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / f"libonnxruntime_providers_{provider}.so"))
    except OSError as error:
        return f"{PROVIDERS[provider]} cannot be loaded: {str(error).rpartition('/')[2]} ({_BRINGS[provider]})"
    return None


def preload(target: Target) -> None:
    """Load CUDA, cuDNN and TensorRT from the packages that pip installed, which no loader looks for by itself.

    TensorRT computes float32 in TF32 unless NVIDIA's libraries are told not to, before they are loaded.
    """
    import onnxruntime as ort

    if target.precision == "fp32":
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    if (found := getattr(ort, "preload_dlls", None)) is not None:
        found()
    if target.options.get("provider") == "tensorrt":
        with suppress(ImportError):  # one that is installed in another way is found by the loader
            importlib.import_module("tensorrt_libs")


def number_of(device: str) -> int:
    """Return the number of a device: 1 of `cuda:1`, 0 of `cuda`."""
    return int(device.partition(":")[2] or 0)


def precisions(target: Target) -> tuple[str, ...]:
    """Return the precisions of models that run in the target's: its own, and fp32 where the provider casts."""
    casts = target.precision in PRECISIONS.get(str(target.options.get("provider", "cuda")), ())
    return tuple(dict.fromkeys((target.precision, *(("fp32",) if casts else ()))))


def providers(target: Target, variant: Variant) -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a session with their options. What they cannot run falls to the CPU provider."""
    number, tf32 = str(number_of(target.device)), "1" if target.precision == "tf32" else "0"
    cuda = (PROVIDERS["cuda"], {"device_id": number, "use_tf32": tf32})
    if target.options.get("provider", "cuda") == "cuda":
        return [cuda, ("CPUExecutionProvider", {})]
    engines = {}
    if variant.digest:
        engines = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(_engines(target, variant))}
    half = "1" if target.precision == "fp16" else "0"
    tensorrt = (PROVIDERS["tensorrt"], {"device_id": number, "trt_fp16_enable": half, **engines})
    return [tensorrt, cuda, ("CPUExecutionProvider", {})]


def _engines(target: Target, variant: Variant) -> Path:
    """Make the folder of a variant's engines: ONNX Runtime names them by the graph, whatever its weights."""
    import onnxruntime as ort

    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "tensorrt"
    folder = root / f"{variant.digest.rpartition(':')[2][:16]}-{target.precision}-{ort.__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Bound(dict[str, Any]):
    """A feed whose arrays are on the device, with the binding that a session runs."""

    def __init__(self, feed: Mapping[str, Any], binding: Any) -> None:
        super().__init__(feed)
        self.binding = binding


class Binder:
    """Calls a session with host feeds, or with feeds that were placed on the device before."""

    def __init__(self, session: Any, outputs: Sequence[str], device: str) -> None:
        self._session, self._outputs, self._number = session, list(outputs), number_of(device)
        self._placed: list[Bound] = []

    def place(self, feed: Feed) -> Feed:
        """Copy a feed to the device, and bind it and the outputs."""
        import onnxruntime as ort

        on_device = partial(ort.OrtValue.ortvalue_from_numpy, device_type="cuda", device_id=self._number)
        values = {name: on_device(array) for name, array in feed.items()}
        self._placed.append(Bound(values, self._bound(values)))
        return self._placed[-1]

    def _bound(self, values: Mapping[str, Any]) -> Any:
        binding = self._session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, "cuda", self._number)
        return binding

    def infer(self, feed: Feed) -> Sequence[Array]:
        """Run once, and wait; outputs of a placed feed stay on the device."""
        if type(feed) is Bound:
            return self._run(feed.binding)
        found: Sequence[Array] = self._session.run(self._outputs, feed)
        return found

    def connect(self) -> Infer:
        """Return what calls the session from one more thread, with bindings of its own for the feeds placed so far."""
        own = {id(feed): self._bound(feed) for feed in self._placed}

        def call(feed: Feed) -> Sequence[Array]:
            return self._run(own[id(feed)]) if id(feed) in own else self.infer(feed)

        return call

    def _run(self, binding: Any) -> Sequence[Array]:
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return ()
