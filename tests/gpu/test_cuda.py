"""PyTorch on a real GPU: modes, precisions, times of the device, failures by name, processes side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.evidence.folder import DEVICE, LATENCY, read_requests, read_telemetry
from harness.launch.base import Terms, run_job
from harness.launch.process import ProcessLauncher
from harness.launch.rounds import Start, take_turns
from harness.runtimes.torch import TorchRuntime
from harness.scenarios.single_stream import SingleStream
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Trial

CNN = Variant(format="torch", builder="harness.suites.sizes.models:cnn")
DIGITS = Path(__file__).resolve().parents[2] / "suites" / "digits"
TOLERANCE = {"fp32": 1e-4, "tf32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}
MODULES = """
import numpy as np
import torch
from torch import nn


class Base(nn.Module):
    example_inputs = {"x": np.zeros((1, 4), np.float32)}


class Asks(Base):
    '''Does what a graph cannot hold: it asks for a value.'''

    def forward(self, x):
        return x * 2 if x.sum().item() > 0 else x


class Greedy(Base):
    def forward(self, x):
        return x.sum() + torch.empty(1 << 42, dtype=torch.uint8, device=x.device).sum()
"""


def gpu(precision: str = "fp32", device: str = "cuda", **options: object) -> Target:
    return Target(name="t", description="d", runtime="torch", device=device, precision=precision, options=options)


def images(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"thumbnail": np.random.default_rng(seed).standard_normal((rows, 3, 32, 32), dtype=np.float32)}


@pytest.fixture
def load(monkeypatch):
    """Load a variant; `set_num_interop_threads` may be called once a process."""
    import torch

    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)

    def call(target: Target, variant: Variant = CNN):
        reason = TorchRuntime().unavailable(target)
        if reason is not None and target.options.get("mode") == "compile":
            pytest.skip(reason)
        assert reason is None, reason
        return TorchRuntime().load(variant, target, 1, 0, 0)

    return call


def run(session, feed):
    with session.scope():
        return session.infer(feed)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_threads_with_connections_get_what_one_alone_gets(load, mode):
    session = load(gpu("fp16", mode=mode))
    feeds = [images(2, seed) for seed in range(4)]
    alone = [np.copy(run(session, feed)[0]) for feed in feeds]
    calls = [session.connect() for _ in feeds]

    def serve(place):
        with session.scope():
            return [np.copy(calls[place](feeds[place])[0]) for _ in range(50)]

    with ThreadPoolExecutor(len(feeds)) as pool:
        for own, answers in zip(alone, pool.map(serve, range(len(feeds))), strict=True):
            assert all(np.allclose(own, answer, atol=2e-2) for answer in answers)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("options", [{}, {"mode": "graph"}, {"channels_last": True, "pinned": True}], ids=str)
def test_a_network_gives_what_it_gives_on_the_cpu(load, precision, options):
    feed = images(3)
    (wanted,) = run(load(Target(name="t", description="d", runtime="torch")), feed)
    session = load(gpu(precision, **options))
    for _ in range(2):
        (found,) = run(session, feed)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= TOLERANCE[precision] * np.abs(wanted).max()


def test_a_compiled_network_gives_the_same(load):
    feed = images(2)
    (wanted,) = run(load(gpu("fp16")), feed)
    (found,) = run(load(gpu("fp16", mode="compile")), feed)
    np.testing.assert_allclose(found, wanted, atol=2e-2 * np.abs(wanted).max())


def test_graphs_of_several_shapes_do_not_disturb_each_other(load):
    session, eager = load(gpu(mode="graph")), load(gpu())
    feeds = [images(1, 1), images(4, 2), images(1, 3), images(4, 4)]
    found = [run(session, feed)[0] for feed in feeds]
    for feed, outputs in zip(feeds, found, strict=True):
        np.testing.assert_allclose(outputs, run(eager, feed)[0], rtol=1e-3, atol=1e-4)


def test_an_exported_program_runs_in_half_precision(load):
    variant = Variant(format="pt2", path=str(DIGITS / "cnn-small.pt2"))
    cpu, half = load(Target(name="t", description="d", runtime="torch"), variant), load(gpu("fp16"), variant)
    (tensor,) = cpu.inputs
    shape = (5, *[size if isinstance(size, int) else 1 for size in tensor.shape[1:]])
    feed = {tensor.name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    np.testing.assert_allclose(run(half, feed)[0], run(cpu, feed)[0], atol=0.1)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("inputs", ["copied", "resident"])
def test_every_call_has_a_time_on_the_device_within_that_of_the_host(load, mode, inputs):
    session = load(gpu("fp16", mode=mode, inputs=inputs))
    with session.scope():
        feed = session.place(images(8))
        for _ in range(20):
            session.infer(feed)
        begin = session.clock()
        for _ in range(50):
            session.infer(feed)
        host_ns = session.clock() - begin
        device_ns = session.device_ns(50)
        assert device_ns.shape == (50,) and device_ns.dtype == np.int64 and (device_ns > 0).all()
        assert device_ns.sum() <= host_ns
        assert session.device_ns(10).size == 0, "they are forgotten when they were read"


def test_a_flush_is_there_only_when_it_is_asked_for(load):
    assert not hasattr(load(gpu()), "before")
    load(gpu(flush_l2=True)).before()


def test_a_device_that_is_not_there_is_said():
    reason = TorchRuntime().unavailable(gpu(device="cuda:63"))
    assert reason is not None and reason.startswith("there is no device 'cuda:63'")


def trial(seconds: float, variant: Variant = CNN, target: Target | None = None, shape: str = "Nx3x32x32") -> Trial:
    name = "thumbnail" if variant is CNN else "x"
    return Trial(
        candidate=Candidate(name="c", builder=variant.builder, task="regression"),
        target=target or gpu("fp16", mode="graph"),
        variant=variant,
        scenarios=(SingleStream(name="one", seconds=seconds),),
        synthetic=Synthetic(rows=8, inputs={name: f"{shape}:float32:normal"}),
    )


def test_a_trial_leaves_times_of_the_device_facts_and_what_nvml_saw(tmp_path):
    folder = tmp_path / "t"
    outcome = run_job(ProcessLauncher(), folder, trial(2.0), Terms(tmp_path))
    assert outcome.status == "ok", outcome.message
    (window,) = outcome.windows
    latency, device = (read_requests(folder, "one", array, window.samples) for array in (LATENCY, DEVICE))
    assert window.device_timed and (device <= latency).mean() > 0.99
    assert outcome.settings["torch_reserved_peak_bytes"] >= outcome.settings["torch_allocated_peak_bytes"] > 0
    record = outcome.launched.probes["nvml"]
    assert not record.unavailable and record.facts["uuid"] == outcome.settings["device_uuid"]
    stamps = read_telemetry(folder, "nvml")["t_ns"] / 1e9
    assert (len(stamps) - 1) / (stamps[-1] - stamps[0]) >= 10


def test_more_than_the_device_has_is_oom(tmp_path):
    (tmp_path / "made_gpu.py").write_text(MODULES)
    greedy = Variant(format="torch", builder="made_gpu:Greedy", import_from=str(tmp_path))
    outcome = run_job(ProcessLauncher(), tmp_path / "t", trial(0.1, greedy, gpu(), "Nx4"), Terms(tmp_path))
    assert (outcome.status, outcome.failure) == ("failed", "oom"), outcome.message


def test_what_a_graph_cannot_hold_is_said(tmp_path):
    """In a process of its own: torch does not leave the stream of a capture that failed."""
    (tmp_path / "made_gpu.py").write_text(MODULES)
    asks = Variant(format="torch", builder="made_gpu:Asks", import_from=str(tmp_path))
    outcome = run_job(ProcessLauncher(), tmp_path / "t", trial(0.1, asks, gpu(mode="graph"), "Nx4"), Terms(tmp_path))
    assert (outcome.status, outcome.failure) == ("failed", "load_error")
    assert "cannot be captured as a CUDA graph" in outcome.message


def test_two_processes_take_turns_on_one_gpu(tmp_path):
    starts = [Start(ProcessLauncher(), tmp_path / name, trial(0.5), Terms(tmp_path)) for name in "ab"]
    outcomes = take_turns(starts, lambda number, count: range(count))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"], [outcome.message for outcome in outcomes]
