"""What the names of inputs and dimensions say: words in them that exporters and authors commonly use."""

import re

from harness.runtimes.base import Tensor

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_GENERATED = re.compile(r"unk__\d+|s\d+|dim_?\d+|.*DynamicDimension\.?\d*|dynamic_axes?_\d+", re.IGNORECASE)
_LETTERS = {"n": "batch", "b": "batch", "h": "height", "w": "width", "c": "channel", "t": "sequence", "l": "sequence"}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


BATCH = _set("batch bs bsz batchsize nbatch")
HEIGHT, WIDTH = _set("height rows imgh"), _set("width cols columns imgw")
CHANNEL = _set("channel channels chan")
SEQUENCE = _set("seq sequence token tokens len length time times frame frames step steps words chars samples sample")
AUDIO = _set("audio wav waveform waveforms wave speech pcm samples sample sound signal voice")
FEATURE = _set("feature features feat feats dim hidden embed embedding embeddings mel mels bins")
PAST = _set("past cached kv")
STATE = _set("state states hidden cell cache caches past context h c hn cn hx cx rnn lstm gru memory")
MASK = _set("mask masks")
LENGTH = _set("len lens length lengths sizes size")
SEGMENT = _set("type segment segments")
POSITION = _set("position positions pos")
RATE = _set("sr rate samplerate sampling fs")
SHARE = _set("threshold thresh conf confidence iou score prob")
UNIT = _set("scale scales speed temperature factor ratio gain rate")
IMAGE = _set("image images img imgs pixel pixels picture photo rgb")


def words(name: str) -> frozenset[str]:
    """Return the words of a name, in small letters; a single letter that stands for a dimension is spelt out."""
    found = [word.lower() for word in _WORD.findall(name)]
    return frozenset(found)


def dimension_words(symbol: str) -> frozenset[str]:
    """Return the words of a dimension's name."""
    alone = _LETTERS.get(symbol.lower())
    return words(symbol) | ({alone} if alone else set())


def is_batch(symbol: int | str) -> bool:
    """Whether a dimension is called a batch; a formula (`batch*heads`) is not."""
    plain = isinstance(symbol, str) and re.fullmatch(r"[\w.\-/]+", symbol) is not None
    return plain and not BATCH.isdisjoint(dimension_words(str(symbol)))


def is_unnamed(symbol: int | str, tensor: Tensor) -> bool:
    """Whether a dimension of any size has no name of its own: an exporter numbered it, or the runtime's adapter did."""
    if isinstance(symbol, int):
        return False
    own = symbol.removeprefix(f"{tensor.name}_")
    return (own != symbol and own.isdecimal()) or _GENERATED.fullmatch(symbol) is not None


def is_state(name: str) -> bool:
    """Whether an input is what a recurrent or streaming model hands from call to call."""
    return not STATE.isdisjoint(words(name))


def is_beside(name: str) -> bool:
    """Whether an input goes with the main one: a state, mask, length or rate."""
    return not (STATE | MASK | LENGTH | RATE | SEGMENT | POSITION).isdisjoint(words(name))
