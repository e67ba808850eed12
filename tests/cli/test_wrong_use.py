"""What is typed: mistakes are one message each and leave no run behind; names, durations, help."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from .test_cli import MAIN, SUITE, done, harness, started, write_fakes

__all__ = ["done"]


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    return write_fakes(tmp_path)


def test_models_of_one_name_are_told_apart():
    from harness.pipeline.request import _names

    assert _names(["a.onnx", "b.pt2"]) == ["a", "b"]
    assert _names(["a.onnx", "a.onnx"]) == ["a-1", "a-2"]
    assert _names(["x/a.onnx", "x/a.pt2"]) == ["x-a.onnx", "x-a.pt2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "harness run: nothing to run (name a suite, or model files: harness run digits)"),
        (["run", "digit"], "suite: unknown suite 'digit' (did you mean 'digits'?)"),
        (["run", "mime.toml"], "mime.toml: no such file (did you mean 'mine.toml'?)"),
        (["run", "mine.toml", "--target", "cpu-onx"], "--target: unknown target 'cpu-onx' (did you mean 'cpu-onnx'?)"),
        (["run", "mine.toml", "--budget", "soon"], "--budget: 'soon' is not a duration above 0 (write 90s, 2m or 1h)"),
        (["run", "mine.toml", "--budget", "0s"], "--budget: '0s' is not a duration above 0 (write 90s, 2m or 1h)"),
        (
            ["run", "fast.fake.toml", "mine.toml"],
            "mine.toml: is not a model file (either one suite, or files ending in",
        ),
        (["run", "notes.txt"], "notes.txt: is neither a suite nor a model file (a suite ends in .toml, a model in"),
        (["run", "fst.fake.toml"], "no such file:"),
        (["run", "m.joblib"], "is a pickle and is refused"),
        (["run", "fast.fake.toml", "--dim", "height"], "--dim: 'height' has no name and '=' (write --dim height=320)"),
        (["run", "fast.fake.toml", "--dim", "h=0"], "--dim: h: '0' is not a size (write --dim h=320)"),
        (["run", "fast.fake.toml", "--dim", "h=1", "--dim", "h=2"], "--dim: 'h' is given twice"),
        (
            ["run", "fast.fake.toml", "--input", "x=1xW"],
            "--input: x: '1xW' is not an input (write SHAPE:DTYPE, such as",
        ),
        (["run", "fast.fake.toml", "--inputs", "rows.npz"], "--inputs: no such file: rows.npz"),
        (
            ["run", "fast.fake.toml", "--inputs", "fast.fake.toml", "--dim", "h=1"],
            "--inputs: rows need no description (leave out --dim and --input)",
        ),
        (
            ["run", "mine.toml", "--dim", "h=1"],
            "--dim: describes the inputs of bare model files (write it into [dataset]",
        ),
        (["run", "--resume", "latest", "--dim", "h=1"], "--resume: a resumed run is completed as it was begun"),
        (["run", "--resume", "latest", "--quick"], "--resume: a resumed run is completed as it was begun"),
        (["rank"], "results: no runs yet"),
        (["rank", "r1"], "results: no run called 'r1'"),
        (["tune", "digit", "--candidate", "mlp"], "suite: unknown suite 'digit' (did you mean 'digits'?)"),
        (["tune", "mine.toml", "--candidate", "fest"], "--candidate: mine.toml has no candidate 'fest' (did you mean"),
        (
            ["tune", "mine.toml", "--candidate", "fast", "--memory", "64"],
            "--memory: '64' is not a memory size from 128 to 10240 MiB (write --memory 512,1024,1769)",
        ),
        (["init", "m.joblib"], "m.joblib: a pickle is refused"),
        (["init", "gone.onnx"], "gone.onnx: no such file"),
        (["init", "."], ".: no such file"),
        (["init", "m.joblib", "--out", "mine"], "mine: is no name of a suite (it ends in .toml: --out mine.toml)"),
        (["run", "--resume", "latest", "--seed", "1"], "--resume: a resumed run is completed as it was begun"),
        (["show", "x" * 300], "results: no run called 'xxx"),
        (["capacity", "--p99", "5ms"], "--rate: no load is given (write --rate 2000, requests per second)"),
        (["nightly", "mine.toml", "--alpha", "0%"], "--alpha: '0%' is no error rate (write 5%, or 1%)"),
        (["run", "fast.fake.toml", "--inputs", "notes.txt"], "error: --inputs: "),
        (["run", "mine.toml", "--target", "odd.toml"], "target 'odd': options.no: unknown key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_message_and_exit_2(fakes, arguments, said):
    (fakes / "notes.txt").touch()
    (fakes / "m.joblib").touch()
    (fakes / "odd.toml").write_text('description = "odd"\nruntime = "fake"\n[options]\nno = 1\n')
    finished = harness(fakes, *arguments)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert said in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert "Traceback" not in finished.stderr
    assert not list(fakes.glob("results/*")), "a wrong command leaves no run behind"


def test_a_seed_below_0_is_refused(fakes):
    finished = harness(fakes, "run", "mine.toml", "--seed", "-1")
    assert finished.returncode == 2 and "'--seed'" in finished.stderr
    assert not (fakes / "results").exists()


def test_a_builder_that_fails_is_said_with_the_log_that_tells_more(fakes):
    (fakes / "rows.py").write_text("def load():\n    return 1 / 0\n")
    dataset = '[dataset]\nbuilder = "rows:load"\n'
    (fakes / "mine.toml").write_text(SUITE + dataset)
    finished = harness(fakes, "run", "mine.toml")
    assert finished.returncode == 2
    assert (
        "mine.toml: dataset: builder 'rows:load' failed: ZeroDivisionError: division by zero (see " in finished.stderr
    )
    log = Path(finished.stderr.rpartition("(see ")[2].rstrip().rstrip(")"))
    assert 'rows.py", line 2' in log.read_text()


@pytest.mark.parametrize("command", [["suites"], ["capacity", "latest", "--rate", "9", "--p99", "1us"]])
def test_a_reader_that_goes_away_changes_no_exit_code(command, done):
    """As in `harness show latest | head -1`."""
    whole = harness(done[0], *command)
    readable, writable = os.pipe()
    os.close(readable)
    finished = subprocess.run(
        [sys.executable, "-P", "-c", MAIN, *command],
        cwd=done[0],
        stdout=writable,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writable)
    assert (finished.returncode, finished.stderr) == (whole.returncode, "")


def test_no_room_for_the_output_is_one_message(fakes):
    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run(
            [sys.executable, "-P", "-c", MAIN, "suites"],
            cwd=fakes,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert finished.returncode == 2
    assert finished.stderr == "error: standard output: No space left on device\n"


def test_characters_that_the_terminal_lacks_are_replaced(fakes):
    finished = started(fakes, "suites", PYTHONIOENCODING="ascii")
    assert finished.returncode == 0 and "digits" in finished.stdout


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (("[policy.objectives]", "[policy.objectivs]"), "policy.objectivs: unknown key (did you mean 'objectives'?)"),
        (("single_stream", "single"), "scenario[0].kind: 'single' is not one of the values (did you mean"),
        (("target = 0.1", "target = 1000"), "lower is better for 'latency_p50_ms', so target and limit are swapped"),
        (('targets = ["box', 'targets = ["bx'), "no such file (named by"),
    ],
)
def test_a_wrong_suite_is_one_message_and_exit_2(fakes, harm, said):
    (fakes / "mine.toml").write_text(SUITE.replace(*harm))
    finished = harness(fakes, "run", "mine.toml")
    assert finished.returncode == 2
    assert said in finished.stderr
    assert str(fakes) in finished.stderr
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["90s", "90", "1.5m", "1.5 min", "0.025h"])
def test_durations(text):
    from harness.pipeline.request import seconds

    assert seconds(text) == 90.0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["rank", "--help"]])
def test_help_imports_nothing_heavy(tmp_path, arguments):
    heavy = ("numpy", "pandas", "torch", "matplotlib", "scipy", "onnxruntime", "pyarrow", "harness.runtimes")
    program = f"""
import sys
sys.argv = ["harness", *{arguments!r}]
from harness.cli.app import main
try:
    main()
except SystemExit as end:
    found = [name for name in {heavy!r} if name in sys.modules]
    sys.exit(f"imported: {{found}}" if found or end.code else 0)
"""
    finished = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "Usage" in finished.stdout


def test_the_version_is_that_of_the_package(fakes):
    finished = harness(fakes, "--version")
    assert (finished.returncode, finished.stdout) == (0, f"harness {version('harness-bench')}\n")
