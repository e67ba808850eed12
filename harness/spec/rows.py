"""Arrays as JSON: what a function or container is sent, and what it answers.

Numbers are bytes in base64 with dtype and shape: a third longer than the bytes, and as fast to read. Text is a list.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.spec.arrays import Array


def as_json(array: Array) -> dict[str, Any]:
    """Return an array as what JSON can hold."""
    if array.dtype.kind in "OU":
        return {"text": array.tolist()}
    data = np.ascontiguousarray(array)
    return {"dtype": str(data.dtype), "shape": list(data.shape), "data": base64.b64encode(data.tobytes()).decode()}


def from_json(table: object) -> Array:
    """Return the array that `as_json` made a table of. Raises ValueError where it is none."""
    if not isinstance(table, Mapping):
        raise ValueError(f"an array must be a table, not {type(table).__name__}")
    try:
        if "text" in table:
            return np.array(table["text"], dtype=object)
        data = base64.b64decode(table["data"], validate=True)
        return np.frombuffer(data, dtype=np.dtype(table["dtype"])).reshape(table["shape"])
    except KeyError as error:
        raise ValueError(f"an array lacks {error}") from error
    except (TypeError, binascii.Error) as error:
        raise ValueError(f"an array cannot be read: {error}") from error
