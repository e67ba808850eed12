"""`harness report` and `harness release` as commands, on whole and on broken run folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import EvidenceError, HarnessError, SpecError
from harness.pipeline.conclude import conclude

from ..report.made import many


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results root with one ranked run of four rows."""
    root = tmp_path_factory.mktemp("results")
    conclude(many(root / "20260801T000000Z-by-hand-aaaaaa", rows=4, trials=3, requests=200))
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "results"))


def harness(*words: object) -> str:
    """Run a command in this process; returns what it printed, and raises the errors that a user can mend."""
    done = CliRunner().invoke(app, [*map(str, words)])
    if isinstance(done.exception, HarnessError):
        raise done.exception
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def only(root: Path) -> Path:
    (run,) = root.glob("*-by-hand-*")
    return run


def test_report_writes_both_files_and_says_where(root):
    said = harness("report", "latest", "--out", root)
    assert "report.html and report.md" in said
    assert (only(root) / "report.html").read_text().startswith("<!doctype html>")
    assert (only(root) / "report.md").read_text().startswith("# by-hand")


def test_open_opens_the_page(root, monkeypatch):
    seen = []
    monkeypatch.setattr("webbrowser.open", lambda url: seen.append(url) or True)
    harness("report", only(root), "--open")
    assert seen == [(only(root) / "report.html").as_uri()]


def test_a_page_that_is_there_follows_a_new_ranking(root, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[policy.objectives]\naccuracy = { weight = 1, target = 1.0, limit = 0.1 }\n")
    harness("rank", only(root), "--policy", policy)
    assert not (only(root) / "report.html").exists(), "a page costs seconds, so it is made when it is asked for"
    harness("report", only(root))
    before = (only(root) / "report.html").read_text()
    harness("rank", only(root))
    after = (only(root) / "report.html").read_text()
    assert "objective: accuracy, weight 1" in before and "weight 3" in after


def edited(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda run: (run / "ranking.json").unlink(), "not ranked yet"),
        (lambda run: (run / "ranking.json").write_text('{"rows": 3'), r"ranking\.json: cannot be read"),
        (lambda run: (run / "policy.json").unlink(), r"policy\.json: cannot be read"),
        (lambda run: (run / "run.json").write_bytes(b"\x00\xff"), r"run\.json: cannot be read"),
        (lambda run: (run / "prepare.json").write_text("[]"), r"prepare\.json: cannot be read"),
        (lambda run: edited(run / "ranking.json", rows=[{"candidate": "x"}]), r"ranking\.json: cannot be read"),
        (lambda run: edited(run / "run.json", schema="harness/run/99"), r"run\.json: was written by a newer version"),
        (lambda run: edited(run / "ranking.json", schema="harness/ranking/99"), "written by a newer version"),
    ],
)
def test_a_half_copied_or_edited_run_is_named(root, harm, named):
    harm(only(root))
    with pytest.raises(EvidenceError, match=named):
        harness("report", only(root))


def test_rows_that_the_run_does_not_have_are_named(root):
    path = only(root) / "ranking.json"
    ranking = msgspec.json.decode(path.read_bytes())
    ranking["rows"][0]["candidate"] = "another"
    path.write_bytes(msgspec.json.encode(ranking))
    with pytest.raises(EvidenceError, match=r"rows that the run does not have: another@box .*harness rank"):
        harness("report", only(root))


@pytest.mark.parametrize("name", ["events.jsonl", "telemetry.csv", "outcome.json", "predictions.npy"])
def test_files_of_trials_that_are_gone_or_garbled_do_not_stop_a_report(root, name):
    for number, path in enumerate(sorted(only(root).glob(f"cells/*/*/{name}"))):
        path.unlink() if number % 2 else path.write_bytes(b"\xff\x00 nothing of use\n")
    harness("report", only(root))


def test_no_such_run_is_an_error(root):
    with pytest.raises(SpecError, match="no run called 'nothing'"):
        harness("report", "nothing", "--out", root)


def test_help_imports_no_plotting():
    told = "import sys; from harness.cli import app; sys.exit('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


def released(root: Path, version: str) -> Path:
    return root / "release" / version


def test_a_release_holds_everything_and_its_checksums(root):
    said = harness("release", "by-hand", "--version", "1.0", "--out", root)
    folder = released(root, "1.0")
    assert "no release before" in said
    names = {path.name for path in folder.iterdir()}
    files = {"index.html", "release.md", "release.csv", "release.json", "provenance.json", "SHA256SUMS"}
    assert names == files | {"by-hand"}
    assert {"report.html", "report.md", "run.json", "ranking.json", "cells"} <= {
        p.name for p in (folder / "by-hand").iterdir()
    }
    told = json.loads((folder / "provenance.json").read_text())["suites"][0]
    assert told["command"].startswith("harness run") and len(told["variants"]) == 3
    if shutil.which("sha256sum"):
        checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
        assert checked.returncode == 0


def test_the_next_release_is_compared_with_the_last_one(root):
    harness("release", "by-hand", "--version", "1.9", "--out", root)
    harness("release", "by-hand", "--version", "1.10", "--out", root)
    record = json.loads((released(root, "1.10") / "release.json").read_text())
    assert record["baseline"] == "1.9" and record["suites"][0]["regressions"] == 0
    assert "compared with 1.9" in (released(root, "1.10") / "release.md").read_text()
    said = harness("release", "by-hand", "--version", "1.11", "--baseline", "none", "--out", root)
    assert "not compared" in said


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["by-hand", "--version", "../x"], "is no version"),
        (["by-hand", "--baseline", "0.3"], "no release '0.3'"),
        (["nothing"], "no run called 'nothing'"),
        (["by-hand", "latest"], "has two runs"),
    ],
)
def test_a_release_that_cannot_be_leaves_nothing(root, words, named):
    with pytest.raises(SpecError, match=named):
        harness("release", *words, "--out", root)
    assert not list(root.glob("release/*"))


def test_a_release_is_never_overwritten(root):
    harness("release", "by-hand", "--version", "1.0", "--out", root)
    before = (released(root, "1.0") / "SHA256SUMS").read_bytes()
    with pytest.raises(SpecError, match="is released already"):
        harness("release", "by-hand", "--version", "1.0", "--out", root)
    assert (released(root, "1.0") / "SHA256SUMS").read_bytes() == before


def test_a_damaged_release_before_is_named_and_does_not_stop_the_next(root):
    harness("release", "by-hand", "--version", "1.0", "--out", root)
    (released(root, "1.0") / "by-hand" / "run.json").write_text("{")
    said = harness("release", "by-hand", "--version", "1.1", "--out", root)
    assert "not compared" in said and "run.json" in said
