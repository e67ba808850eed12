"""ONNX Runtime on a real GPU: CUDA and TensorRT providers, full precision and TF32, inputs copied and resident."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harness.runtimes.onnxruntime import OnnxRuntime
from harness.spec.target import Target
from harness.spec.variant import Variant

pytest.importorskip("onnxruntime")
helper = pytest.importorskip("onnx").helper

SIZE = 512
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-2}


def place(provider: str, precision: str = "fp32", **options: object) -> Target:
    chosen = {"provider": provider, **options}
    return Target(name="g", description="d", runtime="onnxruntime", device="cuda", precision=precision, options=chosen)


@pytest.fixture(params=["cuda", "tensorrt"])
def provider(request):
    reason = OnnxRuntime().unavailable(place(request.param))
    if reason is not None:
        pytest.skip(reason)
    return request.param


@pytest.fixture
def product(models, tmp_path):
    """A model that multiplies rows by a matrix: where TF32 shows, 10 bits of each factor are left of 23."""
    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)
    path = models.onnx_model(
        tmp_path / "product.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ("float32", ["batch", SIZE])},
        {"y": ("float32", ["batch", SIZE])},
        {"w": matrix},
    )
    variant = Variant(format="onnx", path=str(path), digest=f"sha256:{abs(hash(tmp_path)):064x}")
    return variant, matrix.astype(np.float64)


def rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal((count, SIZE)).astype(np.float32)}


@pytest.mark.parametrize("precision", TOLERANCE)
def test_precision_is_as_the_target_says(provider, product, precision):
    variant, matrix = product
    session = OnnxRuntime().load(variant, place(provider, precision), 1, 0, 0)
    for count in (1, 8):
        feed = rows(count)
        (found,) = session.infer(feed)
        error = np.abs(found - feed["x"].astype(np.float64) @ matrix).max() / np.sqrt(SIZE)
        assert error < TOLERANCE[precision]


def test_resident_inputs_stay_on_the_device_also_with_threads(provider, product):
    variant, _ = product
    session = OnnxRuntime().load(variant, place(provider, inputs="resident"), 1, 0, 0)
    feeds = [session.place(rows(4, seed)) for seed in range(4)]
    assert session.infer(feeds[0]) == ()
    calls = [session.connect() for _ in feeds]
    with ThreadPoolExecutor(len(calls)) as pool:
        ran = pool.map(lambda call: [call(feed) for _ in range(50) for feed in feeds], calls)
        assert all(answers == [()] * 200 for answers in ran)
