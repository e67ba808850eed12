"""A limit that nothing enforced is a note of the run, once for a target; what was enforced is in the report."""

from __future__ import annotations

import pytest

from harness.analyse.notes import notes_of
from harness.analyse.reader import open_run
from harness.analyse.remarks import remarked
from harness.evidence.run import RaceRecord
from harness.report.sections import limits
from harness.spec.outcome import Launched, Memory
from harness.spec.policy import Policy
from harness.spec.target import Limits
from harness.spec.wire import Resources

from .handwritten import cold, run_folder, trial

MIB = 1 << 20
WORDS = {"cpus": "not enforced: no cgroup", "memory_mib": "cgroup v1, memory"}


def granted(*unenforced: str) -> Launched:
    return Launched(launcher="process", wall_ns=1, resources=Resources(limits=WORDS, unenforced=unenforced))


def noted(run):
    return [note for note in notes_of(open_run(run), RaceRecord(), None) if note.code == "limit_not_enforced"]


def test_what_nothing_enforced_is_noted_once(tmp_path):
    run = run_folder(tmp_path, "a", "b")
    for name in "ab":
        cold(run, name, 1, launched=granted("cpus"))
    (note,) = noted(run)
    assert (note.severity, note.subject, note.data) == ("info", "box", {"limit": "cpus"})
    assert note.message == "target box: limits.cpus: not enforced: no cgroup"


def test_what_is_enforced_is_no_note(tmp_path):
    run = run_folder(tmp_path, "a", "b")
    cold(run, "a", 1, launched=granted())
    cold(run, "b", 1)
    assert noted(run) == []


def test_the_report_says_what_enforced_limits_and_splits_the_memory(tmp_path):
    run = run_folder(tmp_path, "a", "b", "c", "d")
    charged = Memory(charged_bytes=300 * MIB, charged_anon_bytes=200 * MIB, charged_file_bytes=90 * MIB)
    cold(run, "b", 1, launched=granted(), memory=charged)
    cold(run, "c", 1, launched=granted())
    cold(run, "d", 1)
    said = "cpus: not enforced: no cgroup; memory_mib: cgroup v1, memory"
    split = "Charged at most (anonymous and page cache at the end): b 300 MiB (200 and 90)"
    assert limits(run, open_run(run).cells) == f"- `box`: {said}. {split}."


def test_the_report_says_nothing_of_a_target_without_limits(tmp_path):
    run = run_folder(tmp_path, "a")
    cold(run, "a", 1, launched=Launched(launcher="process", wall_ns=1))
    assert limits(run, open_run(run).cells) == ""


@pytest.mark.parametrize(
    ("scale", "said"), [(1.0, []), (0.25, ["emulated: 25 % of a core here stands for one there (k)"])]
)
def test_a_row_says_that_its_core_is_emulated(tmp_path, scale, said):
    run = run_folder(tmp_path, "a", limits=Limits(cpus=1.0, cpu_scale=scale, cpu_scale_source="k"))
    for block in range(2):
        trial(run, "a", block, {"interactive": [1.0] * 20})
    reader = open_run(run)
    (entry,) = remarked(reader.entries(Policy()), reader, Policy())
    found = [each for each in entry.diagnostics if each.code == "emulated"]
    assert [each.message for each in found] == said and all(each.severity == "warning" for each in found)
