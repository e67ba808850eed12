"""ONNX models on ONNX Runtime's CPU provider, or on a CUDA device (`onnx_cuda`)."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.runtimes import onnx_cuda
from harness.runtimes.base import Hint, Infer, ModelError, Tensor, first_line, local_path, model_errors
from harness.spec.target import Target
from harness.spec.variant import Variant

_SAME_NAME = ("float16", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = {f"tensor({name})": name for name in _SAME_NAME} | {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "object",
}
_UNNAMED = ("", "?", "None", "-1")
_LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


def _tensor(arg: Any) -> Tensor:
    if arg.type not in _DTYPES:
        raise ModelError(f"input '{arg.name}' has the type {arg.type}, which cannot be fed")
    named = [d if isinstance(d, int) else str(d or "") for d in arg.shape]
    shape = tuple(f"{arg.name}_{i}" if d in _UNNAMED else d for i, d in enumerate(named))
    return Tensor(arg.name, np.dtype(_DTYPES[arg.type]), shape)


def _hints(path: Path, ranks: Mapping[str, int]) -> Mapping[str, Hint]:
    """Read hints off a model's graph, which only synthetic inputs need: a function that starts does without."""
    from harness.runtimes.onnx_hints import hints

    return hints(path, ranks)


class OnnxSession:
    """One `InferenceSession`; `infer` is its bound `run`, so that nothing of ours is timed."""

    def __init__(self, session: Any, path: Path, target: Target | None = None) -> None:
        self.inputs = tuple(_tensor(arg) for arg in session.get_inputs())
        if not self.inputs:
            raise ModelError("the model has no inputs, so there is nothing to feed")
        self.outputs = tuple(arg.name for arg in session.get_outputs())
        self.infer = cast(Infer, partial(session.run, list(self.outputs)))
        self.clock: Callable[[], int] = time.perf_counter_ns
        self.scope = nullcontext
        if target is not None and target.options.get("inputs") == "resident":
            binder = onnx_cuda.Binder(session, self.outputs, target.device)
            self.place, self.infer, self.connect = binder.place, binder.infer, binder.connect
        self.hints = partial(_hints, path, {tensor.name: len(tensor.shape) for tensor in self.inputs})


class OnnxRuntime:
    """Loads `.onnx`. Options: threads, graph optimisation, whether idle threads spin; on CUDA provider and inputs."""

    formats = ("onnx",)
    options: Mapping[str, type] = {
        "intra_op_threads": int,
        "inter_op_threads": int,
        "optimisation": str,
        "spinning": bool,
        "provider": str,
        "inputs": str,
    }

    def unavailable(self, target: Target) -> str | None:
        """Say what is missing: the package, the device, a known option value."""
        import onnxruntime as ort

        if target.device.partition(":")[0] not in ("cpu", "cuda"):
            return f"device '{target.device}' is not supported by this runtime (cpu, cuda, cuda:1, …)"
        for name in ("provider", "inputs"):
            if target.device == "cpu" and name in target.options:
                return f"options.{name}: needs a CUDA device"
        if "CPUExecutionProvider" not in ort.get_available_providers():
            return "this onnxruntime has no CPU execution provider"
        level = target.options.get("optimisation", "all")
        if level not in _LEVELS:
            return f"options.optimisation: '{level}' is none of {', '.join(_LEVELS)}"
        return None if target.device == "cpu" else onnx_cuda.unavailable(target)

    def precisions(self, target: Target) -> tuple[str, ...]:
        """Return the precisions of models that run in the target's."""
        return (target.precision,) if target.device == "cpu" else onnx_cuda.precisions(target)

    def forkable(self, target: Target) -> bool:
        """Return True on the CPU: threads that compute belong to sessions; forks do without the one of the import."""
        return target.device == "cpu"

    def versions(self) -> dict[str, str]:
        """Return onnxruntime's and numpy's version."""
        import onnxruntime as ort

        return {"onnxruntime": ort.__version__, "numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> OnnxSession:
        """Make a session with the target's options."""
        import onnxruntime as ort

        path, settings = local_path(variant), self._settings(target, threads)
        cuda, wanted = target.device != "cpu", list[Any](["CPUExecutionProvider"])
        if cuda:
            onnx_cuda.preload(target)
            wanted = onnx_cuda.providers(target, variant)
        with model_errors(f"onnxruntime cannot load {path.name}", first_line):
            session = ort.InferenceSession(str(path), settings, providers=wanted)
        if cuda and session.get_providers()[0] == "CPUExecutionProvider":
            raise ModelError(f"onnxruntime took the CPU in place of {target.device}: worker.log says why")
        return OnnxSession(session, path, target)

    def _settings(self, target: Target, threads: int) -> Any:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = int(target.options.get("intra_op_threads", threads))
        settings.inter_op_num_threads = int(target.options.get("inter_op_threads", 1))
        level = str(target.options.get("optimisation", "all"))
        settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[level])
        if not target.options.get("spinning", True):
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return settings
