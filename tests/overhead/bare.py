"""`bare.py RUNTIME MODEL ROWS THREADS CPU TURNS STRETCH_S READ WRITE OUT`: time inferences as one would by hand.

A process of its own, with nothing of the harness in it. It gets its turns as the harness's processes do, by a byte on
a pipe; in each of its TURNS it calls the model one after another for STRETCH_S seconds. OUT (.npy) gets the median of
each turn (ns).
"""

import os
import sys
import time
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np


def onnx_call(model: str, threads: int) -> tuple[Any, Any]:
    """Load an ONNX model; returns what calls it, and the context to call it in."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return (lambda feed: session.run(names, feed)), nullcontext()


def torch_call(model: str, threads: int) -> tuple[Any, Any]:
    """Load an exported program; returns what calls it, and the context to call it in."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    module = torch.export.load(model).module()
    return (lambda feed: [module(*map(torch.from_numpy, feed.values())).numpy()]), torch.inference_mode()


def stretch(call: Any, feeds: Any, seconds: float) -> list[int]:
    """Call the model until the time is over; returns what each call took (ns)."""
    samples, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        feed = next(feeds)
        begin = time.perf_counter_ns()
        call(feed)
        samples.append(time.perf_counter_ns() - begin)
    return samples


def main() -> None:
    """Load the model, take turns, and write what they showed."""
    runtime, model, rows, threads, cpu, turns, seconds, read, write, out = sys.argv[1:]
    if cpu != "any":
        os.sched_setaffinity(0, {int(cpu)})
    call, scope = (onnx_call if runtime == "onnxruntime" else torch_call)(model, int(threads))
    arrays = {path.stem: np.load(path) for path in sorted(Path(rows).glob("*.npy"))}
    count = min(map(len, arrays.values()))
    feeds = cycle([{name: array[row : row + 1] for name, array in arrays.items()} for row in range(count)])
    medians = []
    for _ in range(int(turns)):
        os.write(int(write), b"t")
        os.read(int(read), 1)
        with scope:
            medians.append(np.median(stretch(call, feeds, float(seconds))))
    os.write(int(write), b"d")
    os.read(int(read), 1)
    np.save(out, medians)


if __name__ == "__main__":
    main()
