"""The sizes suite: seeded builders of known shapes and sizes, which convert to ONNX."""

import inspect

import numpy as np
import pytest

from harness.spec.find import load_suite
from harness.spec.synthetic import read_line

torch = pytest.importorskip("torch")
from harness.suites.sizes import models  # noqa: E402 (imports torch)

SUITE, _ = load_suite("sizes")
PARAMETERS = {
    "mlp": 17_226,
    "cnn": 1_148_874,
    "mobilenet": 3_504_872,  # as torchvision's mobilenet_v2
    "minilm": 22_417_152,
    "resnet50": 25_557_032,  # as torchvision's resnet50
    "speech": 20_593_664,
}
INPUTS = {
    "mlp": {"input": ((1, 64), np.float32)},
    "cnn": {"thumbnail": ((1, 3, 32, 32), np.float32)},
    "mobilenet": {"image": ((1, 3, 224, 224), np.float32)},
    "minilm": {"input_ids": ((1, 128), np.int64), "attention_mask": ((1, 128), np.int64)},
    "resnet50": {"image": ((1, 3, 224, 224), np.float32)},
    "speech": {"mel": ((1, 80, 3000), np.float32)},
}
WIDTHS = {"mlp": 10, "cnn": 10, "mobilenet": 1000, "minilm": 384, "resnet50": 1000, "speech": 512}
QUICK = ["mlp", "cnn", "mobilenet", "minilm", "resnet50"]  # `speech` takes seconds on a busy machine


def build(name):
    return getattr(models, name)()


def rows(name, count=2):
    """Draw inputs: normal floats, random ids, masks that hide the last token."""
    draw = torch.Generator().manual_seed(1)
    found = []
    for key, (shape, dtype) in INPUTS[name].items():
        size = (count, *shape[1:])
        if dtype == np.float32:
            found.append(torch.randn(size, generator=draw))
        elif key == "input_ids":
            found.append(torch.randint(0, models.TextEncoder.vocabulary, size, generator=draw))
        else:
            found.append(torch.ones(size, dtype=torch.int64))
            found[-1][:, -1] = 0
    return found


def outputs(module, inputs):
    with torch.inference_mode():
        return module(*inputs).numpy()


def test_every_candidate_is_one_of_the_builders():
    found = {candidate.name: candidate.builder for candidate in SUITE.candidate}
    assert found == {name: f"harness.suites.sizes.models:{name}" for name in PARAMETERS}


def test_the_suite_describes_every_input_as_its_builder_does():
    given = {name: read_line(text) for name, text in SUITE.dataset.synthetic.inputs.items()}
    wanted = {
        key: (("N", *shape[1:]), np.dtype(kind).name) for each in INPUTS.values() for key, (shape, kind) in each.items()
    }
    assert {key: (line.shape, line.dtype) for key, line in given.items()} == wanted
    assert all(line.values is not None for line in given.values()), "values left to guess differ between runtimes"
    assert given["input_ids"].values.high == models.TextEncoder.vocabulary - 1


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_its_parameters_and_inputs(name):
    module = build(name)
    assert not module.training
    assert sum(weights.numel() for weights in module.parameters()) == PARAMETERS[name]
    assert {key: (array.shape, array.dtype) for key, array in module.example_inputs.items()} == INPUTS[name]
    # Converted models take the names of `forward`: other names here would draw other inputs for other targets.
    assert list(inspect.signature(module.forward).parameters) == list(INPUTS[name])


@pytest.mark.parametrize("name", QUICK)
def test_a_builder_gives_the_same_outputs_each_time_and_leaves_the_global_seed_alone(name):
    inputs = rows(name)
    torch.manual_seed(3)
    first = outputs(build(name), inputs)
    drawn = torch.rand(())
    torch.manual_seed(4)
    np.testing.assert_array_equal(outputs(build(name), inputs), first)
    torch.manual_seed(3)
    assert torch.rand(()) == drawn


def test_the_largest_has_the_same_weights_each_time():
    one, two = (build("speech").state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", QUICK)
def test_outputs_depend_on_the_inputs_and_have_a_usable_scale(name):
    found = outputs(build(name), rows(name))
    assert found.shape == (2, WIDTHS[name])
    assert 0.02 < found.std() < 20  # neither vanished nor exploded with depth
    # Beyond the tolerance of parity, or a conversion that ignores its input would pass.
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_a_hidden_token_does_not_matter_to_the_sentence():
    module, (ids, mask) = build("minilm"), rows("minilm")
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % models.TextEncoder.vocabulary
    shown = torch.ones_like(mask)
    np.testing.assert_allclose(outputs(module, (other, mask)), outputs(module, (ids, mask)), atol=1e-5)
    assert np.abs(outputs(module, (other, shown)) - outputs(module, (ids, shown))).max() > 1e-3
