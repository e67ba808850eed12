"""What the harness itself adds to the start of an instance: it is marked, so that it can be left out of the start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np  # no part of what is left out: every runtime needs it

if TYPE_CHECKING:
    from harness.worker.instance import Instance

WITH_NUMPY = np.__version__


def load() -> Instance:
    """Import the harness's part of an instance, which nobody deploys, and have it load the model."""
    begin_ns = time.perf_counter_ns()
    from harness.worker.instance import load as load_marked

    return load_marked(begin_ns)
