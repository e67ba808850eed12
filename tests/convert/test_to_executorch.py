"""Torch models as ExecuTorch programs: what comes out agrees with the original, in fp32 and in int8."""

from __future__ import annotations

import numpy as np
import pytest

from harness.convert import to_executorch
from harness.convert.base import Order
from harness.convert.convert import convert
from harness.convert.from_torch import TorchOriginal
from harness.convert.to_executorch import Batch
from harness.runtimes import feeds
from harness.runtimes.base import ModelError, Tensor
from harness.runtimes.executorch import ExecuTorchRuntime
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Convert
from harness.suites import digits

pytest.importorskip("executorch")
torch = pytest.importorskip("torch")

DIGITS = digits.__path__[0]
F32 = np.dtype("float32")


def digit(name):
    return Variant(format="pt2", path=f"{DIGITS}/{name}.pt2")


def target(**conversion):
    options = {"intra_op_threads": 1}
    return Target(name="t", description="d", runtime="executorch", options=options, conversion=conversion)


def split(folder, name, **arrays):
    (folder / name / "inputs").mkdir(parents=True)
    for key, array in arrays.items():
        np.save(folder / name / "inputs" / f"{key}.npy", array)
    return str(folder / name)


def asked(variant, precision="fp32", data=None, calibration=None, **options):
    """The job of a conversion with a target's options."""
    source = variant.format if precision == "fp32" else f"{variant.format}.fp32"
    result = "executorch" if precision == "fp32" else f"executorch.{precision}"
    return Convert(
        candidate=Candidate(name="c", path="x"),
        target=target(**options),
        source=variant,
        conversion=f"{source}-to-{result}",
        dataset=data,
        calibration=calibration,
        synthetic=None if data else Synthetic(rows=8),
    )


def converted(folder, variant, precision="fp32", data=None, calibration=None, **options):
    """Convert; returns the outcome and a session of the result."""
    job = asked(variant, precision, data, calibration, **options)
    folder.mkdir(exist_ok=True)
    outcome = convert(job, folder)
    assert outcome.status == "ok", outcome.message
    made = Variant(format="executorch", precision=precision, path=str(folder / next(iter(outcome.files))))
    return outcome, ExecuTorchRuntime().load(made, job.target, 1, 0, 0)


def halves():
    """Rows of both halves of the digits: held out, and trained on."""
    with np.load(f"{DIGITS}/digits.npz") as stored:
        rows = stored["pixels"].astype(np.float32) / 16
        return rows[stored["held_out"]][:100], rows[~stored["held_out"]][:100]


@pytest.fixture
def pixels():
    return halves()


@pytest.fixture
def data(tmp_path, pixels):
    return split(tmp_path, "data", pixels=pixels[0])


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory):
    """`cnn-small` in fp32."""
    folder = tmp_path_factory.mktemp("cnn")
    return converted(folder / "made", digit("cnn-small"), data=split(folder, "data", pixels=halves()[0]))


@pytest.fixture
def beside(torch_beside, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name: Variant(format="torch", builder=f"{torch_beside}:{name}", import_from=str(tmp_path))


def own(name, rows):
    with torch.inference_mode():
        return torch.export.load(f"{DIGITS}/{name}.pt2").module()(torch.from_numpy(rows)).numpy()


def test_a_program_takes_one_row_and_agrees_with_its_original_on_all(convolutions, pixels):
    outcome, session = convolutions
    assert (outcome.parity.rows, outcome.parity.top1_agreement) == (100, 1.0)
    assert outcome.parity.max_abs_diff < 1e-4
    assert session.inputs == (Tensor("pixels", F32, (1, 64)),)
    (after,) = session.infer({"pixels": pixels[0][7:8]})
    np.testing.assert_allclose(after, own("cnn-small", pixels[0])[7:8], atol=1e-4)


def test_where_the_target_says_so_it_takes_more_rows_by_the_names_of_its_inputs(tmp_path, beside):
    tokens, mask = np.arange(50).reshape(10, 5) % 2, np.ones((10, 5), np.float32)
    data = split(tmp_path, "data", tokens=tokens, mask=mask)
    outcome, session = converted(tmp_path / "made", beside("tokens"), data=data, max_batch=4)
    assert outcome.settings == {"max_batch": 4}
    assert outcome.parity.rows == 10 and outcome.parity.max_abs_diff < 1e-5  # 4, 4 and 2 of them
    assert [(t.name, str(t.dtype), t.shape[0], t.most) for t in session.inputs] == [
        ("tokens", "int64", "batch", 4),
        ("mask", "float32", "batch", 4),
    ]
    for rows in (1, 4, 2):
        assert session.infer({"tokens": tokens[:rows], "mask": mask[:rows]})[0].shape == (rows, 3)


def test_int8_is_smaller_and_close(tmp_path, pixels, data, convolutions):
    calibration = split(tmp_path, "calibration", pixels=pixels[1])
    outcome, session = converted(tmp_path / "int8", digit("cnn-small"), "int8", data, calibration)
    assert outcome.parity.top1_agreement >= 0.97
    assert outcome.parity.max_abs_diff > 1e-3, "nothing was quantised"
    assert outcome.files["model.pte"] < 0.6 * convolutions[0].files["model.pte"]  # much of so small a model is graph
    assert feeds.fixed_batch(session.inputs) == 1


def test_ranges_come_from_the_calibration_rows(pixels):
    original, example = TorchOriginal(digit("mlp")), {"pixels": pixels[0][:2]}
    right, found = own("mlp", pixels[0]).argmax(1), []
    for rows in (pixels[1], pixels[1] * 0.01):  # ranges of dark pixels cut off the real ones
        module = to_executorch._quantised(original, Order(example, {}, {"pixels": rows}), Batch(example, 64))
        found.append(np.mean(module(torch.from_numpy(pixels[0][:64])).numpy().argmax(1) == right[:64]))
    assert found[0] > 0.97 > found[1] + 0.1


def test_int8_without_rows_to_calibrate_on_says_what_to_do(tmp_path, data):
    says = r'static int8 needs rows .* calibration split, .*conversion\.method = "dynamic"'
    with pytest.raises(ModelError, match=says):
        converted(tmp_path, digit("mlp"), "int8", data)
    outcome, _ = converted(tmp_path, digit("mlp"), "int8", data, method="dynamic")
    assert outcome.parity.top1_agreement >= 0.97 and outcome.parity.max_abs_diff > 1e-4


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"method": "best"}, "method: 'best' is none of static, dynamic"),
        ({"method": "dynamic", "max_batch": 0}, "max_batch: must be 1 at least, not 0"),
        ({"method": "dynamic", "calibration_rows": 0}, "calibration_rows: must be 1 at least, not 0"),
    ],
)
def test_a_wrong_option_is_the_targets_fault_not_the_models(tmp_path, data, option, says):
    outcome = convert(asked(digit("mlp"), "int8", data, **option), tmp_path)
    assert (outcome.status, outcome.message) == ("invalid", f"conversion.{says}")


def test_a_model_that_takes_no_other_number_of_rows_stays_as_it_is(tmp_path):
    class Fixed(torch.nn.Module):
        def forward(self, x):
            return x.reshape(4, 6).sum(1, keepdim=True)

    torch.export.save(torch.export.export(Fixed(), (torch.ones(4, 2, 3),)), tmp_path / "m.pt2")
    _, session = converted(tmp_path, Variant(format="pt2", path=str(tmp_path / "m.pt2")), max_batch=8)
    assert session.inputs == (Tensor("x", F32, (4, 2, 3)),)
    assert session.infer({"x": np.ones((4, 2, 3), np.float32)})[0].tolist() == [[6.0]] * 4


def test_a_model_whose_rows_meet_gets_no_open_batch(tmp_path, beside, torch_beside):
    (tmp_path / "meeting.py").write_text(
        f"from {torch_beside} import Linear\n"
        "class Meeting(Linear):\n"
        "    def forward(self, x):\n"
        "        return self.layer(x) - x.mean()\n"
        "meeting = Meeting\n"
    )
    variant = Variant(format="torch", builder="meeting:meeting", import_from=str(tmp_path))
    _, session = converted(tmp_path / "made", variant, max_batch=8)
    assert session.inputs == (Tensor("x", F32, (1, 3)),)
