from __future__ import annotations

import subprocess
import sys

import pytest

from harness.runtimes.base import load_runtime
from harness.spec import plugins
from harness.spec.target import Target
from harness.spec.wire import CheckTarget
from harness.worker.target import check_target


def test_listing_names_imports_no_runtime(tmp_path):
    program = (
        "import sys; from harness.spec import plugins; names = plugins.names('runtimes'); "
        "print(*names); sys.exit(' '.join({'torch', 'onnxruntime', 'openvino', 'executorch', 'ai_edge_litert', "
        "'harness.runtimes.torch', 'harness.runtimes.onnxruntime', 'harness.runtimes.fake'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {"onnxruntime", "torch", "openvino", "executorch", "litert", "fake"} <= set(done.stdout.split())


def test_an_unknown_runtime_lists_those_there_are():
    with pytest.raises(LookupError, match=r"no plug-in 'tflite' in harness.runtimes; registered: .*fake, .*openvino"):
        load_runtime("tflite")


def asked(**fields):
    return check_target(CheckTarget(target=Target(**({"name": "t", "description": "d", "runtime": "fake"} | fields))))


def test_a_check_says_what_a_runtime_loads():
    outcome = asked()
    assert (outcome.status, outcome.formats) == ("ok", ("fake",))


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"runtime": "onxruntime"}, "invalid", "unknown runtime 'onxruntime' (did you mean 'onnxruntime'?)"),
        (
            {"runtime": "onnxruntime", "options": {"intra_op_thread": 1}},
            "invalid",
            "options.intra_op_thread: unknown key (did you mean 'intra_op_threads'?)",
        ),
        (
            {"runtime": "onnxruntime", "options": {"intra_op_threads": True}},
            "invalid",
            "options.intra_op_threads: expected int, got bool",
        ),
        (
            {"runtime": "onnxruntime", "options": {"intra_op_threads": 0}},
            "invalid",
            "options.intra_op_threads: must be 1 at least, not 0",
        ),
        (
            {"runtime": "onnxruntime", "device": "npu"},
            "unavailable",
            "device 'npu' is not supported by this runtime (cpu, cuda, cuda:1, …)",
        ),
    ],
)
def test_a_check_says_what_is_wrong_or_missing(fields, status, said):
    if fields["runtime"] == "onnxruntime":
        pytest.importorskip("onnxruntime")
    outcome = asked(**fields)
    assert outcome.status == status
    assert said in outcome.message


@pytest.mark.parametrize(
    ("runtime", "module", "brought_by"),
    [
        ("onnxruntime", "onnxruntime", "onnx"),
        ("openvino", "openvino", "openvino"),
        ("litert", "ai_edge_litert", "litert"),
    ],
)
def test_a_runtime_that_is_not_installed_is_unavailable_and_says_what_brings_it(
    monkeypatch, runtime, module, brought_by
):
    for name in [module, *(each for each in sys.modules if each.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    outcome = asked(runtime=runtime)
    assert outcome.status == "unavailable"
    assert module in outcome.message
    assert outcome.message.endswith(f": pip install 'harness-bench[{brought_by}]'")


def test_a_runtime_that_is_installed_and_broken_says_only_that(monkeypatch):
    def broken():
        raise ImportError("libtbb.so: cannot open shared object file", name="openvino")

    monkeypatch.setattr("harness.runtimes.openvino._library", broken)
    assert asked(runtime="openvino").message == "libtbb.so: cannot open shared object file"


def test_an_extra_is_found_by_the_package_that_it_requires():
    found = {name: plugins.extra("runtimes", name, name) for name in ("onnxruntime", "torch", "openvino", "executorch")}
    wanted = {"onnxruntime": "onnx", "torch": "torch", "openvino": "openvino", "executorch": "executorch"}
    assert found == {name: f"harness-bench[{extra}]" for name, extra in wanted.items()}
    assert plugins.extra("conversions", "sklearn-to-onnx", "scikit_learn") == "harness-bench[evaluate]"
    assert plugins.extra("runtimes", "fake", "no_such_package") is None
    assert plugins.extra("runtimes", "no-such-plug-in", "torch") is None
