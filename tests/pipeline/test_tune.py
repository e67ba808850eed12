"""The memory sweep: which sizes a machine can show, and the suite that is derived for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SpecError
from harness.pipeline.request import Request
from harness.pipeline.tune import SIZES, derived, emulated, open_tune, read_sizes, sized, why_refused
from harness.spec.find import load_suite, load_target


def test_sizes_are_read_smallest_first_and_each_once():
    assert read_sizes("1769, 512,1024,512") == (512, 1024, 1769)


@pytest.mark.parametrize("text", ["", "512;1024", "127", "10241", "-512", "512,many"])
def test_what_is_no_size_is_one_message(text):
    with pytest.raises(SpecError, match="--memory: "):
        read_sizes(text)


@given(st.integers(1, 64))
def test_a_size_is_emulated_if_there_are_the_cpus_that_it_buys(cpus):
    told = emulated(SIZES, 1769, cpus)
    assert sorted((*told.emulated, *told.refused)) == list(SIZES)
    assert all(size / 1769 <= cpus for size in told.emulated)
    assert all(size / 1769 > cpus for size in told.refused)


def test_a_refused_size_says_why():
    told = emulated(SIZES, 1769, 2)
    assert told.emulated == (512, 1024, 1769, 2048, 3072)
    said = why_refused(told.refused, 1769, 2)
    assert said == (
        "not measured: 4096, 6144, 8192, 10240 MiB buy 2.3 to 5.8 vCPUs, and this machine has 2 CPUs to show it on"
    )
    assert "8192 MiB buy 4.6 vCPUs" in why_refused((8192,), 1769, 2)


@pytest.mark.parametrize(
    ("mib", "cpus", "threads", "init"), [(512, 0.289, 1, 1.0), (1769, 1, 1, None), (3072, 1.737, 2, None)]
)
def test_a_size_buys_cpu_time_and_threads(mib, cpus, threads, init):
    target = sized(load_target("serverless-512"), mib)
    assert (target.name, target.limits.memory_mib) == (f"memory-{mib}", mib)
    assert target.granted.cpus == pytest.approx(cpus, abs=0.001)
    assert (target.options["intra_op_threads"], target.lifecycle.init_cpus) == (threads, init)
    assert target.price == load_target("serverless-512").price


def test_the_suite_has_one_candidate_and_no_race():
    suite, _ = load_suite("intent")
    tuned = derived(suite, suite.candidate[1])
    assert (tuned.name, tuned.candidate, tuned.budget.race) == ("intent-tune", (suite.candidate[1],), "off")
    assert (tuned.policy, tuned.scenario, tuned.dataset) == (suite.policy, suite.scenario, suite.dataset)


def test_the_run_is_a_normal_one_on_targets_that_it_carries(tmp_path):
    asked = Request(["intent"], out=tmp_path, quick=True)
    folder, record, refused = open_tune(asked, "words-logistic", (512, 1024, 8192), None, 2)
    assert [target.name for target in record.targets] == ["memory-512", "memory-1024"] == list(record.suite.targets)
    assert "8192" in refused and (folder / "run.json").exists() and record.quick


@pytest.mark.parametrize(
    ("candidate", "sizes", "on", "said"),
    [
        ("words", (512,), None, "--candidate: intent.toml has no candidate 'words' (did you mean 'words-logistic'?)"),
        ("words-logistic", (8192,), None, "--memory: not measured: 8192 MiB buy 4.6 vCPUs"),
        ("words-logistic", (512,), "container-1vcpu", "target 'container-1vcpu': memory buys no CPU time there"),
        ("words-logistic", (512,), "cpu-onnx", "target 'cpu-onnx': memory buys no CPU time there"),
        ("words-logistic", (512,), "serverles-512", "--target: unknown target 'serverles-512'"),
    ],
)
def test_what_cannot_be_tuned_is_one_message_and_leaves_no_run(tmp_path, candidate, sizes, on, said):
    with pytest.raises(SpecError) as raised:
        open_tune(Request(["intent"], out=tmp_path), candidate, sizes, on, 2)
    assert str(raised.value).startswith(said)
    assert not list(tmp_path.iterdir())
