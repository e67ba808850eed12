"""What a CUDA session does, on stand-ins for the device: events, graphs, feeds; the real thing is in `tests/gpu`."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from threading import Lock
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runtimes.torch import TorchRuntime
from harness.spec.target import Target

torch = pytest.importorskip("torch")
from harness.runtimes import torch_cuda  # noqa: E402
from harness.runtimes.base import ModelError, Tensor  # noqa: E402
from harness.runtimes.torch_cuda import CudaSession, Graphs, Layout, Times  # noqa: E402

CPU = torch.device("cpu")
INPUTS = (Tensor("x", np.dtype("float32"), ("batch", 3)), Tensor("ids", np.dtype("int64"), ("batch", 2)))


class Log:
    """What happened on the stand-in for a device, in order; its clock is moved by `took_ms`."""

    def __init__(self):
        self.events, self.now_ms, self.replayed, self.streams = [], 0.0, 0, []


class Event:
    def __init__(self, log):
        self.log, self.at_ms = log, None

    def record(self, stream):
        self.at_ms = self.log.now_ms
        self.log.events.append("event")

    def synchronize(self):
        self.log.events.append("wait")

    def elapsed_time(self, other):
        return other.at_ms - self.at_ms


@contextlib.contextmanager
def on_stream(log, stream):
    log.streams.append(stream)
    yield
    log.streams.pop()


class Stream:
    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        pass


@pytest.fixture
def log(monkeypatch):
    """Stand-ins for events, streams and graphs; kernels run on the CPU at once."""
    made = Log()

    class CUDAGraph:
        def replay(self):
            made.replayed += 1

    for name, value in {
        "Event": lambda enable_timing: Event(made),
        "current_stream": Stream,
        "Stream": Stream,
        "stream": lambda stream: on_stream(made, stream),
        "synchronize": lambda device=None: made.events.append("synchronize"),
        "CUDAGraph": CUDAGraph,
        "graph": lambda graph, capture_error_mode: contextlib.nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


def session(log, module, mode="eager", dtype=None, channels_last=False, inputs=INPUTS, options=None):
    def timed(*tensors):
        log.now_ms += 2.0
        log.events.append("module")
        return module(*tensors)

    return CudaSession(timed, inputs, CPU, Layout(dtype, channels_last), options or {}, mode)


def feed(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {"ids": rng.integers(0, 9, (rows, 2)), "x": rng.standard_normal((rows, 3), dtype=np.float32)}


def test_a_call_is_between_two_events_and_ends_with_the_second(log):
    found = session(log, lambda x, ids: (x * 2, ids + 1))
    given_ = feed(4)
    x, ids = found.infer(given_)
    np.testing.assert_array_equal(x, 2 * given_["x"])
    np.testing.assert_array_equal(ids, given_["ids"] + 1)
    assert log.events == ["event", "module", "event", "wait"]


def test_the_last_calls_have_times_and_all_are_forgotten_then(log):
    found = session(log, lambda x, ids: x)
    for _ in range(5):
        found.infer(feed(1))
    assert found.device_ns(3).tolist() == [2_000_000] * 3
    assert found.device_ns(3).size == 0
    found.infer(feed(1))
    assert found.device_ns(9).tolist() == [2_000_000]


def test_each_connection_calls_the_model_on_a_stream_of_its_own(log):
    used = []

    def module(x, ids):
        used.append(log.streams[-1] if log.streams else None)
        return x * 2

    found = session(log, module)
    calls = [found.infer, found.connect(), found.connect()]
    for call in calls:
        np.testing.assert_array_equal(call(feed(2))[0], 2 * feed(2)["x"])
    assert used[0] is None and None not in used[1:] and used[1] is not used[2]
    assert found.device_ns(9).size == 1  # calls that the device serves at once have no time of their own


def test_precision_is_cast_in_and_out_and_whole_numbers_are_not(log):
    seen = []

    def module(x, ids):
        seen.append((x.dtype, ids.dtype))
        return {"scores": x.sum(1), "ids": ids}

    found = session(log, module, dtype=torch.bfloat16)
    scores, ids = found.infer(feed(3))
    assert seen == [(torch.bfloat16, torch.int64)]
    assert (scores.dtype, ids.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("last", [True, False])
def test_images_are_laid_out_with_their_channels_last_where_that_is_asked_for(log, last):
    seen = []

    def module(image):
        seen.append(image.is_contiguous(memory_format=torch.channels_last))
        return image

    inputs = (Tensor("image", np.dtype("float32"), ("batch", 3, 4, 4)),)
    found = session(log, module, channels_last=last, inputs=inputs)
    image = np.random.default_rng(0).standard_normal((2, 3, 4, 4), dtype=np.float32)
    np.testing.assert_array_equal(found.infer({"image": image})[0], image)
    assert seen == [last]


def test_resident_feeds_are_placed_once_as_the_module_wants_them(log):
    given_ = feed(2)
    assert session(log, lambda x, ids: x).place(given_) is given_, "copied is the default"
    resident = session(log, lambda x, ids: x, dtype=torch.float16, options={"inputs": "resident"})
    placed = resident.place(given_)
    assert {name: tensor.dtype for name, tensor in placed.items()} == {"ids": torch.int64, "x": torch.float16}
    (x,) = resident.infer(placed)
    assert isinstance(x, torch.Tensor), "outputs stay on the device"
    np.testing.assert_allclose(resident.infer(given_)[0], given_["x"], atol=1e-2)


def test_a_graph_is_captured_once_for_each_shape_and_fed_through_its_own_buffers(log):
    found = session(log, lambda x, ids: x, mode="graph")
    for rows in (1, 4, 1, 4, 1):
        found.infer(feed(rows, rows))
    assert log.replayed == 5
    assert log.events.count("module") == 2 * (torch_cuda._CAPTURE_AFTER + 1), (
        "two shapes, each called before it is captured"
    )
    graphs = found._run._made
    assert sorted(key[0][0][0] for key in graphs) == [1, 4]
    for (shape, *_), graph in graphs.items():
        np.testing.assert_array_equal(graph.inputs[0].numpy(), feed(shape[0][0], shape[0][0])["x"])


def test_a_module_that_cannot_be_captured_is_said_and_lack_of_memory_is_not_hidden(log, monkeypatch):
    def failing(error):
        @contextlib.contextmanager
        def graph(made, capture_error_mode):
            raise error
            yield

        monkeypatch.setattr(torch.cuda, "graph", graph)
        return Graphs(lambda x: [x], CPU, Lock())

    with pytest.raises(ModelError, match="cannot be captured as a CUDA graph: operation not permitted"):
        failing(RuntimeError("operation not permitted when stream is capturing\nmore"))(torch.ones(1))
    with pytest.raises(MemoryError):
        failing(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))(torch.ones(1))


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40)), max_size=8))
def test_times_are_those_of_the_last_calls_whatever_came_before(turns):
    log = Log()
    times = Times(lambda: Event(log))
    for number, (calls, asked) in enumerate(turns):
        for call in range(calls):
            start, end = times.pair()
            start.record(None)
            log.now_ms += number + call / 8
            end.record(None)
        wanted = [round((number + call / 8) * 1e6) for call in range(calls)][max(0, calls - asked) :]
        assert times.last(asked).tolist() == pytest.approx(wanted, abs=1)


def test_events_are_used_again_and_their_number_is_bounded(monkeypatch):
    made = []
    monkeypatch.setattr(torch_cuda, "_MOST_PAIRS", 10)
    times = Times(lambda: made.append(Event(Log())) or made[-1])
    for _ in range(25):
        for event in times.pair():
            event.record(None)
    assert len(made) == 20 and times.last(100).size == 10
    times.pair()
    assert len(made) == 20


def target(**fields):
    return Target(**({"name": "t", "description": "d", "runtime": "torch", "device": "cuda"} | fields))


def no_driver():
    raise RuntimeError("Found no NVIDIA driver on your system. Please check\nthat you have one")


@pytest.fixture
def one_gpu(monkeypatch):
    """A build with CUDA, and one device of compute capability 7.5."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")


def test_what_a_cuda_target_lacks_is_said(one_gpu, monkeypatch):
    ask = TorchRuntime().unavailable
    assert ask(target()) is None and ask(target(device="cuda:0", precision="fp16")) is None
    assert ask(target(device="cuda:1")) == "there is no device 'cuda:1': 1 can be seen here"
    said = "precision 'bf16' needs compute capability 8.0; Tesla T4 has (7, 5)"
    assert ask(target(precision="bf16")) == said
    monkeypatch.setattr(torch.cuda, "init", no_driver)
    assert ask(target()) == "CUDA cannot be used here: Found no NVIDIA driver on your system. Please check"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert ask(target()).endswith("is built without CUDA: install a CUDA build of torch")


def test_compiling_for_a_gpu_needs_triton_and_a_c_compiler(one_gpu, monkeypatch):
    compiled = target(options={"mode": "compile"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert TorchRuntime().unavailable(compiled) == 'mode = "compile" needs triton: pip install triton'
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "needs a C compiler" in TorchRuntime().unavailable(compiled)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"mode": "fast"}}, "options.mode: 'fast' is none of eager, compile, graph"),
        ({"options": {"inputs": "pinned"}}, "options.inputs: 'pinned' is none of copied, resident"),
        ({"precision": "int8"}, "precision 'int8' is not supported by this runtime (fp32, tf32, fp16, bf16)"),
        ({"device": "cpu", "options": {"mode": "graph"}}, "options.mode: 'graph' needs a CUDA device"),
        ({"device": "cpu", "options": {"flush_l2": True}}, "options.flush_l2: needs a CUDA device"),
        (
            {"device": "cpu", "precision": "tf32"},
            "precision 'tf32' is not supported by this runtime (fp32, fp16, bf16)",
        ),
        ({"device": "xpu"}, "device 'xpu' is not supported by this runtime (cpu, cuda, cuda:1, …)"),
    ],
)
def test_options_that_a_device_does_not_have_are_said(one_gpu, fields, said):
    assert TorchRuntime().unavailable(target(**fields)) == said


def test_a_process_that_has_imported_torch_is_forked_and_one_that_compiles_is_not():
    assert TorchRuntime().forkable(target()) and TorchRuntime().forkable(target(options={"mode": "graph"}))
    assert not TorchRuntime().forkable(target(options={"mode": "compile"}))


def test_a_precision_is_made_of_fp32_as_it_is_loaded():
    assert TorchRuntime().precisions(target(precision="fp16")) == ("fp16", "fp32")
    assert TorchRuntime().precisions(target()) == ("fp32",)
