"""The catalogue of diagnostics is documented, and every code that is used is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.spec.diagnostics import CODES, diagnostic

ROOT = Path(__file__).parents[2]


def test_results_readme_documents_every_code():
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", text, re.M)
    assert documented == [(name, code.severity, code.meaning) for name, code in CODES.items()]


def test_every_code_is_used_and_every_used_code_is_known():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "harness").rglob("*.py")]
    used = {code for text in texts for code in re.findall(r"diagnostic\(\s*\"(\w+)\"", text)}
    assert used <= set(CODES)
    quoted = "\n".join(text for text in texts if "CODES: dict" not in text)
    assert not [code for code in CODES if f'"{code}"' not in quoted]


def test_severity_comes_from_the_catalogue():
    assert diagnostic("not_steady", "some", "a@b", affected=3).severity == "warning"
    with pytest.raises(KeyError):
        diagnostic("no_such_code", "text")
