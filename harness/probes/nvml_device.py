"""Which GPU a target means, in NVML's words; NVML's errors and bits in plain words. Needs no NVML."""

import re

THROTTLING = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
}
"""Clock event reasons (nvmlClocksEventReasons) that make a GPU slower than it could be; idle and set clocks do not."""
COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
_DEVICE = re.compile(r"cuda(:(?P<number>\d+))?")
_REASONS = {
    9: "the NVIDIA driver is not loaded",
    12: "there is no NVIDIA driver library (libnvidia-ml.so.1) here",
    18: "the NVIDIA driver and its library are of different versions (restart the machine, or match them)",
}


def reason(code: int, text: str) -> str:
    """Say what an NVML error means for whoever wants to measure; `text` is NVML's own word for others."""
    return _REASONS.get(code, f"NVML says: {text}")


def chosen(device: str, visible: str | None) -> int | str:
    """Return the GPU that a target's device means: NVML's index, or a UUID (perhaps only its beginning).

    `visible` is CUDA_VISIBLE_DEVICES. CUDA counts devices in the order of that list; without it, all devices are taken
    to be in NVML's order, that of the bus. Raises LookupError, which says why, where there is no such device.
    """
    found = _DEVICE.fullmatch(device)
    if found is None:
        raise LookupError(f"the target's device is '{device}', not a CUDA device")
    number = int(found["number"] or 0)
    if visible is None:
        return number
    listed = _listed(visible)
    if number >= len(listed):
        raise LookupError(f"CUDA_VISIBLE_DEVICES='{visible}' shows {len(listed)} devices, '{device}' is not among them")
    return int(listed[number]) if listed[number].isdigit() else listed[number]


def _listed(visible: str) -> list[str]:
    """Return the devices that the variable shows: those before the first that is none (CUDA programming guide)."""
    listed = []
    for name in (each.strip() for each in visible.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
            break
        listed.append(name)
    return listed


def throttling(bits: int) -> list[str]:
    """Return the reasons in a mask that make a GPU slower than it could be."""
    return [name for bit, name in THROTTLING.items() if bits & bit]
