"""Every suite: it parses, the package holds its files, its pins are those on record."""

import importlib.resources
import json
import tomllib
from pathlib import Path

import pytest

from harness.spec.find import load_suite, load_targets

FOLDER = Path(str(importlib.resources.files("harness.suites")))
ROOT = FOLDER.parent
SUITES = sorted(FOLDER.glob("*.toml"))
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def packaged(path):
    """Whether the wheel holds a file of `suites/`: its folder is a package, and a pattern or its suffix takes it."""
    names = {Path(folder): name for name, folder in SETUPTOOLS["package-dir"].items()}
    name = names.get(path.parent.relative_to(ROOT), "")
    patterns = ["*.py", *SETUPTOOLS["package-data"].get(name, [])]
    return name in SETUPTOOLS["packages"] and any(path.match(pattern) for pattern in patterns)


def test_the_suites_are_those_described():
    wanted = ["capacity", "digits", "edge", "quick", "ranker", "server", "sizes", "vision"]
    assert [path.stem for path in SUITES] == wanted


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_suite_parses_and_its_targets_exist(path):
    suite, where = load_suite(path.stem)
    assert where == path
    assert [target.name for target in load_targets(suite.targets, str(path), path.parent)] == list(suite.targets)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_what_a_suite_names_is_in_the_package(path):
    suite, _ = load_suite(path.stem)
    builders = [suite.dataset.builder, *(candidate.builder for candidate in suite.candidate)]
    modules = [name.partition(":")[0].removeprefix("harness.suites.").replace(".", "/") for name in builders if name]
    files = [path, *(FOLDER / candidate.path for candidate in suite.candidate if candidate.path)]
    files += [FOLDER / f"{module}.py" for module in modules]
    assert len(files) > len(suite.candidate)
    assert not [file for file in files if not file.is_file() or not packaged(file)]


def test_every_file_under_suites_is_in_the_package():
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 10
    assert not [file for file in files if not packaged(file)]


@pytest.mark.parametrize("name", ["digits", "quick", "server"])
def test_pins_are_the_recorded_digests(name):
    record = json.loads((FOLDER / "digits" / "artefacts.json").read_text())
    recorded = {f"digits/{entry['file']}": entry["sha256"] for entry in record["artefacts"]}
    suite, _ = load_suite(name)
    assert suite.candidate
    assert {candidate.path: candidate.sha256 for candidate in suite.candidate}.items() <= recorded.items()


def test_the_default_suite_has_every_candidate_on_record():
    record = json.loads((FOLDER / "digits" / "artefacts.json").read_text())
    suite, _ = load_suite("digits")
    assert [candidate.name for candidate in suite.candidate] == [entry["name"] for entry in record["artefacts"]]
