"""The digits suite: its files are those on record, its data has the promised shape, its accuracies hold."""

import hashlib
import importlib.resources
import json
import subprocess
import sys

import numpy as np
import pytest

from harness.suites.digits import data

FOLDER = importlib.resources.files("harness.suites.digits")
RECORD = json.loads(FOLDER.joinpath("artefacts.json").read_text())
ARTEFACTS = {artefact["name"]: artefact for artefact in RECORD["artefacts"]}
FILES = [RECORD["data"], *RECORD["artefacts"]]
NAMES = {"logistic", "forest", "mlp", "cnn-small", "cnn-wide", "transformer-tiny", "resnet"}
LIMIT_BYTES = 5_000_000
ONNX_NAMES = sorted(name for name in NAMES if ARTEFACTS[name]["format"] == "onnx")
TORCH_NAMES = sorted(NAMES - set(ONNX_NAMES))


def accuracy_of(scores):
    return (scores.argmax(axis=1) == data.load()["labels"]).mean()


def test_the_record_names_every_candidate():
    assert set(ARTEFACTS) == NAMES


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry["file"])
def test_a_file_is_the_one_on_record(entry):
    content = FOLDER.joinpath(entry["file"]).read_bytes()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_the_largest_network_is_among_the_most_accurate():
    resnet = ARTEFACTS["resnet"]
    assert resnet["accuracy"] >= 0.985
    assert resnet["parameters"] == max(artefact["parameters"] for artefact in ARTEFACTS.values())
    assert sum(artefact["accuracy"] > resnet["accuracy"] for artefact in ARTEFACTS.values()) <= 1


def test_all_files_together_are_small():
    assert sum(entry["bytes"] for entry in FILES) < LIMIT_BYTES
    assert RECORD["data"]["bytes"] < 100_000


@pytest.mark.parametrize("artefact", ARTEFACTS.values(), ids=lambda artefact: artefact["name"])
def test_the_readme_states_the_recorded_numbers(artefact):
    row = next(
        line
        for line in FOLDER.joinpath("README.md").read_text().splitlines()
        if line.startswith(f"| `{artefact['file']}`")
    )
    for number in (f"{artefact['parameters']:,}", f"{artefact['bytes']:,}", f"{artefact['accuracy']:.4f}"):
        assert f" {number} " in row


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry["file"])
def test_no_file_carries_a_path_of_the_machine_that_made_it(entry):
    content = FOLDER.joinpath(entry["file"]).read_bytes()
    assert not [text for text in (b"site-packages", b"/home/", b"/root/", b'.py"') if text in content]


@pytest.mark.parametrize(("load", "rows"), [(data.load, 899), (data.train_split, 898)])
def test_a_half_has_the_promised_shape(load, rows):
    half = load()
    pixels, labels = half["inputs"]["pixels"], half["labels"]
    assert (pixels.shape, pixels.dtype) == ((rows, 64), np.float32)
    assert (labels.shape, labels.dtype) == ((rows,), np.int64)
    assert (pixels.min(), pixels.max()) == (0.0, 1.0)


def test_the_halves_are_apart_and_hold_the_classes_in_equal_shares():
    held_out, training = data.load(), data.train_split()
    rows = [{row.tobytes() for row in half["inputs"]["pixels"]} for half in (held_out, training)]
    assert not rows[0] & rows[1]
    counts = [np.bincount(half["labels"], minlength=10) for half in (held_out, training)]
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_the_data_loads_without_scikit_learn_or_torch(tmp_path):
    program = (
        "import sys; from harness.suites.digits import data; data.load(); "
        "sys.exit(' '.join({'sklearn', 'torch', 'scipy', 'pandas'} & set(sys.modules)) or 0)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", ONNX_NAMES)
def test_an_onnx_candidate_scores_what_is_recorded(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = FOLDER.joinpath(ARTEFACTS[name]["file"])
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["probabilities"], data.load()["inputs"])
    assert scores.dtype == np.float32
    assert accuracy_of(scores) == pytest.approx(ARTEFACTS[name]["accuracy"], abs=1e-6)


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_a_torch_candidate_scores_what_is_recorded_at_any_batch(name):
    torch = pytest.importorskip("torch")
    program = torch.export.load(str(FOLDER.joinpath(ARTEFACTS[name]["file"])))
    assert program.graph_signature.user_inputs == ("pixels",)
    module = program.module()
    pixels = torch.from_numpy(data.load()["inputs"]["pixels"])
    with torch.inference_mode():
        scores = module(pixels)
        for batch in (1, 2, 32):
            torch.testing.assert_close(module(pixels[:batch]), scores[:batch], atol=1e-4, rtol=1e-4)
    # One row of rounding: another processor may settle a near tie the other way.
    assert accuracy_of(scores.numpy()) == pytest.approx(ARTEFACTS[name]["accuracy"], abs=1.5 / len(scores))


def test_training_refuses_an_unknown_name_and_a_record_of_other_versions(tmp_path, monkeypatch):
    pytest.importorskip("skl2onnx")
    train = pytest.importorskip("harness.suites.digits.train")
    with pytest.raises(SystemExit, match="no candidate is called resnit; there are logistic"):
        train.main(["resnit"])
    older = tmp_path / "artefacts.json"
    older.write_text(json.dumps({**RECORD, "python": "3.1"}))
    monkeypatch.setattr(train, "RECORD_FILE", older)
    with pytest.raises(SystemExit, match=r"artefacts.json has python 3.1, at hand is"):
        train.main(["resnet"])
