"""LiteRT models: of torch modules, which agree with the original, and from fp32 to int8."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from harness.convert.convert import convert
from harness.runtimes.base import NotPossible, Tensor
from harness.runtimes.litert import LiteRtRuntime
from harness.spec.suite import Candidate, Synthetic
from harness.spec.target import Target
from harness.spec.variant import Variant
from harness.spec.wire import Convert
from harness.suites import digits
from harness.worker.work import do_job

pytest.importorskip("ai_edge_litert")
DIGITS = digits.__path__[0]
ABSENT = "litert-torch is not installed; its extra, litert-convert, is not part of `all`"
ROWS = np.random.default_rng(5).random((96, 16), np.float32)


def split(folder, name, **arrays):
    (folder / name / "inputs").mkdir(parents=True)
    for key, array in arrays.items():
        np.save(folder / name / "inputs" / f"{key}.npy", array)
    return str(folder / name)


def order(variant, name, data=None, calibration=None, **options):
    return Convert(
        candidate=Candidate(name="c", path="x"),
        target=Target(name="t", description="d", runtime="litert", conversion=options),
        source=variant,
        conversion=name,
        dataset=data,
        calibration=calibration,
        synthetic=None if data else Synthetic(rows=8),
    )


def converted(folder, *args, **options):
    """Convert; returns the outcome and a session of the result."""
    folder.mkdir(exist_ok=True)
    job = order(*args, **options)
    outcome = convert(job, folder)
    assert outcome.status == "ok", outcome.message
    made = Variant(format="litert", path=str(folder / next(iter(outcome.files))))
    return outcome, LiteRtRuntime().load(made, job.target, 1, 0, 0)


class TestInt8:
    NAME = "litert.fp32-to-litert.int8"

    @pytest.fixture
    def quantised(self, tmp_path, tflite, models):
        pytest.importorskip("ai_edge_quantizer")
        weights = models.seeded(16, 64, 4)
        path = tflite.perceptron(tmp_path / "net.tflite", weights["first"], weights["second"])
        data = split(tmp_path, "evaluation", x=ROWS[:32])
        calibration = split(tmp_path, "calibration", x=ROWS[32:])

        def make(calibrated=True, source=path, **options):
            folder = tmp_path / f"made-{len(list(tmp_path.iterdir()))}"
            variant = Variant(format="litert", path=str(source))
            return converted(folder, variant, self.NAME, data, calibration if calibrated else None, **options)

        return make

    def test_it_is_calibrated_and_every_option_is_on_record(self, quantised):
        outcome, session = quantised()
        assert outcome.settings == {"method": "static", "calibration_rows": 64, "per_channel": True}
        assert outcome.notes == ()
        assert outcome.parity.rows == 32 and outcome.parity.top1_agreement >= 0.9
        assert outcome.parity.max_abs_diff > 1e-3, "nothing was quantised"
        assert session.inputs == (Tensor("x", np.dtype("float32"), (1, 16)),)
        assert session.dtypes() >= {"int8", "float32"}

    def test_ranges_are_the_ends_of_all_rows(self, quantised, tmp_path):
        """An outlier in one row of 64 widens the range; a moving average would cut it off."""
        rows = ROWS[32:].copy()
        rows[40] *= 20
        np.save(tmp_path / "calibration" / "inputs" / "x.npy", rows)
        np.save(tmp_path / "evaluation" / "inputs" / "x.npy", rows[40:41])
        outcome, _ = quantised()
        scale = np.abs(np.load(tmp_path / outcome_folder(tmp_path) / "reference.npy")).max()
        assert outcome.parity.max_abs_diff < 0.05 * scale

    def test_without_calibration_rows_it_is_dynamic_and_says_so(self, quantised):
        outcome, _ = quantised(calibrated=False)
        assert outcome.settings == {"method": "dynamic", "calibration_rows": None, "per_channel": True}
        assert [note.code for note in outcome.notes] == ["calibration_missing"]
        assert quantised(calibrated=False, method="dynamic")[0].notes == ()

    def test_weights_only_changes_outputs_least(self, quantised):
        found = [quantised(method=method)[0].parity.max_abs_diff for method in ("weights", "dynamic", "static")]
        assert found[0] == min(found) > 0

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"method": "best"}, "conversion.method: 'best' is none of auto, static, dynamic, weights"),
            ({"calibration_rows": 0}, "conversion.calibration_rows: must be 1 at least, not 0"),
            ({"per_channel": 1}, "conversion.per_channel: expected bool, got int"),
        ],
    )
    def test_a_wrong_option_is_named(self, tmp_path, tflite, options, says):
        path = tflite.doubled(tmp_path / "m.tflite")
        data = split(tmp_path, "data", x=ROWS[:, :3])
        outcome = convert(order(Variant(format="litert", path=str(path)), self.NAME, data, data, **options), tmp_path)
        assert (outcome.status, outcome.message) == ("invalid", says)

    def test_a_model_without_weights_is_not_possible(self, quantised, tmp_path, tflite):
        path = tflite.doubled(tmp_path / "int.tflite", "int32", (1, 16))
        np.save(tmp_path / "evaluation" / "inputs" / "x.npy", np.ones((4, 16), np.int32))
        with pytest.raises(NotPossible, match="none of the model's weights became int8"):
            quantised(source=path, calibrated=False, method="weights")

    def test_without_a_signature_only_static_is_not_possible(self, quantised, tmp_path, tflite, models):
        weights = models.seeded(16, 64, 4)
        path = tflite.perceptron(tmp_path / "bare.tflite", weights["first"], weights["second"], signature=False)
        with pytest.raises(Exception, match=r"no signature.*conversion\.method = 'dynamic'"):
            quantised(source=path)
        assert quantised(source=path, method="dynamic")[0].parity.max_abs_diff > 0


def outcome_folder(base):
    return max((each for each in base.iterdir() if each.name.startswith("made-")), key=lambda each: each.name).name


class TestFromTorch:
    @pytest.fixture(autouse=True)
    def _converter(self):
        pytest.importorskip("litert_torch", reason=ABSENT)
        pytest.importorskip("torch")

    @pytest.mark.parametrize("name", ["mlp", "cnn-small"])
    def test_a_model_takes_one_row_by_its_name_and_agrees_on_all(self, tmp_path, name):
        with np.load(f"{DIGITS}/digits.npz") as stored:
            pixels = stored["pixels"].astype(np.float32) / 16
        data = split(tmp_path, "data", pixels=pixels[:100])
        variant = Variant(format="pt2", path=f"{DIGITS}/{name}.pt2")
        outcome, session = converted(tmp_path / "made", variant, "pt2-to-litert", data)
        assert (outcome.parity.rows, outcome.parity.top1_agreement) == (100, 1.0)
        assert outcome.parity.max_abs_diff < 1e-4
        assert session.inputs == (Tensor("pixels", np.dtype("float32"), (1, 64)),)

    def test_several_inputs_keep_their_names_and_ids_become_int32(self, tmp_path, torch_beside, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        data = split(tmp_path, "data", tokens=np.arange(50).reshape(10, 5) % 2, mask=np.ones((10, 5), np.float32))
        variant = Variant(format="torch", builder=f"{torch_beside}:tokens", import_from=str(tmp_path))
        outcome, session = converted(tmp_path / "made", variant, "torch-to-litert", data)
        assert outcome.parity.rows == 10 and outcome.parity.max_abs_diff < 1e-5
        assert {t.name: str(t.dtype) for t in session.inputs} == {"tokens": "int32", "mask": "float32"}

    def test_a_fixed_batch_stays(self, tmp_path):
        import torch

        class Fixed(torch.nn.Module):
            def forward(self, x):
                return x.reshape(4, 6).sum(1, keepdim=True)

        torch.export.save(torch.export.export(Fixed(), (torch.ones(4, 2, 3),)), tmp_path / "m.pt2")
        variant = Variant(format="pt2", path=str(tmp_path / "m.pt2"))
        _, session = converted(tmp_path / "made", variant, "pt2-to-litert")
        assert [tensor.shape for tensor in session.inputs] == [(4, 2, 3)]


def test_without_the_converter_the_cell_is_skipped_and_says_what_brings_it(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    from harness.evidence.folder import write_job

    (tmp_path / "job").mkdir()
    job = order(Variant(format="pt2", path=f"{DIGITS}/mlp.pt2"), "pt2-to-litert")
    write_job(tmp_path / "job", job)
    outcome = do_job(job, tmp_path / "job", tmp_path)
    assert outcome.status == "unavailable"
    assert "litert_torch" in outcome.message
    assert outcome.message.endswith("pip install 'harness-bench[litert-convert]'")
