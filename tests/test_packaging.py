"""The wheel: one import package, with its data, that works from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("harness", "targets", "suites", "pyproject.toml", "README.md", "LICENSE")


def run(*command: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of this tree: building in place would pick up a stale `build/`."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    made = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source))
    assert made.returncode == 0, made.stdout + made.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if not name.endswith("/")}


def test_the_wheel_is_one_package_and_its_metadata(names):
    tops = {name.split("/")[0] for name in names}
    assert "harness" in tops
    (metadata,) = tops - {"harness"}
    assert metadata.startswith("harness_bench-") and metadata.endswith(".dist-info")
    assert any(name.startswith(f"{metadata}/licenses/") for name in names)


def test_every_module_is_in_the_wheel(names):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "harness").rglob("*.py")}
    assert modules <= names, "packages in pyproject.toml leave something out"
    assert "harness/py.typed" in names
    assert {"harness/report/page/page.css", "harness/report/page/page.js"} <= names


@pytest.mark.parametrize(
    ("folder", "patterns"), [("targets", ["*.toml"]), ("suites", ["*.toml"]), ("suites/digits", ["*.*"])]
)
def test_targets_suites_and_artefacts_are_in_the_wheel(names, folder, patterns):
    files = {path for pattern in patterns for path in (ROOT / folder).glob(pattern) if path.is_file()}
    assert files
    assert {f"harness/{path.relative_to(ROOT)}" for path in files} <= names


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    made = run(*pip, "--target", str(folder), str(wheel))
    assert made.returncode == 0, made.stderr
    return folder


def python(installed: Path, cwd: Path, program: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"}
    return run(sys.executable, "-P", "-c", program, cwd=cwd, env=env)


COMMAND = "import sys; sys.argv = ['harness', {!r}]; from harness.cli.app import main; main()"


@pytest.mark.parametrize(("command", "said"), [("suites", ["digits", "quick"]), ("--help", ["Usage", "rank"])])
def test_what_is_installed_works_from_another_folder(installed, tmp_path, command, said):
    finished = python(installed, tmp_path, COMMAND.format(command))
    assert finished.returncode == 0, finished.stderr
    assert all(word in finished.stdout for word in said)
    assert "Error" not in finished.stdout


def test_what_is_installed_is_what_runs_and_reads_its_own_data(installed, tmp_path):
    program = (
        "import harness; from harness.spec.find import known, load_suite, load_targets; "
        "suite, path = load_suite('digits'); load_targets(suite.targets, 't', path.parent); "
        "print(harness.__file__, path, *known('targets').values(), sep='\\n')"
    )
    finished = python(installed, tmp_path, program)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.split()
    assert len(lines) > 3
    assert all(Path(line).is_relative_to(installed) for line in lines)


@pytest.mark.parametrize("module", ["targets", "suites"])
@pytest.mark.parametrize("where", ["wheel", "editable"])
def test_data_folders_are_no_top_level_packages(installed, tmp_path, module, where):
    if where == "wheel":
        finished = python(installed, tmp_path, f"import {module}")
    else:
        finished = run(sys.executable, "-P", "-c", f"import {module}", cwd=tmp_path)
    assert finished.returncode == 1
    assert f"ModuleNotFoundError: No module named '{module}'" in finished.stderr
    assert python(installed, tmp_path, f"import harness.{module}").returncode == 0


def test_the_installed_command_is_there(installed):
    script = installed / "bin" / "harness"
    assert "harness.cli" in script.read_text()
