"""The intent suite: its files are those on record, its utterances synthetic and apart, its candidates read text."""

import hashlib
import importlib.resources
import json
import subprocess
import sys

import numpy as np
import pytest

from harness.suites.intent import data, templates

FOLDER = importlib.resources.files("harness.suites.intent")
RECORD = json.loads(FOLDER.joinpath("artefacts.json").read_text())
ARTEFACTS = {artefact["name"]: artefact for artefact in RECORD["artefacts"]}
FILES = [RECORD["data"], *RECORD["artefacts"]]


def session(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    content = FOLDER.joinpath(ARTEFACTS[name]["file"]).read_bytes()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def answers(found, *texts):
    (scores,) = found.run(None, {"text": np.array(texts, dtype=object)[:, None]})
    return [sorted(intent.name for intent in templates.INTENTS)[row] for row in scores.argmax(axis=1)]


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry["file"])
def test_a_file_is_the_one_on_record(entry):
    content = FOLDER.joinpath(entry["file"]).read_bytes()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_all_candidates_together_are_small_and_one_is_much_larger():
    small, large = sorted(entry["bytes"] for entry in RECORD["artefacts"])
    assert small + large < 2_000_000 and large > 20 * small
    assert "synthetic" in RECORD["data"]["source"] and "**The utterances are synthetic.**" in readme()


def readme():
    return FOLDER.joinpath("README.md").read_text()


@pytest.mark.parametrize("artefact", ARTEFACTS.values(), ids=lambda artefact: artefact["name"])
def test_the_readme_states_the_recorded_numbers(artefact):
    row = next(line for line in readme().splitlines() if line.startswith(f"| `{artefact['file']}`"))
    for key in ("grams", "parameters", "bytes"):
        assert f" {artefact[key]:,} " in row
    assert f" {artefact['accuracy']:.4f} " in row


@pytest.mark.parametrize(("load", "rows"), [(data.load, 960), (data.train_split, 2880)])
def test_a_split_is_unicode_text_with_as_many_of_each_intent(load, rows):
    split = load()
    text, labels = split["inputs"]["text"], split["labels"]
    assert (text.shape, text.dtype.kind) == ((rows, 1), "U")
    assert (labels.shape, labels.dtype) == ((rows,), np.int64)
    assert set(np.bincount(labels).tolist()) == {rows // len(templates.INTENTS)}


def test_no_utterance_stands_in_both_splits_nor_twice():
    held_out, training = (load()["inputs"]["text"].ravel().tolist() for load in (data.load, data.train_split))
    assert len({*held_out, *training}) == len(held_out) + len(training)


def test_half_of_the_evaluation_has_phrasings_that_training_does_not():
    for intent in templates.INTENTS:
        assert not set(intent.training) & set(intent.held_out)
        assert len(intent.held_out) >= 4


def test_the_data_loads_without_anything_but_numpy(tmp_path):
    program = (
        "import sys; from harness.suites.intent import data; data.load(); "
        "sys.exit(' '.join({'sklearn', 'onnx', 'onnxruntime', 'scipy', 'pandas'} & set(sys.modules)) or 0)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_candidate_scores_what_is_recorded_and_does_not_know_all(name):
    split = data.load()
    (scores,) = session(name).run(["probabilities"], {"text": split["inputs"]["text"].astype(object)})
    accuracy = (scores.argmax(axis=1) == split["labels"]).mean()
    assert accuracy == pytest.approx(ARTEFACTS[name]["accuracy"], abs=1e-6)
    assert 0.85 < accuracy < 0.99
    assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_candidate_reads_text_as_it_is_typed(name):
    found = session(name)
    assert answers(found, "Where is my order?", "CANCEL ORDER 17 PLEASE", "hi, i forgot my password") == [
        "track_order",
        "cancel_order",
        "account",
    ]
    assert len(answers(found, "", "zażółć 東京 🙂")) == 2  # any text has an answer


def test_letters_forgive_slips_that_words_do_not():
    slips = ["cancle oder 12", "resett my pasword", "discoutn code is not acepted"]
    assert answers(session("letters-mlp"), *slips) == ["cancel_order", "account", "discount"]


def test_making_the_data_again_gives_the_same(tmp_path, monkeypatch):
    train = pytest.importorskip("harness.suites.intent.train")
    monkeypatch.setattr(train.data, "DATA_FILE", tmp_path / "utterances.tsv")
    assert train.write_data() == RECORD["data"]
