"""What is imported before a process is forked starts no thread."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from harness.runtimes.base import load_runtime, preload
runtime = load_runtime(sys.argv[1])
preload(runtime)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize(
    ("name", "package"), [("openvino", "openvino"), ("executorch", "executorch"), ("litert", "ai_edge_litert")]
)
def test_preloading_starts_no_thread(name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{name} is not installed")
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # numpy's own threads know of forks
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"
