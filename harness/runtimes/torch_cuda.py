"""PyTorch on a CUDA device: eager, compiled by Inductor, or replayed as CUDA graphs. Every call ends synchronised.

Options: `mode`; `channels_last`; `inputs`: "copied" (host to device to host inside the sample, as a service does) or
"resident" (model and inputs stay on the device); `pinned`: copies go through page-locked memory; `flush_l2`: a buffer
larger than the L2 cache is written before each request, outside its time.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from harness.runtimes.base import Feed, Infer, Tensor, first_line, model_errors
from harness.runtimes.torch_device import facts
from harness.runtimes.torch_load import as_float32, cast, dtype_of, load_module, tensors_of
from harness.spec.arrays import Array, Integers
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

Call = Callable[..., list[Any]]
_NS_PER_MS = 1e6
_MOST_PAIRS = 1 << 17
_CAPTURE_AFTER = 3
_FLUSH_FACTOR, _LEAST_FLUSH_BYTES = 2, 64 << 20


def load(variant: Variant, target: Target) -> "CudaSession":
    """Load a module on the target's device in its precision, and make what calls it."""
    import torch

    device = torch.device(target.device if ":" in target.device else f"{target.device}:0")
    torch.cuda.set_device(device)
    allow_tf32(target.precision == "tf32")
    layout = Layout(dtype_of(target.precision), bool(target.options.get("channels_last", False)))
    module, inputs = load_module(variant, str(device), layout.dtype)
    if layout.channels_last:
        module = module.to(memory_format=torch.channels_last)
    mode = str(target.options.get("mode", "eager"))
    if mode == "compile":
        module = torch.compile(module)
    return CudaSession(module, inputs, device, layout, target.options, mode)


def allow_tf32(allowed: bool) -> None:
    """Let float32 multiplications and convolutions of this process be done in TF32, or not."""
    import torch

    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


class Layout(NamedTuple):
    """How a module wants its inputs: the dtype of floating-point ones (None: their own), and the order in memory."""

    dtype: Any
    channels_last: bool

    def adapted(self, tensor: Any) -> Any:
        """Return a tensor on the device as the module wants it; itself where it is so already."""
        import torch

        tensor = cast(tensor, self.dtype)
        if self.channels_last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor


class Resident(dict[str, Any]):
    """A feed whose tensors are on the device, as the module wants them."""


class CudaSession:
    """A module on a CUDA device, called with host arrays or with a `Resident` feed.

    A call records an event before its first and after its last operation on the device, and waits for the second. The
    time between them includes what an idle device waits for its first kernel: about 12 µs on an NVIDIA H200.
    """

    outputs: tuple[str, ...] = ()

    def __init__(
        self,
        module: Callable[..., Any],
        inputs: tuple[Tensor, ...],
        device: Any,
        layout: Layout,
        options: Mapping[str, Any],
        mode: str,
        capturing: AbstractContextManager[Any] | None = None,
    ) -> None:
        import torch

        self._capturing = capturing = capturing or Lock()

        self.inputs, self.scope = inputs, torch.inference_mode
        self.clock: Callable[[], int] = time.perf_counter_ns
        self.infer: Infer = self._call
        self._names, self._device, self._layout, self._mode = [t.name for t in inputs], device, layout, mode
        self._module, self._options = module, options
        self._pinned, self._resident = bool(options.get("pinned", False)), options.get("inputs") == "resident"
        self._run: Call = Eager(module, layout, device)
        if mode == "graph":
            self._run = Graphs(self._run, device, capturing)
        self._stream = torch.cuda.current_stream(device)
        self._times = Times(lambda: torch.cuda.Event(enable_timing=True))
        if options.get("flush_l2", False):
            self.before = flusher(device)

    def _call(self, feed: Feed) -> Sequence[Array]:
        start, end = self._times.pair()
        start.record(self._stream)
        if type(feed) is Resident:
            found = self._run(*[feed[name] for name in self._names])
        else:
            found = self._to_host(self._run(*[self._source(feed[name]) for name in self._names]))
        end.record(self._stream)
        end.synchronize()
        return found if type(feed) is Resident else [value.numpy() for value in found]

    def connect(self) -> Infer:
        """Return what calls the model from one more thread: on a stream of its own, beside the calls of the others.

        Its times on the device are not kept: calls that the device serves at once have no time of their own.
        """
        import torch

        stream = torch.cuda.Stream(self._device)
        with torch.cuda.stream(stream):
            shared = (self._module, self.inputs, self._device, self._layout, self._options, self._mode)
            own = CudaSession(*shared, self._capturing)

        def call(feed: Feed) -> Sequence[Array]:
            with torch.cuda.stream(stream):
                found = own._call(feed)
            own._times.forget()
            return found

        return call

    def _source(self, array: Array) -> Any:
        import torch

        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self._pinned else tensor

    def _to_host(self, values: Sequence[Any]) -> list[Any]:
        """Copy outputs to the host; those to page-locked memory are there once the call is synchronised."""
        return [value.to("cpu", non_blocking=self._pinned) for value in values]

    def place(self, feed: Feed) -> Feed:
        """Return a feed as requests are to have it: on the device where inputs are resident, else as it is."""
        import torch

        if not self._resident:
            return feed
        moved = {name: torch.from_numpy(array).to(self._device) for name, array in feed.items()}
        placed = Resident({name: self._layout.adapted(tensor) for name, tensor in moved.items()})
        torch.cuda.synchronize(self._device)
        return placed

    def device_ns(self, count: int) -> Integers:
        """Return how long the device took for each of the last `count` calls (ns), by events; forgets all calls."""
        return self._times.last(count)

    def facts(self) -> dict[str, Fact]:
        """Return the device, how the module runs on it, and the peaks of what torch's allocator held (bytes)."""
        import torch

        return {
            **facts(str(self._device)),
            "mode": self._mode,
            "inputs": "resident" if self._resident else "copied",
            "torch_allocated_peak_bytes": torch.cuda.max_memory_allocated(self._device),
            "torch_reserved_peak_bytes": torch.cuda.max_memory_reserved(self._device),
        }


class Eager:
    """Calls a module with tensors of the host or the device; returns float32 (or integer) tensors on the device."""

    def __init__(self, module: Callable[..., Any], layout: Layout, device: Any) -> None:
        self._module, self._layout, self._device = module, layout, device

    def __call__(self, *tensors: Any) -> list[Any]:
        """Bring what is not there to the device, and call the module."""
        device, adapted = self._device, self._layout.adapted
        given = [adapted(tensor.to(device, non_blocking=True)) for tensor in tensors]
        return [as_float32(value) for value in tensors_of(self._module(*given))]


class Graph(NamedTuple):
    """A captured CUDA graph, the buffers it reads its inputs from, and those that it leaves its outputs in."""

    graph: Any
    inputs: list[Any]
    outputs: list[Any]


class Graphs:
    """Replays CUDA graphs of a call: one for each shape of its inputs, captured when it is first seen.

    `capturing` is held meanwhile: of the threads of a process, one captures at a time.
    """

    def __init__(self, call: Call, device: Any, capturing: AbstractContextManager[Any]) -> None:
        self._call, self._device, self._capturing = call, device, capturing
        self._made: dict[tuple[Any, ...], Graph] = {}

    def __call__(self, *tensors: Any) -> list[Any]:
        """Copy the inputs into a graph's buffers and replay it; its outputs stay valid until the next replay."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        made = self._made.get(key)
        if made is None:
            with self._capturing:
                made = self._made[key] = self._captured(tensors)
        for buffer, tensor in zip(made.inputs, tensors, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        made.graph.replay()
        return made.outputs

    def _captured(self, tensors: Sequence[Any]) -> Graph:
        """Call a few times on a stream of its own, so that libraries have chosen their kernels, then capture.

        Raises ModelError where the module does what a graph cannot hold, such as asking for a value on the host.
        """
        import torch

        inputs, side = [tensor.to(self._device, copy=True) for tensor in tensors], torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_CAPTURE_AFTER):
                self._call(*inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        capture = torch.cuda.graph(graph, capture_error_mode="thread_local")  # other threads may serve meanwhile
        with model_errors("the model cannot be captured as a CUDA graph", first_line), capture:
            outputs = self._call(*inputs)
        return Graph(graph, inputs, outputs)


class Times:
    """Pairs of events around calls. They are read after a turn, because reading one in it would be timed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._free: list[tuple[Any, Any]] = []
        self._used: deque[tuple[Any, Any]] = deque()

    def pair(self) -> tuple[Any, Any]:
        """Return the events of a call that begins; the oldest call's where very many are kept."""
        if self._free:
            found = self._free.pop()
        else:
            found = (self._make(), self._make()) if len(self._used) < _MOST_PAIRS else self._used.popleft()
        self._used.append(found)
        return found

    def last(self, count: int) -> Integers:
        """Return what the last `count` calls took (ns), and forget all."""
        used = [*self._used]
        took = [round(start.elapsed_time(end) * _NS_PER_MS) for start, end in used[max(0, len(used) - count) :]]
        self.forget()
        return np.array(took, dtype=np.int64)

    def forget(self) -> None:
        """Forget the calls so far."""
        self._free += self._used
        self._used.clear()


def flusher(device: Any) -> Callable[[], None]:
    """Return what writes a buffer of twice the L2 cache and waits, so that a request finds nothing of its own there."""
    import torch

    size = max(_FLUSH_FACTOR * torch.cuda.get_device_properties(device).L2_cache_size, _LEAST_FLUSH_BYTES)
    buffer = torch.empty(size, dtype=torch.int8, device=device)

    def flush() -> None:
        buffer.zero_()
        torch.cuda.synchronize(device)

    return flush
