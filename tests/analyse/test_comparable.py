"""What forbids comparing two runs, and what is only said: hosts, limits, GPUs, versions, targets, variants."""

from __future__ import annotations

import msgspec
import pytest

from harness.analyse.comparable import forbidding, said
from harness.analyse.sides import read_side, without_seconds
from harness.errors import EvidenceError
from harness.evidence.files import read_json, write_json
from harness.evidence.run import Prepared, PreparedCell, RunRecord
from harness.scenarios.fleet import Users
from harness.scenarios.single_stream import SingleStream
from harness.spec.outcome import Launched, ProbeRecord
from harness.spec.variant import Variant
from harness.spec.wire import Resources

from .handwritten import run_folder, trial

HOST = {"machine": "x86_64", "cpu": "Fast", "cpus": 8, "affinity": 8, "system": "Linux-6", "python": "3.12.1"}
GPU = {"name": "H100", "driver": "570.1", "memory_total_bytes": 80}


def side(folder, host=HOST, limits=None, threads=1, gpu=None, versions=None, kernel_ns=1000, candidates=("a",)):
    """Write and read a run whose trials ran there."""
    run_folder(folder, *candidates)
    probes = {"nvml": ProbeRecord(facts=gpu)} if gpu else {}
    resources = Resources(threads=threads, limits=limits or {"cpus": "by cgroup"})
    launched = Launched(launcher="process", wall_ns=1, host=host, resources=resources, probes=probes)
    slices = [[0, 50_000_000, 1, 1, 0, kernel_ns]]
    for name in candidates:
        for block in range(2):
            more = {"launched": launched, "versions": versions or {"onnxruntime": "1.20"}}
            trial(folder, name, block, {"interactive": [1.0 + block / 100] * 20}, slices=slices, **more)
    return read_side(folder)


def texts(diagnostics):
    return [(each.code, each.message) for each in diagnostics]


def test_the_same_place_forbids_nothing(tmp_path):
    """Which CPU a block was given is no difference."""
    base, new = (side(tmp_path / cpu, limits={"cpus": f"CPU {cpu} of 8 (cpuset)"}) for cpu in "12")
    assert forbidding(base, new) == []
    assert [code for code, _ in texts(said(base, new))] == ["host_speed"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"host": HOST | {"cpu": "Slow"}}, "cpu: Fast, now Slow"),
        ({"host": HOST | {"affinity": 2}}, "affinity: 8, now 2"),
        ({"host": {k: v for k, v in HOST.items() if k != "cpu"}}, "cpu: Fast, now not known"),
        ({"limits": {"cpus": "not enforced"}}, "cpus: by cgroup, now not enforced"),
        ({"threads": 2}, "threads: 1, now 2"),
        ({"gpu": GPU}, "GPU name: not known, now H100"),
    ],
)
def test_other_hosts_limits_and_gpus_forbid(tmp_path, changed, text):
    found = texts(forbidding(side(tmp_path / "a"), side(tmp_path / "b", **changed)))
    assert ("host_differs", text) in found


def test_what_only_some_rows_have_names_them(tmp_path):
    base, new = side(tmp_path / "a", candidates=("a", "b")), side(tmp_path / "b", candidates=("a", "b"))
    places = dict(new.places) | {"b@box": new.places["b@box"]._replace(granted={"launcher": "process"})}
    messages = [message for _, message in texts(forbidding(base, new._replace(places=places)))]
    assert "threads: 1, now not known (b@box)" in messages


def test_versions_are_said(tmp_path):
    base = side(tmp_path / "a", gpu=GPU)
    host = HOST | {"system": "Linux-7"}
    new = side(tmp_path / "b", host=host, gpu=GPU | {"driver": "580.2"}, versions={"onnxruntime": "1.21"})
    assert forbidding(base, new) == []
    assert texts(said(base, new))[:3] == [
        ("versions_differ", "onnxruntime: 1.20, now 1.21"),
        ("versions_differ", "GPU driver: 570.1, now 580.2"),
        ("versions_differ", "system: Linux-6, now Linux-7"),
    ]


def test_the_calibration_kernel_tells_the_hosts_speed(tmp_path):
    found = said(side(tmp_path / "a"), side(tmp_path / "b", kernel_ns=1300))[-1]
    assert found.code == "host_speed" and found.data["ratio"] == pytest.approx(1.3)


def test_other_targets_and_variants_are_said(tmp_path):
    base, new = side(tmp_path / "a"), side(tmp_path / "b")
    for folder, digest, threads in ((tmp_path / "a", "0" * 64, 1), (tmp_path / "b", "1" * 64, 4)):
        cell = PreparedCell(status="ok", variant=Variant(format="fake", digest=digest))
        write_json(folder / "prepare.json", Prepared(cells={"a@box": cell}))
        record = read_json(folder / "run.json", RunRecord)
        target = msgspec.structs.replace(record.targets[0], options={"threads": threads})
        write_json(folder / "run.json", msgspec.structs.replace(record, targets=(target,)))
    found = texts(said(read_side(base.folder), read_side(new.folder)))
    assert ("variant_differs", "the artefact that runs has changed: a@box") in found
    assert ("target_differs", "target box: options: {'threads': 1}, now {'threads': 4}") in found


def test_a_run_without_a_measured_row_is_no_side(tmp_path):
    with pytest.raises(EvidenceError, match=r"no row was measured.*--resume"):
        read_side(run_folder(tmp_path, "a"))


def test_the_length_of_a_scenario_does_not_matter_and_all_else_of_it_does():
    assert without_seconds(SingleStream(name="a", seconds=1.0)) == without_seconds(SingleStream(name="a", seconds=9.0))
    assert without_seconds(SingleStream(name="a")) != without_seconds(SingleStream(name="a", max_samples=3))
    assert without_seconds(Users(rate_per_s=1.0)) != without_seconds(Users(rate_per_s=2.0)), "it has no length"
