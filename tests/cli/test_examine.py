"""What `harness doctor` finds of the CPU's instructions."""

from __future__ import annotations

import pytest

from harness.cli import examine
from harness.launch.environment import host_facts


@pytest.mark.parametrize(
    ("told", "found", "grade"),
    [
        ("avx2 avx512_vnni", "avx2, avx512_vnni", "good"),
        ("avx2", "avx2; no int8 dot product", "note"),
        ("", "none of note; no int8 dot product", "note"),
        (None, "/proc/cpuinfo does not tell them", "unavailable"),
    ],
)
def test_instructions_are_graded_by_what_int8_gets_of_them(monkeypatch, told, found, grade):
    facts = {**host_facts(), "instructions": told}
    monkeypatch.setattr(examine, "host_facts", lambda: facts)
    (finding,) = (each for each in examine._host() if each.name == "instructions")
    assert (finding.found, finding.grade) == (found, grade)
