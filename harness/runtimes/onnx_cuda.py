"""ONNX Runtime on a CUDA device: the CUDA or the TensorRT provider, with inputs copied or resident on the device.

With `inputs = "copied"`, `run` copies to the device and back and waits, inside the sample. With "resident", inputs and
outputs are bound to memory of the device (I/O binding). No events of the device can be recorded through ONNX Runtime.
"""

import ctypes
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from harness.runtimes.base import Feed
from harness.spec.arrays import Array
from harness.spec.target import Target

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
PRECISIONS = {"cuda": ("fp32", "tf32"), "tensorrt": ("fp32", "tf32", "fp16")}
INPUTS = ("copied", "resident")


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
    return _device_lacks(target.device)


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


def number_of(device: str) -> int:
    """Return the number of a device: 1 of `cuda:1`, 0 of `cuda`."""
    return int(device.partition(":")[2] or 0)


def precisions(target: Target) -> tuple[str, ...]:
    """Return the precisions of models that run in the target's: its own, and fp32 where the provider casts."""
    casts = target.precision in PRECISIONS.get(str(target.options.get("provider", "cuda")), ())
    return tuple(dict.fromkeys((target.precision, *(("fp32",) if casts else ()))))


def providers(target: Target) -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a session with their options. What they cannot run falls to the CPU provider."""
    number, tf32 = str(number_of(target.device)), "1" if target.precision == "tf32" else "0"
    cuda = (PROVIDERS["cuda"], {"device_id": number, "use_tf32": tf32})
    if target.options.get("provider", "cuda") == "cuda":
        return [cuda, ("CPUExecutionProvider", {})]
    half = "1" if target.precision == "fp16" else "0"
    return [(PROVIDERS["tensorrt"], {"device_id": number, "trt_fp16_enable": half}), cuda, ("CPUExecutionProvider", {})]


class Bound(dict[str, Any]):
    """A feed whose arrays are on the device, with the binding that a session runs."""

    def __init__(self, feed: Mapping[str, Any], binding: Any) -> None:
        super().__init__(feed)
        self.binding = binding


class Binder:
    """Calls a session with host feeds, or with feeds that were placed on the device before."""

    def __init__(self, session: Any, outputs: Sequence[str], device: str) -> None:
        self._session, self._outputs, self._number = session, list(outputs), number_of(device)

    def place(self, feed: Feed) -> Feed:
        """Copy a feed to the device, and bind it and the outputs."""
        import onnxruntime as ort

        binding = self._session.io_binding()
        on_device = partial(ort.OrtValue.ortvalue_from_numpy, device_type="cuda", device_id=self._number)
        values = {name: on_device(array) for name, array in feed.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, "cuda", self._number)
        return Bound(values, binding)

    def infer(self, feed: Feed) -> Sequence[Array]:
        """Run once, and wait; outputs of a placed feed stay on the device."""
        if type(feed) is Bound:
            self._session.run_with_iobinding(feed.binding)
            feed.binding.synchronize_outputs()
            return ()
        found: Sequence[Array] = self._session.run(self._outputs, feed)
        return found
