"""A CUDA device as PyTorch sees it: what a target lacks here, and the facts that matter to the numbers."""

import importlib.util
import shutil

from harness.runtimes.base import first_line
from harness.spec.outcome import Fact
from harness.spec.target import Target

_LEAST_CAPABILITY = {"bf16": (8, 0), "tf32": (8, 0), "fp16": (5, 3)}


def unavailable(target: Target) -> str | None:
    """Say what a CUDA target lacks here: a CUDA build, a driver, the device, the precision on it, a compiler."""
    import torch

    if torch.version.cuda is None:
        return f"this torch ({torch.__version__}) is built without CUDA: install a CUDA build of torch"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # no driver, one that is too old, no device
        return f"CUDA cannot be used here: {first_line(error)}"
    device = torch.device(target.device)
    if (device.index or 0) >= torch.cuda.device_count():
        return f"there is no device '{target.device}': {torch.cuda.device_count()} can be seen here"
    found, least = torch.cuda.get_device_capability(device), _LEAST_CAPABILITY.get(target.precision, (0, 0))
    if found < least:
        name = torch.cuda.get_device_name(device)
        return f"precision '{target.precision}' needs compute capability {least[0]}.{least[1]}; {name} has {found}"
    return _compiler_lacks() if target.options.get("mode") == "compile" else None


def _compiler_lacks() -> str | None:
    """Say what Inductor lacks to make kernels; None when it has all."""
    if importlib.util.find_spec("triton") is None:
        return 'mode = "compile" needs triton: pip install triton'
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return 'mode = "compile" needs a C compiler (gcc or clang) on the PATH'
    return None


def facts(device: str) -> dict[str, Fact]:
    """Return name, UUID, compute capability, memory and L2 cache of a device, and the version of CUDA."""
    import torch

    found = torch.cuda.get_device_properties(torch.device(device))
    return {
        "device_name": found.name,
        "device_uuid": f"GPU-{found.uuid}",
        "device_capability": f"{found.major}.{found.minor}",
        "device_total_bytes": found.total_memory,
        "device_l2_bytes": found.L2_cache_size,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
