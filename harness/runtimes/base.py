"""What a runtime must offer: load an artefact, say what it takes, run it. Implement this to add one."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from harness.spec import plugins
from harness.spec.arrays import Array
from harness.spec.metrics import nearest
from harness.spec.outcome import Fact
from harness.spec.target import Target
from harness.spec.variant import Variant

_OUT_OF_MEMORY = (
    *("bad allocation", "bad_alloc", "out of memory", "can't allocate memory", "failed to allocate"),
    *("cublas_status_alloc_failed", "cudnn_status_alloc_failed"),
)

Feed = dict[str, Array]
Infer = Callable[[Feed], Sequence[Array]]


class Tensor(NamedTuple):
    """An input of a model: name, numpy dtype, shape (int, or a symbol's name where any size is right).

    A dtype of None and the shape `("...",)` mean that the model does not say; the dataset's are used. `axis` is the
    axis that carries rows, None where there is none (a scalar, a state without a batch): such an input is fed whole.
    `most` is the most rows that it takes at once, None where any number is right.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str, ...]
    axis: int | None = 0
    most: int | None = None


class Hint(NamedTuple):
    """What a model's graph tells of an input beyond its shape.

    `sizes` are sizes of axes by the weights they meet, `ids_below` the number of rows of the table that the input
    indexes, `batch` the axis that a recurrent operator takes as the batch; `kind` is what the input is used as.
    """

    sizes: Mapping[int, int] = {}
    ids_below: int | None = None
    batch: int | None = None
    kind: Literal["", "image", "signal", "ids"] = ""


class Session(Protocol):
    """A loaded model. `infer` takes a feed of host arrays and returns host arrays, in `outputs` order.

    `inputs` is set again when the inputs' layout is settled (the axes that carry rows, sizes). Optional attributes:
    `pids`, the processes that are to be watched, of a session that drives another process (a server), and `connect()`,
    which returns an `infer` for one more thread, with a connection of its own; `wait(at_ns)`, of a session whose clock
    is its own, which waits until that reads so much at least and returns what it reads; `hints()`, which
    returns input name → Hint; `facts()`, what the outcome is to say of the session. Those of a device: `place(feed)`
    brings a feed to where requests are to find it; `before()` is called before each request, outside its time;
    `device_ns(count)` returns int64 [count], what each of the last `count` calls took on the device (ns).
    """

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
        """Say why `target` cannot be used here, or None when it can.

        It imports the runtime, if nothing did before.
        """

    def preload(self) -> None:
        """Import all that loading needs, so that load time is the model's alone. Optional; starts no thread."""

    def forkable(self, target: Target) -> bool:
        """Say whether trials on `target` may be forks of a process that has imported this runtime.

        It may once `preload` has started no thread and opened no device. Optional: a runtime without this method
        is not forked.
        """

    def precisions(self, target: Target) -> Sequence[str]:
        """Return the precisions of variants that run in the target's precision, the best first.

        It casts as it loads. Optional: a runtime without this method loads the target's own precision only.
        """

    def facts(self, target: Target) -> Mapping[str, Fact]:
        """Return the facts of the target's device that matter to the numbers. Optional."""

    def versions(self) -> dict[str, str]:
        """Return name → version of the libraries that matter to the numbers."""

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> Session:
        """Load `variant` with at most `threads` compute threads; raises ModelError where it cannot be loaded or called.

        `seed` and `sequence` (the running number of the trial) are for scripted runtimes.
        """


class ModelError(Exception):
    """The model itself is wrong: corrupt, wrong input, unsupported operator."""


class NotPossible(ModelError):
    """Nothing is wrong, but the model cannot be had in the form that the target runs: the cell is skipped."""


class InputError(Exception):
    """No inputs were found that the model runs with, or those described do not fit it."""


class OutputError(Exception):
    """The model answers with something that cannot be used."""


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory could not be allocated, whatever its type."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def model_errors(what: str, text: Callable[[Exception], str] = str) -> Iterator[None]:
    """Turn any error of a library into a ModelError `what: text(error)`; lack of memory is a MemoryError.

    Libraries raise unrelated types, for a damaged file nearly any.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise ModelError(f"{what}: {text(error)}") from error


def load_runtime(name: str) -> Runtime:
    """Import and make the runtime called `name`; errors as in `plugins.load`."""
    runtime: Runtime = plugins.load("runtimes", name)()
    return runtime


def preload(runtime: Runtime) -> None:
    """Import all that loading with a runtime needs, as far as the runtime tells."""
    getattr(runtime, "preload", runtime.versions)()


def wrong_option(options: Mapping[str, Fact], known: Mapping[str, type]) -> str | None:
    """Say which option is unknown or of the wrong type; None when all are right.

    Numbers of threads are 1 at least: to libraries 0 means all cores, whatever the target grants.
    """
    for key, value in options.items():
        if key not in known:
            return f"{key}: unknown key ({nearest(key, list(known))})"
        if type(value) is not known[key]:
            return f"{key}: expected {known[key].__name__}, got {type(value).__name__}"
        if key.endswith("_threads") and isinstance(value, int) and value < 1:
            return f"{key}: must be 1 at least, not {value}"
    return None


def local_path(variant: Variant) -> Path:
    """Return the variant's file; raises ModelError where there is none."""
    if variant.path is None or not Path(variant.path).is_file():
        raise ModelError(f"model file not found: {variant.path}")
    return Path(variant.path)


def refuse_pickle(variant: Variant) -> Path:
    """Return the variant's file, which is a pickle; raises ModelError where the suite does not trust it."""
    path = local_path(variant)
    if not variant.trust_pickle:
        raise ModelError(f"{path.name} is a pickle and is refused; write trust_pickle = true if you made it")
    return path


def main_output(outputs: Sequence[Array], names: Sequence[str], wanted: str | None) -> Array:
    """Return the output that is evaluated: the named one, else the first of floats, else the first.

    Raises OutputError where no output has the wanted name.
    """
    if wanted is not None:
        if wanted not in names:
            raise OutputError(f"the model has no output '{wanted}'; it has {', '.join(names) or 'unnamed ones'}")
        return outputs[list(names).index(wanted)]
    return next((o for o in outputs if isinstance(o, np.ndarray) and o.dtype.kind == "f"), outputs[0])


def call(builder: str, import_from: str | None) -> Any:
    """Import `module:function`, also from the folder `import_from`, and call it.

    Raises ModelError, which names the builder, if it is absent or fails.
    """
    if import_from is not None and import_from not in sys.path:
        sys.path.append(import_from)
    module_name, _, function_name = builder.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        where = "" if import_from is None else f" (it is looked for in {import_from} too)"
        raise ModelError(f"builder '{builder}' cannot be imported: {error}{where}") from error
    function = getattr(module, function_name, None)
    if function is None:
        mend = nearest(function_name, [name for name, value in vars(module).items() if callable(value)])
        raise ModelError(f"builder '{builder}': the module has no function '{function_name}' ({mend})")
    with model_errors(f"builder '{builder}' failed", lambda error: f"{type(error).__name__}: {first_line(error)}"):
        return function()


def build(variant: Variant) -> Any:
    """Build what a variant's builder makes."""
    if variant.builder is None:
        raise ModelError("this format needs a builder")
    return call(variant.builder, variant.import_from)
