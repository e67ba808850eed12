"""The instructions of a CPU, read off texts like `/proc/cpuinfo`."""

from __future__ import annotations

import pytest

from harness.launch.environment import host_facts
from harness.launch.instructions import among

X86 = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu avx avx2 avx512f amx_int8 avx512_vnni amx_tile\nbugs\t\t:\n"
ARM = "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd asimddp sve i8mm bf16\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (X86, "avx2 avx512f avx512_vnni amx_int8"),
        (ARM, "asimddp i8mm sve"),
        (X86 + "\nprocessor\t: 1\nflags\t\t: fpu\n", "avx2 avx512f avx512_vnni amx_int8"),
        ("flags\t\t: fpu sse2 xavx2 avx2x\n", ""),
        ("processor\t: 0\n", None),
        ("", None),
    ],
)
def test_those_that_matter_in_the_first_cpus_line(text, found):
    assert among(text) == found


def test_they_are_a_fact_of_the_host():
    assert "instructions" in host_facts()
