"""The suites `vision` and `ranker`: seeded builders of known sizes, described inputs, targets with dated prices."""

from __future__ import annotations

import numpy as np
import pytest

from harness.spec.find import known, load_suite, load_target
from harness.spec.synthetic import read_line

torch = pytest.importorskip("torch")
from harness.suites.sizes import models  # noqa: E402 (imports torch)

PARAMETERS = {
    "resnet50": 25_557_032,  # as torchvision's resnet50
    "vit_b16": 86_567_656,  # as torchvision's vit_b_16
    "cross_encoder": 108_694_273,
    "small_cross_encoder": 22_466_689,
}
SUITES = ("vision", "ranker")
GPU = sorted(name for name in known("targets") if name.startswith("cuda-"))


def builders():
    return [c.builder.partition(":")[2] for name in SUITES for c in load_suite(name)[0].candidate]


def test_the_candidates_are_those_known_here():
    assert sorted(builders()) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_builder_has_its_parameters_and_the_inputs_that_its_suite_describes(name):
    module = getattr(models, name)()
    assert not module.training
    assert sum(weights.numel() for weights in module.parameters()) == PARAMETERS[name]
    suite = next(suite for each in SUITES for suite in [load_suite(each)[0]]
                 if any(c.builder.endswith(f":{name}") for c in suite.candidate))  # fmt: skip
    lines = {key: read_line(text) for key, text in suite.dataset.synthetic.inputs.items()}
    given = {key: (("N", *array.shape[1:]), array.dtype.name) for key, array in module.example_inputs.items()}
    assert given == {key: (line.shape, line.dtype) for key, line in lines.items()}


def test_a_transformer_reads_its_image_and_gives_classes():
    """A small one of the same class: the large one takes its time."""
    torch.manual_seed(0)
    module = models.VisionTransformer(32, 16, 2, 2, 5).eval()
    with torch.inference_mode():
        one, two = module(torch.randn(2, 3, 32, 32))
    assert one.shape == (5,) and (one - two).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_score_depends_on_what_is_shown_in_any_precision(dtype):
    torch.manual_seed(0)
    module = models.CrossEncoder(32, 2, 2, 6).eval().to(dtype)
    ids, mask = torch.arange(12).reshape(2, 6), torch.ones(2, 6, dtype=torch.int64)
    mask[:, -1] = 0
    hidden = ids.clone()
    hidden[:, -1] += 1
    with torch.inference_mode():
        scores, same, other = module(ids, mask), module(hidden, mask), module(hidden, torch.ones_like(mask))
    assert scores.shape == (2, 1) and scores.dtype == dtype
    np.testing.assert_array_equal(scores.float(), same.float())
    assert (scores - other).abs().max() > 0


@pytest.mark.parametrize("name", GPU)
def test_a_gpu_target_has_a_price_with_source_and_date_of_a_machine_with_one_kind_of_gpu(name):
    target = load_target(name)
    assert target.device == "cuda" and target.price.as_of
    assert f"NVIDIA {target.price.gpu}" in target.price.source


def test_the_gpu_targets_of_a_suite_cost_the_same():
    """A run measures all of them on one GPU: other prices would rank the machines, not what runs on them."""
    for suite in (*SUITES, "nightly"):
        used = [name for name in load_suite(suite)[0].targets if name in GPU]
        assert used and len({load_target(name).price for name in used}) == 1


def test_there_are_gpu_targets_of_each_kind():
    modes = {load_target(name).options.get("mode") for name in GPU}
    assert {"eager", "graph", "compile"} <= modes
    assert {load_target(name).precision for name in GPU} == {"fp32", "tf32", "fp16"}
