"""Make every file of this folder that is not written by hand: the data, the candidates, their record.

Run `python -m harness.suites.digits.train [NAME …]`, or this file from a checkout. It needs torch, scikit-learn and
skl2onnx. The weights follow from the seeds, bit for bit on the same versions and the same kind of processor.
"""

import datetime
import hashlib
import importlib.metadata
import json
import logging
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

if __package__:
    from . import data, models
else:
    import data
    import models

FOLDER = Path(__file__).parent
RECORD_FILE = FOLDER / "artefacts.json"
SEED = 7
BATCH = 32
OPSETS = {"": 18, "ai.onnx.ml": 3}
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "torch")
log = logging.getLogger("train")

Record = dict[str, Any]
Rows = npt.NDArray[Any]


class Network(NamedTuple):
    """A torch candidate: how to build it, how long to train it, and the share of batches that are shifted."""

    build: Callable[[], nn.Module]
    epochs: int
    learning_rate: float
    shifted: float


NETWORKS = {
    "mlp": Network(models.mlp, epochs=100, learning_rate=1e-2, shifted=0.0),
    "cnn-small": Network(models.cnn_small, epochs=40, learning_rate=1e-2, shifted=0.5),
    "cnn-wide": Network(models.cnn_wide, epochs=30, learning_rate=4e-3, shifted=0.3),
    "transformer-tiny": Network(models.transformer_tiny, epochs=60, learning_rate=3e-3, shifted=0.0),
    "resnet": Network(models.resnet, epochs=20, learning_rate=3e-3, shifted=0.5),
}


def main(chosen: Sequence[str] = ()) -> None:
    """Train, save and record the chosen candidates; with none chosen all of them, and the data.

    Raises SystemExit where a name is unknown, or the record of the others was made with other versions.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    makers = {"logistic": make_logistic, "forest": make_forest}
    makers |= {name: partial(make_network, name, network) for name, network in NETWORKS.items()}
    if unknown := sorted(set(chosen) - set(makers)):
        raise SystemExit(f"no candidate is called {', '.join(unknown)}; there are {', '.join(makers)}")
    record = earlier_record() if chosen else new_record(write_data())
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    torch.use_deterministic_algorithms(True)
    made = {entry["name"]: entry for entry in record["artefacts"]}
    made |= {name: make() for name, make in makers.items() if name in chosen or not chosen}
    record["artefacts"] = [made[name] for name in makers if name in made]
    RECORD_FILE.write_text(json.dumps(record, indent=2) + "\n")


def new_record(data_record: Record) -> Record:
    """Return the record of what is about to be made, without artefacts."""
    return {
        "schema": "harness/artefacts/1",
        "made_by": "harness.suites.digits.train",
        "seed": SEED,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data": data_record,
        "artefacts": [],
    }


def earlier_record() -> Record:
    """Return the record on disk; raises SystemExit where it was made with other versions than those at hand."""
    record: Record = json.loads(RECORD_FILE.read_text())
    at_hand = new_record(record["data"])
    for key in ("seed", "python", "versions"):
        if record[key] != at_hand[key]:
            raise SystemExit(f"{RECORD_FILE.name} has {key} {record[key]}, at hand is {at_hand[key]}; make all of them")
    return record


def write_data() -> Record:
    """Write `digits.npz`: pixels uint8 [1797, 64] in 0..16, labels uint8 [1797], held_out bool [1797]."""
    pixels, labels = load_digits(return_X_y=True)
    rows = np.arange(len(labels))
    _, test_rows = train_test_split(rows, test_size=0.5, random_state=data.SPLIT_SEED, stratify=labels)
    held_out = np.isin(rows, test_rows)
    np.savez_compressed(
        data.DATA_FILE, pixels=pixels.astype(np.uint8), labels=labels.astype(np.uint8), held_out=held_out
    )
    return {
        **file_record(data.DATA_FILE),
        "rows": len(rows),
        "held_out_rows": len(test_rows),
        "split_seed": data.SPLIT_SEED,
        "source": "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), UCI Machine "
        "Learning Repository, doi:10.24432/C50P49; its 1797 test rows, as bundled with scikit-learn",
        "licence": "CC-BY-4.0",
    }


def make_logistic() -> Record:
    """Fit multinomial logistic regression and write it as ONNX."""
    model = fit(LogisticRegression(C=1.0, max_iter=1000))
    return save_sklearn("logistic", model, model.coef_.size + model.intercept_.size)


def make_forest() -> Record:
    """Fit a bounded random forest and write it as ONNX; its parameters are counted as nodes of its trees."""
    model = fit(RandomForestClassifier(n_estimators=60, max_leaf_nodes=64, random_state=SEED))
    return save_sklearn("forest", model, sum(tree.tree_.node_count for tree in model.estimators_))


def fit(model: Any) -> Any:
    """Return the scikit-learn model fitted on the training half."""
    rows = data.train_split()
    return model.fit(rows["inputs"]["pixels"], rows["labels"])


def save_sklearn(name: str, model: Any, parameters: int) -> Record:
    """Write a classifier as ONNX: `pixels` float32 [batch, 64] to `label` and `probabilities` [batch, 10]."""
    proto = to_onnx(
        model,
        initial_types=[("pixels", FloatTensorType([None, models.SIDE**2]))],
        options={"zipmap": False, "output_class_labels": False},
        target_opset=OPSETS,
        name=name,
    )
    onnx.checker.check_model(proto, full_check=True)
    path = FOLDER / f"{name}.onnx"
    path.write_bytes(proto.SerializeToString(deterministic=True))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    accuracy = accuracy_of(lambda pixels: session.run(["probabilities"], {"pixels": pixels})[0])
    return report({"name": name, "format": "onnx", **file_record(path)}, parameters, accuracy)


def make_network(name: str, network: Network) -> Record:
    """Train a torch candidate and write it as an exported program with a dynamic batch dimension."""
    torch.manual_seed(SEED)
    model = train_network(network)
    path = FOLDER / f"{name}.pt2"
    torch.export.save(export(model), path)
    module = torch.export.load(path).module()
    with torch.inference_mode():
        accuracy = accuracy_of(lambda pixels: module(torch.from_numpy(pixels)).numpy())
    facts = {"name": name, "format": "torch-export", **file_record(path), "state_sha256": state_sha256(model)}
    return report(facts, sum(weights.numel() for weights in model.parameters()), accuracy)


def train_network(network: Network) -> nn.Module:
    """Return the network after its epochs on the training half, in evaluation mode."""
    model = network.build()
    batches = -(-len(data.train_split()["labels"]) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, network.learning_rate, total_steps=network.epochs * batches
    )
    for pixels, labels in training_batches(network.epochs, network.shifted):
        optimiser.zero_grad()
        functional.cross_entropy(model(pixels), labels).backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def training_batches(epochs: int, shifted: float) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield shuffled pixels [batch, 64] and labels; a share of the batches is moved by a pixel."""
    rows = data.train_split()
    images = torch.from_numpy(rows["inputs"]["pixels"]).reshape(-1, models.SIDE, models.SIDE)
    labels = torch.from_numpy(rows["labels"])
    padded = functional.pad(images, (1, 1, 1, 1))
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            down, right = offsets(shifted)
            moved = padded[chosen, down : down + models.SIDE, right : right + models.SIDE]
            yield moved.flatten(1), labels[chosen]


def offsets(shifted: float) -> tuple[int, int]:
    """Return where to cut the image out of its padded one: (1, 1), or with chance `shifted` in 0..2."""
    if torch.rand(()) >= shifted:
        return 1, 1
    down, right = torch.randint(0, 3, (2,)).tolist()
    return down, right


def export(model: nn.Module) -> torch.export.ExportedProgram:
    """Return the exported program of `model` without traces of how it was made: paths and module names."""
    example = torch.zeros(2, models.SIDE**2)
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(model, (example,), dynamic_shapes={"pixels": {0: batch}}, strict=False)
    for node in program.graph.nodes:
        for trace in ("stack_trace", "nn_module_stack"):
            node.meta.pop(trace, None)
    return program


def accuracy_of(predict: Callable[[Rows], Rows]) -> float:
    """Return the share of the held-out rows whose highest score is at the right class."""
    rows = data.load()
    return float((predict(rows["inputs"]["pixels"]).argmax(axis=1) == rows["labels"]).mean())


def file_record(path: Path) -> Record:
    """Return the name, sha256 and size of a file."""
    content = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def state_sha256(model: nn.Module) -> str:
    """Return one digest of all weights, by name and value."""
    digest = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.numpy().tobytes())
    return digest.hexdigest()


def report(facts: Record, parameters: int, accuracy: float) -> Record:
    """Log a finished artefact and return its record."""
    log.info("%-20s accuracy %.4f, %d parameters, %d bytes", facts["file"], accuracy, parameters, facts["bytes"])
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {**facts, "parameters": int(parameters), "accuracy": round(accuracy, 6), "date": date}


if __name__ == "__main__":
    main(sys.argv[1:])
