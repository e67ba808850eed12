"""The part of each candidate that reads text: an ONNX graph from strings to normalised counts of words or letters.

The vectoriser is inside the model, so that training, conversion and serving use the same one. Its operators run on
ONNX Runtime only: `Tokenizer` is one of its own (com.microsoft).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSETS = {"": 18, "ai.onnx.ml": 3, "com.microsoft": 1}
WORDS, LETTERS = r"[a-z0-9']+", r"[a-z0-9' ]"
"""What a token is, as a regular expression over text in lower case."""
_LOWER = {"case_change_action": "LOWER", "is_case_sensitive": 1, "locale": "C"}
"""The locale C is there everywhere; in it, ASCII letters have a lower case. Small images have no other locale."""
_IR_VERSION = 9


class Reader(NamedTuple):
    """How text becomes features: what a token is, and the chosen n-grams (tuples of tokens) with their weights."""

    token: str
    grams: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]

    def nodes(self) -> tuple[list[Any], list[Any]]:
        """Return nodes that lead from `text` [rows, 1] to `features` [rows, grams], and their initialisers."""
        lengths = sorted({len(gram) for gram in self.grams})
        pool = [token for gram in self.grams for token in gram]
        starts = [sum(len(g) for g in self.grams if len(g) < n) for n in range(1, max(lengths) + 1)]
        counting = {
            "mode": "TFIDF",
            "min_gram_length": min(lengths),
            "max_gram_length": max(lengths),
            "max_skip_count": 0,
            "pool_strings": pool,
            "ngram_counts": starts,
            "ngram_indexes": list(range(len(self.grams))),
            "weights": list(self.weights),
        }
        nodes = [
            helper.make_node("Reshape", ["text", "flat"], ["line"]),
            helper.make_node("StringNormalizer", ["line"], ["lower"], **_LOWER),
            helper.make_node(
                "Tokenizer",
                ["lower"],
                ["tokens"],
                domain="com.microsoft",
                mark=0,
                mincharnum=1,
                pad_value="\x00",
                tokenexp=self.token,
            ),
            helper.make_node("TfIdfVectorizer", ["tokens"], ["counts"], **counting),
            helper.make_node("ReduceL2", ["counts", "axis"], ["length"], keepdims=1),
            helper.make_node("Max", ["length", "least"], ["divisor"]),
            helper.make_node("Div", ["counts", "divisor"], ["features"]),
        ]
        constants = {"flat": np.array([-1]), "axis": np.array([1]), "least": np.array([1e-6], np.float32)}
        return nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()]


def reader(texts: Sequence[str], token: str, lengths: Sequence[int], most: int, least: int) -> Reader:
    """Choose the `most` n-grams that are in most texts, in `least` of them at least, weighted by their rarity (idf)."""
    documents = Counter(gram for tokens in tokens_of(texts, token) for gram in set(_grams(tokens, lengths)))
    common = sorted((gram for gram, n in documents.items() if n >= least), key=lambda gram: (-documents[gram], gram))
    grams = tuple(sorted(common[:most], key=lambda gram: (len(gram), gram)))
    return Reader(token, grams, tuple(float(np.log((1 + len(texts)) / (1 + documents[g])) + 1) for g in grams))


def tokens_of(texts: Sequence[str], token: str) -> list[list[str]]:
    """Return the tokens of each text as the model's own tokenizer cuts them."""
    made = Reader(token, (("a",),), (1.0,)).nodes()
    model = assembled([made[0][0], made[0][1], made[0][2]], made[1][:1], "tokens", TensorProto.STRING)
    (found,) = session(model).run(None, {"text": np.array(texts, dtype=object)[:, None]})
    return [[str(word) for word in row if word != "\x00"] for row in found]


def _grams(tokens: Sequence[str], lengths: Sequence[int]) -> Iterable[tuple[str, ...]]:
    for length in lengths:
        for start in range(len(tokens) - length + 1):
            yield tuple(tokens[start : start + length])


def assembled(
    nodes: Sequence[Any], constants: Sequence[Any], output: str, kind: int, classes: int | None = None
) -> Any:
    """Return a model from `text` (strings [rows, 1]) to `output`."""
    shape = ["rows", classes] if classes is not None else ["rows", "columns"]
    graph = helper.make_graph(
        nodes,
        "intent",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["rows", 1])],
        [helper.make_tensor_value_info(output, kind, shape)],
        constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def session(model: Any) -> onnxruntime.InferenceSession:
    """Return a session of a model in memory."""
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def features(made: Reader, texts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the features of texts [rows, 1], by the graph that the candidate will have."""
    nodes, constants = made.nodes()
    (found,) = session(assembled(nodes, constants, "features", TensorProto.FLOAT)).run(
        None, {"text": texts.astype(object)}
    )
    return np.asarray(found, dtype=np.float32)
