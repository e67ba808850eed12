"""Make every file of this folder that is not written by hand: the utterances, the candidates, their record.

Run `python -m harness.suites.intent.train`, or this file from a checkout. It needs scikit-learn, onnx and onnxruntime,
and half a minute. What it writes follows from the seed, bit for bit on the same versions and kind of processor.
"""

import datetime
import hashlib
import importlib.metadata
import json
import logging
import platform
import random
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

if __package__:
    from . import data, templates, text
else:
    import data
    import templates
    import text

FOLDER = Path(__file__).parent
RECORD_FILE = FOLDER / "artefacts.json"
SEED = 11
ROWS = {"training": 240, "evaluation": 80}
"""Utterances per intent in each split."""
HELD_OUT = 0.5
"""The part of the evaluation that is made of phrasings which training does not see."""
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn")
log = logging.getLogger("train")

Record = dict[str, Any]
Weights = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


class Plan(NamedTuple):
    """A candidate: its tokens, the lengths of its n-grams, how many at most; a hidden layer's width and its epochs."""

    token: str
    lengths: tuple[int, ...]
    most: int
    hidden: int | None = None
    epochs: int = 0


PLANS = {
    "words-logistic": Plan(text.WORDS, (1,), 600),
    "letters-mlp": Plan(text.LETTERS, (1, 2, 3, 4, 5), 5000, 64, 15),
}


def main() -> None:
    """Write the utterances, then train, save and record all candidates."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    record = {
        "schema": "harness/artefacts/1",
        "made_by": "harness.suites.intent.train",
        "seed": SEED,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data": write_data(),
        "artefacts": [make(name, plan) for name, plan in PLANS.items()],
    }
    RECORD_FILE.write_text(json.dumps(record, indent=2) + "\n")


def write_data() -> Record:
    """Write `utterances.tsv`: distinct utterances, an equal number of each intent in each split."""
    rng, lines, seen = random.Random(SEED), list[str](), set[str]()
    for split, count in ROWS.items():
        for intent in templates.INTENTS:
            found, other = list[str](), round(HELD_OUT * count) if split == "evaluation" else 0
            while len(found) < count:
                phrasings = intent.held_out if len(found) < other else intent.training
                utterance = templates.spoken(rng.choice(phrasings), rng)
                if utterance not in seen:
                    seen.add(utterance)
                    found.append(utterance)
            lines += [f"{split}\t{intent.name}\t{each}" for each in found]
    data.DATA_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = {split: count * len(templates.INTENTS) for split, count in ROWS.items()}
    return {
        **file_record(data.DATA_FILE),
        "rows": rows,
        "source": "synthetic: templates.py filled by a seeded generator",
    }


def make(name: str, plan: Plan) -> Record:
    """Train a candidate and write it as ONNX, with its vectoriser inside."""
    rows = data.train_split()
    texts = rows["inputs"]["text"]
    reader = text.reader([str(each) for each in texts[:, 0]], plan.token, plan.lengths, plan.most, least=3)
    layers = fitted(text.features(reader, texts), rows["labels"], plan)
    model = assembled(reader, layers)
    checker.check_model(model, full_check=False)
    path = FOLDER / f"{name}.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    held_out = data.load()
    (scores,) = text.session(model).run(None, {"text": held_out["inputs"]["text"].astype(object)})
    accuracy = float((scores.argmax(axis=1) == held_out["labels"]).mean())
    parameters = sum(weight.size + bias.size for weight, bias in layers)
    facts = {"name": name, "format": "onnx", **file_record(path), "grams": len(reader.grams), "parameters": parameters}
    log.info("%-16s accuracy %.4f, %s", path.name, accuracy, facts)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {**facts, "accuracy": round(accuracy, 6), "date": date}


def fitted(rows: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], plan: Plan) -> Weights:
    """Return weight and bias of each layer."""
    if plan.hidden is None:
        linear = LogisticRegression(C=10.0, max_iter=2000).fit(rows, labels)
        return [(linear.coef_.T.astype(np.float32), linear.intercept_.astype(np.float32))]
    network = MLPClassifier(
        (plan.hidden,), max_iter=plan.epochs, alpha=1e-3, learning_rate_init=3e-3, random_state=SEED
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops after these epochs, converged or not
        network.fit(rows, labels)
    pairs = zip(network.coefs_, network.intercepts_, strict=True)
    return [(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in pairs]


def assembled(reader: text.Reader, layers: Weights) -> Any:
    """Return the whole model: text, features, layers with ReLU between them, probabilities."""
    nodes, constants = reader.nodes()
    before = "features"
    for number, (weight, bias) in enumerate(layers):
        constants += [
            numpy_helper.from_array(weight, f"weight{number}"),
            numpy_helper.from_array(bias, f"bias{number}"),
        ]
        nodes.append(helper.make_node("Gemm", [before, f"weight{number}", f"bias{number}"], [f"layer{number}"]))
        kind, before = ("Softmax", "probabilities") if number == len(layers) - 1 else ("Relu", f"hidden{number}")
        nodes.append(helper.make_node(kind, [f"layer{number}"], [before]))
    return text.assembled(nodes, constants, "probabilities", TensorProto.FLOAT, len(layers[-1][1]))


def file_record(path: Path) -> Record:
    """Return the name, sha256 and size of a file."""
    content = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


if __name__ == "__main__":
    main()
