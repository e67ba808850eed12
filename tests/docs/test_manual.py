"""The manual: its generated pages say what the code says, and it builds strictly, without anything from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from harness.cli.app import app
from harness.spec import plugins
from harness.spec.diagnostics import CODES
from harness.spec.metrics import metric_names

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/pages").rglob("*.md"))


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("manual_generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def test_every_metric_code_command_and_target_is_in_the_reference(generated: dict[str, str]):
    assert set(metric_names()) <= set(re.findall(r"^\| `([\w.]+)` \|", generated["reference/metrics.md"], re.M))
    assert list(CODES) == re.findall(r"^\| `(\w+)` \|", generated["reference/diagnostics.md"], re.M)
    commands = typer.main.get_command(app).commands
    assert list(commands) == re.findall(r"^## `harness ([\w-]+)`", generated["reference/commands.md"], re.M)
    targets = {path.stem for path in (ROOT / "targets").glob("*.toml")}
    assert targets <= set(re.findall(r"^\| `([\w.-]+)` \|", generated["targets/all.md"], re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_that_a_page_names_exist(page: Path):
    commands = typer.main.get_command(app).commands
    for line in re.findall(r"harness ((?:[a-z]+)(?: [^\n`#]*)?)", page.read_text()):
        words = line.split()
        if words[0] not in commands:
            assert not line.startswith(("run ", "rank ", "show ")), line
            continue
        known = {option for parameter in commands[words[0]].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line


def test_the_formats_that_the_manual_lists_are_those_that_are_registered():
    text = (ROOT / "docs/pages/export.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \|", text, re.M)
    assert sorted(name for row in rows for name in re.findall(r"`([\w-]+)`", row)) == sorted(plugins.names("exporters"))


def test_the_manual_builds_strictly_and_fetches_nothing(tmp_path: Path):
    pytest.importorskip("material", reason="the extra docs is not installed: make docs installs it")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", "mkdocs.yml", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT / "docs", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference/metrics/index.html").is_file()
    for path in tmp_path.rglob("*.html"):
        assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?https?:", path.read_text()), path
