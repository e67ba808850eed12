"""What a runtime must offer: load an artefact, say what it takes, run it. Implement this to add one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.spec.target import Target
from harness.spec.wire import Artefact

Array = NDArray[Any]
Feed = dict[str, Array]
Infer = Callable[[Feed], Sequence[Array]]


class Tensor(NamedTuple):
    """An input of a model: name, numpy dtype, shape (int, or a symbol's name where any size is right).

    A dtype of None and the shape `("...",)` mean that the model does not say; the dataset's are used.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str, ...]


class Session(Protocol):
    """A loaded model. `infer` takes a feed of host arrays and returns host arrays, in `outputs` order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    infer: Infer
    clock: Callable[[], int]

    def scope(self) -> AbstractContextManager[object]:
        """Return the context all inference happens in (`torch.inference_mode()`, say)."""


class Runtime(Protocol):
    """A way to run models. `formats` it loads; `options` a target may set, with their types."""

    formats: tuple[str, ...]
    options: Mapping[str, type]

    def unavailable(self, target: Target) -> str | None:
        """Say why `target` cannot be used here, or None when it can."""

    def versions(self) -> dict[str, str]:
        """Return name → version of the libraries that matter to the numbers."""

    def load(self, artefact: Artefact, target: Target, threads: int, seed: int, sequence: int) -> Session:
        """Load `artefact` for `target` with at most `threads` compute threads.

        `seed` and `sequence` (the running number of the trial) are for scripted runtimes.

        Raises:
            ModelError: the artefact cannot be loaded or called.
        """


class ModelError(Exception):
    """The artefact itself is wrong: corrupt, wrong input, unsupported operator."""


def local_path(artefact: Artefact) -> Path:
    """Return the artefact's file.

    Raises:
        ModelError: there is none.
    """
    if artefact.path is None or not Path(artefact.path).is_file():
        raise ModelError(f"artefact not found: {artefact.path}")
    return Path(artefact.path)
