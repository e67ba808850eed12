"""Which instructions of this host's CPUs matter to models in low precision."""

from harness.probes.base import read_text

_INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16"),
    *("asimddp", "i8mm", "sve"),
)
DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Those that multiply int8 numbers and add the products up in 32 bits, at once and exactly."""


def instructions() -> str | None:
    """Return those that the first CPU has, as `/proc/cpuinfo` calls them, with spaces between; None if it says none."""
    return among(read_text("/proc/cpuinfo"))


def among(cpuinfo: str) -> str | None:
    """Return the instructions in a text like `/proc/cpuinfo`: in the line `flags` of x86, or `Features` of ARM."""
    for line in cpuinfo.splitlines():
        word, _, rest = line.partition(":")
        if word.strip() in ("flags", "Features"):
            return " ".join(name for name in _INSTRUCTIONS if name in rest.split())
    return None
