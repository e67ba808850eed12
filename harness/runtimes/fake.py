"""Scripted latencies, failures and memory, for tests and for the selftest. The script is a `.fake.toml`.

The model takes `x` [batch, 1], whose value is the class it ought to predict, and returns one-hot scores.
With `clock = "virtual"` time is a number that inference adds to, so that a trial of seconds takes none.
"""

import ctypes
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import count, repeat
from typing import Literal

import msgspec
import numpy as np

from harness.errors import SpecError
from harness.runtimes.base import Feed, ModelError, Tensor, local_path
from harness.spec import toml
from harness.spec.arrays import Array
from harness.spec.target import Target
from harness.spec.variant import Variant

_DRAWS = 4096
_WARM_BY_CALL = 150


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the fake behaves: `latency_ms` is the median; spreads are standard deviations of its logarithm.

    `process_spread` is drawn once a process; `drift_amplitude` is a host's slow swing over
    `drift_period` trials, the same for every candidate; `warm_up` inferences take `warm_up_factor` times;
    each inference takes `creep` (a fraction) longer than the one before, so that it is never steady.
    one call, number `stall_at` (0: none), takes `stall_ms` longer.
    `fail_at` says when it fails, once: at its first inference, at the 151st ("measure": a steady model is
    warm by then), at the first with more than one row ("predict"). From there on "nan" gives nothing else.
    "grandchild" hangs with a process of its own beside it, whose id it prints.
    """

    latency_ms: float = 1.0
    sigma: float = 0.0
    seed: int = 0
    process_spread: float = 0.0
    drift_amplitude: float = 0.0
    drift_period: float = 40.0
    warm_up: int = 0
    warm_up_factor: float = 3.0
    creep: float = 0.0
    stall_at: int = 0
    stall_ms: float = 0.0
    clock: Literal["virtual", "real"] = "virtual"
    memory_mib: int = 0
    classes: int = 10
    accuracy: float = 1.0
    fail_at: Literal["never", "load", "first", "measure", "predict"] = "never"
    fail_how: Literal["segfault", "hang", "grandchild", "exit0", "allocate", "flood", "raise", "nan"] = "raise"


class FakeSession:
    """A scripted model. Its clock is real, or a counter that `infer` moves."""

    outputs = ("scores",)

    def __init__(self, script: Script, factor: float, rng: np.random.Generator) -> None:
        self.inputs = (Tensor("x", np.dtype("float32"), ("batch", 1)),)
        self.infer: Callable[[Feed], Sequence[Array]] = self._call
        self.clock: Callable[[], int] = time.perf_counter_ns if script.clock == "real" else lambda: self._now
        if script.clock == "virtual":
            self.wait = self._wait
        self.scope = nullcontext
        self._script, self._took = script, _latencies(script, factor, rng)
        self._calls, self._now, self._failed = 0, 0, False
        self._held = np.ones(script.memory_mib << 20, dtype=np.uint8)

    def _call(self, feed: Feed) -> Sequence[Array]:
        script = self._script
        self._calls += 1
        if not self._failed and self._due(len(feed["x"])):
            self._failed = True
            misbehave(script.fail_how)
        took = next(self._took)
        if self._calls <= script.warm_up:
            took = round(took * script.warm_up_factor)
        if script.creep:
            took = round(took * (1.0 + script.creep) ** self._calls)
        if self._calls == script.stall_at:
            took += round(script.stall_ms * 1e6)
        self._now += took
        if script.clock == "real":
            time.sleep(took / 1e9)
        return [self._scores(feed["x"])]

    def _wait(self, at: int) -> int:
        """Let the virtual clock go on to `at`."""
        self._now = max(self._now, at)
        return self._now

    def _due(self, rows: int) -> bool:
        """Whether the scripted failure begins with this call."""
        begins = {"first": True, "measure": self._calls > _WARM_BY_CALL, "predict": rows > 1}
        return begins.get(self._script.fail_at, False)

    def _scores(self, x: Array) -> Array:
        script = self._script
        if self._failed and script.fail_how == "nan":
            return np.full((len(x), script.classes), np.nan, dtype=np.float32)
        truth = x[:, 0].astype(np.int64)
        wrong = (truth * 7919 + np.arange(len(x)) * 104729) % 1000 >= round(script.accuracy * 1000)
        scores = np.zeros((len(x), script.classes), dtype=np.float32)
        scores[np.arange(len(x)), (truth + wrong) % script.classes] = 1
        return scores


class FakeRuntime:
    """Loads `.fake.toml` scripts. It has no options."""

    formats = ("fake",)
    options: Mapping[str, type] = {}

    def unavailable(self, target: Target) -> str | None:
        """Return None: a fake runs anywhere."""
        return None

    def forkable(self, target: Target) -> bool:
        """Return True: there is nothing in a fake that a fork would not have."""
        return True

    def versions(self) -> dict[str, str]:
        """Return numpy's version."""
        return {"numpy": np.__version__}

    def load(self, variant: Variant, target: Target, threads: int, seed: int, sequence: int) -> FakeSession:
        """Read the script and draw this process's latencies from the run's seed and the trial's number."""
        try:
            script = toml.read(local_path(variant), Script)
        except SpecError as error:
            raise ModelError(str(error)) from error
        if script.fail_at == "load":
            misbehave(script.fail_how)
        rng = np.random.default_rng([seed, sequence, script.seed])
        swing = script.drift_amplitude * math.sin(2 * math.pi * sequence / script.drift_period)
        factor = math.exp(swing + script.process_spread * rng.standard_normal())
        return FakeSession(script, factor, rng)


def _latencies(script: Script, factor: float, rng: np.random.Generator) -> Iterator[int]:
    """Yield latencies (ns) without end, always new ones: a cycle would have its own tail, not the script's."""
    while True:
        draws = np.exp(script.sigma * rng.standard_normal(_DRAWS))
        yield from np.rint(script.latency_ms * 1e6 * factor * draws).astype(np.int64).tolist()


def misbehave(how: str) -> None:
    """Fail for real, in the scripted way."""
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "grandchild":
        print(f"grandchild {subprocess.Popen(['sleep', '3600']).pid}", flush=True)  # noqa: T201 - to worker.log
    elif how == "exit0":
        os._exit(0)
    elif how == "allocate":
        list(np.ones(16 << 20, dtype=np.uint8) for _ in count())
    elif how == "flood":
        sys.stdout.writelines(repeat("x" * 1023 + "\n", 64 << 10))
        sys.stdout.flush()
    elif how == "raise":
        raise RuntimeError("scripted failure")
    while how in ("hang", "grandchild"):
        time.sleep(3600)
