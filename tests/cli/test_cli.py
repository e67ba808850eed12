"""The command line as a user meets it: exit codes, one message for each mistake; some commands as real processes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from harness.cli.app import main

MAIN = "import sys; sys.argv[0] = 'harness'; from harness.cli.app import main; main()"
TARGET = 'description = "scripted"\nruntime = "fake"\n'
SUITE = """
description = "two fakes and one that cannot be loaded"
targets = ["box.toml"]
budget = { seconds = 60, trials = 2, max_trials = 2, race = "off" }

[[candidate]]
name = "fast"
path = "fast.fake.toml"

[[candidate]]
name = "slow"
path = "slow.fake.toml"

[[candidate]]
name = "broken"
path = "broken.fake.toml"

[[scenario]]
name = "interactive"
kind = "single_stream"
seconds = 0.2
max_samples = 500

[policy.objectives]
latency_p50_ms = { weight = 1, target = 0.1, limit = 100 }
"""


def started(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-c", MAIN, *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "240", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command by the program's own `main`, in this process: it has imported already what a new one would."""
    out, err = io.StringIO(), io.StringIO()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setenv("COLUMNS", "240")
        patch.setattr(sys, "argv", ["harness", *arguments])
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def write_fakes(folder: Path) -> Path:
    (folder / "box.toml").write_text(TARGET)
    (folder / "fast.fake.toml").write_text("latency_ms = 1.0\nsigma = 0.05\n")
    (folder / "slow.fake.toml").write_text("latency_ms = 3.0\nsigma = 0.05\n")
    (folder / "broken.fake.toml").write_text('fail_at = "load"\n')
    (folder / "mine.toml").write_text(SUITE)
    return folder


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    return write_fakes(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which `mine.toml` was run with --strict, and what that said."""
    folder = write_fakes(tmp_path_factory.mktemp("done"))
    return folder, started(folder, "run", "mine.toml", "--strict", "--seed", "7")


@pytest.fixture
def ran(done, tmp_path):
    """A copy of that folder, to do more with."""
    return shutil.copytree(done[0], tmp_path / "ran")


def ranking(folder: Path) -> dict:
    (run,) = (folder / "results").iterdir()
    return json.loads((run / "ranking.json").read_text())


def test_a_failed_cell_is_a_row_of_its_own_and_exit_5_if_strict(done):
    folder, finished = done
    assert finished.returncode == 5, finished.stderr
    assert [(row["candidate"], row["status"]) for row in ranking(folder)["rows"]] == [
        ("fast", "measured"),
        ("slow", "measured"),
        ("broken", "failed"),
    ]
    for name in ("fast", "slow", "failed: load_error", "scripted failure"):
        assert name in finished.stdout
    (run,) = (folder / "results").iterdir()
    assert {"run.json", "prepare.json", "ranking.csv", "report.md", "measurements.parquet"} <= {
        path.name for path in run.iterdir()
    }
    assert json.loads((run / "run.json").read_text())["seed"] == 7


def messages(made):
    """Return the messages of a ranking's notes."""
    return [note["message"] for note in made["notes"]]


def test_ranking_again_measures_nothing_and_exits_0(ran):
    before = sorted((ran / "results").rglob("*.npy"))
    finished = started(ran, "rank")
    assert finished.returncode == 0, finished.stderr
    assert "fast" in finished.stdout
    assert sorted((ran / "results").rglob("*.npy")) == before


def test_another_policy_that_nobody_keeps_exits_3(ran):
    (ran / "strict.toml").write_text(
        "[policy]\nlimits = { latency_p50_ms = { max = 0.01 } }\n"
        "objectives = { latency_p50_ms = { weight = 1, target = 0.1, limit = 100 } }\n"
    )
    finished = started(ran, "rank", "latest", "--policy", "strict.toml")
    assert finished.returncode == 3, finished.stderr
    assert "exceeds 0.01 ms" in finished.stdout
    again = harness(ran, "rank")
    assert again.returncode == 0, "the run's own policy is not changed by ranking with another"


def test_show_tells_the_table_and_why_a_row_stands_where_it_stands(ran):
    table = harness(ran, "show")
    assert table.returncode == 0
    assert "slow" in table.stdout
    row = harness(ran, "show", "latest", "slow")
    assert row.returncode == 0, row.stderr
    assert row.stdout.startswith("slow@box")
    assert "fast" in row.stdout


def test_a_part_of_a_runs_name_finds_it_from_elsewhere(ran, tmp_path):
    (run,) = (ran / "results").iterdir()
    assert harness(tmp_path, "show", str(run)).returncode == 0
    assert harness(tmp_path, "show", run.name[20:], "--out", str(ran / "results")).returncode == 0


def test_fakes_without_a_suite_are_ranked_on_the_target_given(fakes):
    finished = harness(
        fakes, "run", "slow.fake.toml", "fast.fake.toml", "--target", "box.toml", "--quick", "--budget", "5s"
    )
    assert finished.returncode == 0, finished.stderr
    made = ranking(fakes)
    assert made["suite"] == "models"
    assert made["rows"][0]["candidate"] == "fast"
    assert any("inputs are synthetic" in note for note in messages(made))
    assert not [key for row in made["rows"] for key in row["metrics"] if key in ("accuracy", "rmse")]


@pytest.fixture
def onnx_model():
    pytest.importorskip("onnxruntime")
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("harness_test_models", Path(__file__).parents[1] / "models.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.doubled


def test_two_onnx_files_need_no_suite(onnx_model, tmp_path):
    for name in ("v1", "v2"):  # the same file name in two folders
        (tmp_path / name).mkdir()
        onnx_model(tmp_path / name / "model.onnx", shape=["batch", 64 if name == "v1" else "width"])
    finished = started(tmp_path, "run", "v1/model.onnx", "v2/model.onnx", "--quick", "--budget", "2s")
    assert finished.returncode == 0, finished.stderr
    made = ranking(tmp_path)
    assert {row["candidate"] for row in made["rows"]} == {"v1-model.onnx", "v2-model.onnx"}
    assert any("inputs are synthetic" in note for note in messages(made))
    assert any("x Nx64:float32:normal" in note for note in messages(made))
    for row in made["rows"]:
        assert "accuracy" not in row["metrics"]
        assert row["metrics"]["latency_p50_ms"]["value"] > 0
    (run,) = (tmp_path / "results").iterdir()
    assert "without a suite" in (run / "report.md").read_text()


def test_inputs_are_said_outright(onnx_model, tmp_path):
    """By option, or by a file of rows; names may have '=' in them."""
    onnx_model(tmp_path / "m.onnx", shape=["batch", "a=b"])
    np.savez(tmp_path / "rows.npz", x=np.ones((4, 9), np.float32))
    said = ["--quick", "--budget", "1s"]
    for options, shape in (
        (["--dim", "a=b=7"], "x Nx7:float32:normal"),
        (["--input", "x=1x5:float32:0..1"], "x 1x5:float32:0..1"),
        (["--inputs", "rows.npz"], None),
    ):
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        finished = harness(tmp_path, "run", "m.onnx", *options, *said)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        synthetic = [note for note in messages(ranking(tmp_path)) if "inputs are synthetic" in note]
        assert len(synthetic) == (shape is not None)
        assert shape is None or shape in synthetic[0]


def test_what_does_not_fit_the_model_fails_as_input_error(onnx_model, tmp_path):
    onnx_model(tmp_path / "m.onnx", shape=["batch", "width"])
    finished = harness(tmp_path, "run", "m.onnx", "--dim", "widht=7", "--budget", "1s")
    assert finished.returncode == 3
    (row,) = ranking(tmp_path)["rows"]
    assert (row["status"], row["failure"]) == ("failed", "input_error")
    assert "--dim widht: the model has no dimension of this name (did you mean 'width'?)" in finished.stdout


def test_a_row_is_shown_by_its_place(ran):
    first, second = (harness(ran, "show", "latest", place).stdout for place in ("1", "2"))
    assert first.startswith("fast@box") and second.startswith("slow@box")
    assert "there is no row '99'" in harness(ran, "show", "latest", "99").stderr


def test_a_row_or_policy_key_that_is_not_there_comes_with_the_nearest(ran):
    finished = started(ran, "show", "latest", "fats@box")
    assert (finished.returncode, finished.stderr) == (
        2,
        "error: ROW: there is no row 'fats@box' (did you mean 'fast@box'?)\n",
    )
    (ran / "other.toml").write_text("[policy.limits]\nacuracy = { max = 1 }\n")
    finished = harness(ran, "rank", "--policy", "other.toml")
    assert finished.returncode == 2
    assert "unknown metric 'acuracy' (did you mean 'accuracy'?)" in finished.stderr
