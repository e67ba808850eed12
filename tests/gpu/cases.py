"""What is measured on a GPU: sessions of the harness, and the same modules called by hand."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.runtimes.torch_cuda import CudaSession, Layout, allow_tf32
from harness.runtimes.torch_load import load_module
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial
from harness.worker.calls import after

DEVICE = torch.device("cuda:0")
BUILDERS = "harness.suites.sizes.models"
INPUTS = {
    "resnet50": {"image": "Nx3x224x224:float32:normal"},
    "vit_b16": {"image": "Nx3x224x224:float32:normal"},
    "cross_encoder": {"input_ids": "Nx256:int64:0..30521", "attention_mask": "Nx256:int64:1"},
}
_FEEDS = 8


class Case(NamedTuple):
    """A module in half precision at one batch size, called in one mode."""

    model: str
    batch: int
    mode: str

    @property
    def name(self) -> str:
        """How figures call it."""
        return f"{self.model} fp16, batch {self.batch}, {self.mode}"


class Made(NamedTuple):
    """A case made: its module, how it wants its inputs, feeds of host arrays, and sessions of the harness on it."""

    module: Any
    layout: Layout
    feeds: list[dict[str, Any]]
    copied: CudaSession
    resident: CudaSession

    def flushed(self) -> Iterator[Any]:
        """Return feeds on the device, each after the L2 cache was flushed."""
        return after(self.resident.before, cycle([self.resident.place(feed) for feed in self.feeds]))


def made(case: Case) -> Made:
    """Build the module once; both sessions call it."""
    allow_tf32(False)
    layout = Layout(torch.float16, channels_last=case.model == "resnet50")
    variant = Variant(format="torch", builder=f"{BUILDERS}:{case.model}")
    module, inputs = load_module(variant, str(DEVICE), torch.float16)
    if layout.channels_last:
        module = module.to(memory_format=torch.channels_last)
    sessions = [
        CudaSession(module, inputs, DEVICE, layout, options, case.mode)
        for options in ({}, {"inputs": "resident", "flush_l2": True})
    ]
    return Made(module, layout, [feed(case.model, case.batch, seed) for seed in range(_FEEDS)], *sessions)


def feed(model: str, batch: int, seed: int) -> dict[str, Any]:
    """Draw one feed of host arrays."""
    rng = np.random.default_rng(seed)
    if model == "resnet50":
        return {"image": rng.standard_normal((batch, 3, 224, 224), dtype=np.float32)}
    ids = rng.integers(0, 30_522, (batch, 256), dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def by_hand(case: Made) -> Callable[[], Any]:
    """Return a call as one would write it: to the device, half precision, back to the host, synchronised."""
    feeds, module, last = cycle(case.feeds), case.module, case.layout.channels_last

    def call() -> Any:
        tensors = [torch.from_numpy(array).to(DEVICE) for array in next(feeds).values()]
        tensors = [tensor.half() if tensor.is_floating_point() else tensor for tensor in tensors]
        if last:
            tensors = [tensor.contiguous(memory_format=torch.channels_last) for tensor in tensors]
        result = module(*tensors).float().cpu()
        torch.cuda.synchronize()
        return result.numpy()

    return call


def on_device(case: Made, mode: str) -> Callable[[], Any]:
    """Return what the device alone does for a feed that lies on it: the module's kernels, or a graph of them."""
    placed = list(case.resident.place(case.feeds[0]).values())
    if mode == "eager":
        return lambda: case.module(*placed).float()
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    buffers = [tensor.clone() for tensor in placed]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            case.module(*buffers).float()
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        case.module(*buffers).float()

    def replay() -> None:
        for buffer, tensor in zip(buffers, placed, strict=True):
            buffer.copy_(tensor)
        graph.replay()

    return replay


def target(precision: str = "fp16", **options: Any) -> Target:
    """Return a CUDA target."""
    return Target(name="gpu", description="a GPU", runtime="torch", device="cuda", precision=precision, options=options)


def trial(model: str, seconds: float, place: Target, fresh: bool = True, turn_s: float = 0.025) -> Trial:
    """Return the job that measures a model of the suites for some seconds in a process of its own."""
    builder = f"{BUILDERS}:{model}"
    return Trial(
        candidate=Candidate(name=model, builder=builder, task="regression"),
        target=place,
        variant=Variant(format="torch", builder=builder),
        scenarios=(SingleStream(name="interactive", seconds=seconds),),
        synthetic=Synthetic(rows=_FEEDS, inputs=INPUTS[model]),
        fresh=fresh,
        turn_s=turn_s,
    )


def free() -> None:
    """Give back what modules of earlier figures held on the device."""
    gc.collect()
    torch.cuda.empty_cache()
