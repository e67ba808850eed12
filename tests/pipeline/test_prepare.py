"""Preparing cells: a chain of conversions and its parity, what the cache of conversions keeps apart, staged files."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import SpecError
from harness.evidence.run import Cell, PreparedCell, RunRecord
from harness.launch.base import PROCESS
from harness.pipeline.artefacts import cache_folder, cache_key, digest_of
from harness.pipeline.prepare import Preparation
from harness.pipeline.targets import refuse_unused_options
from harness.selftest.inline import InlineLauncher
from harness.spec import plugins
from harness.spec.outcome import Outcome
from harness.spec.suite import Candidate, Dataset, Parity, Source, Suite
from harness.spec.target import Target
from harness.spec.variant import Variant

ENTRY_POINTS = """[harness.conversions]
sketch-to-draft = {module}:SketchToDraft
draft.fp32-to-fake.int8 = {module}:DraftToFake
draft.fp32-to-fake.fp16 = {module}:DraftToFake
"""
PLUG_IN = '''
import json
from pathlib import Path

import numpy as np

from harness.runtimes.base import Tensor


class Loaded:
    """A model of ten classes whose scores are one-hot, times its scale."""

    inputs = (Tensor("x", np.dtype("float32"), ("batch", 1)),)

    def __init__(self, variant):
        self.scale = json.loads(Path(variant.path).read_text())["scale"]

    def predict(self, feed):
        return np.eye(10, dtype=np.float32)[feed["x"][:, 0].astype(int)] * np.float32(self.scale)


class SketchToDraft:
    """Forgets the scale; the draft has another one, so that its outputs are not its original's."""

    options = {}
    load = Loaded

    def convert(self, original, order, folder):
        (folder / "m.draft").write_text(json.dumps({"scale": 0.5}))
        return "m.draft"


class DraftToFake:
    """A script of the fake runtime (scale 1) that keeps the mean of the calibration rows as its seed."""

    options = {"latency_ms": float}
    load = Loaded

    def convert(self, original, order, folder):
        seed = 0 if order.calibration is None else int(order.calibration["x"].mean())
        latency_ms = order.options.get("latency_ms", 1.0)
        (folder / "m.fake.toml").write_text(f"seed = {seed}\\nlatency_ms = {latency_ms}\\n")
        return "m.fake.toml"
'''
STEPS = ("sketch-to-draft", "draft.fp32-to-fake.int8")
LOADS_FAKE = Outcome(status="ok", formats=("fake",), duration_ns=500_000_000)
ROWS = np.arange(20, dtype=np.float32).reshape(20, 1) % 5


def clear() -> None:
    plugins.names.cache_clear()
    plugins.load.cache_clear()


class Runs:
    """Prepares cells in one run folder after another, with an empty cache at first; `said` is of the last run."""

    def __init__(self, base: Path) -> None:
        self.base, self.number, self.said = base, 0, []
        np.savez(base / "rows.npz", x=ROWS, labels=ROWS[:, 0].astype(np.int64))
        self.calibrate(7.0)

    def calibrate(self, value: float) -> None:
        np.savez(self.base / "calibration.npz", x=np.full((4, 1), value, np.float32))

    def candidate(self, name="m", scale=0.75, **more) -> Candidate:
        (self.base / f"{name}.sketch").write_text(json.dumps({"scale": scale}))
        return Candidate(name=name, path=f"{name}.sketch", format="sketch", **more)

    def prepare(self, *candidates, parity=None, precision="int8", latency_ms=None, casts=()):
        """Prepare these candidates in a run of their own; returns the prepared cells."""
        candidates = candidates or (self.candidate(),)
        conversion = {} if latency_ms is None else {"latency_ms": latency_ms}
        target = Target(name="t", description="d", runtime="fake", precision=precision, conversion=conversion)
        suite = Suite(
            name="s",
            description="",
            targets=("t",),
            candidate=candidates,
            dataset=Dataset(path="rows.npz", calibration=Source(path="calibration.npz")),
            parity=dict.fromkeys(("int8", "fp16"), parity or Parity()),
        )
        stated = {"id": "r", "created": "2026-01-01T00:00:00+00:00", "suite_file": "s.toml", "seed": 0}
        record = RunRecord(suite=suite, base=str(self.base), targets=(target,), **stated)
        self.number, self.said = self.number + 1, []
        self.folder = self.base / f"run-{self.number}"
        self.folder.mkdir()
        work = Preparation(self.folder, record, {PROCESS: InlineLauncher()}, self.said.append)
        data = work.dataset()
        self.said.clear()
        checked = msgspec.structs.replace(LOADS_FAKE, precisions=casts)
        return [work.cell(Cell(candidate, target), checked, data) for candidate in candidates]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The conversions are installed in a folder on sys.path, as pip would install them."""
    module, site = f"sketches_{abs(hash(tmp_path))}", tmp_path / "site"
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS.format(module=module))
    (site / f"{module}.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clear()
    yield Runs(tmp_path)
    clear()


def test_the_last_of_two_conversions_is_compared_with_the_candidates_own_outputs(runs):
    (cell,) = runs.prepare(latency_ms=2.0)
    variant = cell.variant
    assert (cell.status, cell.why) == ("ok", "")
    assert (variant.format, variant.precision, variant.steps) == ("fake", "int8", STEPS)
    assert variant.options == {"latency_ms": 2.0}
    # the candidate's scores are 0.75, the result's 1; those of the draft between them would be 0.5
    assert (variant.parity.rows, variant.parity.max_abs_diff, variant.parity.top1_agreement) == (20, 0.25, 1.0)
    assert runs.said == [f"converting m: {step}" for step in STEPS]
    assert (runs.folder / variant.path).read_text() == "seed = 7\nlatency_ms = 2.0\n"
    assert digest_of([runs.folder / variant.path]) == variant.digest


@pytest.mark.parametrize(("allowed", "status"), [(0.2, "failed"), (0.3, "ok")])
def test_the_suites_parity_judges_the_end_of_the_chain_in_its_precision(runs, allowed, status):
    (cell,) = runs.prepare(parity=Parity(max_abs_diff=allowed))
    assert (cell.status, cell.failure) == (status, "output_error" if status == "failed" else None)
    assert cell.variant.parity.max_abs_diff == 0.25
    assert cell.why.startswith("the converted model differs from its original by 0.25 " if status == "failed" else "")


def test_the_same_again_is_converted_from_the_cache(runs):
    first = runs.prepare(latency_ms=2.0)
    assert runs.prepare(latency_ms=2.0) == first
    assert runs.said == []
    assert len(list(cache_folder().iterdir())) == 2


def again(runs, **changed):
    """Return what a second run says that it converts, after one as usual; only `changed` is different."""
    runs.prepare(latency_ms=2.0)
    (cell,) = runs.prepare(**{"latency_ms": 2.0, **changed})
    assert cell.status == "ok", cell.why
    return runs.said, cell.variant


def test_other_options_are_converted_anew_where_they_are_taken(runs):
    said, variant = again(runs, latency_ms=3.0)
    assert said == [f"converting m: {STEPS[-1]}"], "the draft takes no options"
    assert (runs.folder / variant.path).read_text() == "seed = 7\nlatency_ms = 3.0\n"


def test_another_precision_is_converted_anew(runs):
    said, variant = again(runs, precision="fp16")
    assert said == ["converting m: draft.fp32-to-fake.fp16"], "what both have in common is kept"
    assert variant.precision == "fp16"


def test_other_calibration_rows_are_converted_anew(runs):
    runs.prepare()
    runs.calibrate(8.0)
    (cell,) = runs.prepare()
    assert f"converting m: {STEPS[-1]}" in runs.said
    assert (runs.folder / cell.variant.path).read_text() == "seed = 8\nlatency_ms = 1.0\n"


def test_two_candidates_that_become_one_draft_are_each_compared_with_themselves(runs):
    near, far = runs.prepare(runs.candidate("near", 0.75), runs.candidate("far", 0.5))
    assert near.variant.digest == far.variant.digest
    assert (near.variant.parity.max_abs_diff, far.variant.parity.max_abs_diff) == (0.25, 0.5)


def test_one_model_as_another_task_is_compared_as_that_task(runs):
    classes, numbers = runs.prepare(runs.candidate("m"), runs.candidate("n", task="regression"))
    assert (classes.variant.parity.top1_agreement, numbers.variant.parity.top1_agreement) == (1.0, None)


KEYED = {
    "source": Variant(format="draft", digest="d0"),
    "conversion": "draft.fp32-to-fake.int8",
    "runtime": "fake",
    "options": {"latency_ms": 1.0},
    "digests": {"evaluation": "e0", "calibration": "c0"},
    "compared": (None, "classification", "r0"),
}


@pytest.mark.parametrize(
    "changed",
    [
        {"source": Variant(format="draft", digest="d1")},
        {"source": Variant(format="draft", digest="d0", precision="fp16")},
        {"source": Variant(format="sketch", digest="d0")},
        {"conversion": "draft.fp32-to-fake.fp16"},
        {"runtime": "other"},
        {"options": {"latency_ms": 2.0}},
        {"options": {}},
        {"digests": {"evaluation": "e0", "calibration": "c1"}},
        {"digests": {"evaluation": "e1", "calibration": "c0"}},
        {"compared": ("scores", "classification", "r0")},
        {"compared": (None, "regression", "r0")},
        {"compared": (None, "classification", "r1")},
    ],
    ids=repr,
)
def test_what_decides_a_conversion_is_in_its_key(changed):
    assert cache_key(**KEYED) == cache_key(**KEYED)
    assert cache_key(**{**KEYED, **changed}) != cache_key(**KEYED)


def test_other_code_of_the_plug_in_has_another_key(runs):
    """Its defaults and what it does are in its code; nothing has to be counted up by hand."""
    before = cache_key(**KEYED)
    (module,) = (runs.base / "site").glob("*.py")
    module.write_text(module.read_text().replace("1.0)", "1.5)"))
    assert cache_key(**KEYED) != before


def test_another_version_of_the_plug_in_has_another_key(runs):
    before = cache_key(**KEYED)
    (metadata,) = (runs.base / "site").glob("*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("1.0\n", "1.1\n"))
    assert cache_key(**KEYED) != before


def test_a_check_that_an_earlier_attempt_did_is_kept(tmp_path):
    target = Target(name="t", description="d", runtime="fake")
    suite = Suite(name="s", description="", targets=("t",), candidate=(Candidate(name="m", path="m.fake.toml"),))
    record = RunRecord(
        id="r", created="2026-01-01", suite=suite, suite_file="s.toml", base=str(tmp_path), targets=(target,), seed=0
    )
    said: list[str] = []

    def checked() -> Outcome:
        return Preparation(tmp_path / "run", record, {PROCESS: InlineLauncher()}, said.append).check(target)

    first = checked()
    assert first.status == "ok" and first.settings == {"forkable": True}
    assert checked() == first and first.duration_ns > 0, "it took what it took the first time"


def test_options_of_a_target_that_converts_nothing_here_do_not_stop_the_run():
    """It is not available, or every candidate is in its form already; another target can still be measured."""
    target = Target(name="t", description="d", runtime="fake", conversion={"latency_ms": 1.0})
    given = PreparedCell(status="ok", variant=Variant(format="fake"))
    refuse_unused_options(target, [PreparedCell(status="skipped", why="target not available here"), given])
    made = PreparedCell(status="ok", variant=Variant(format="fake", steps=("sketch-to-fake",)))
    with pytest.raises(SpecError, match=r"conversion\.latency_ms: no option of sketch-to-fake"):
        refuse_unused_options(target, [given, made])


def test_a_runtime_may_cast_what_no_conversion_makes(runs):
    (cell,) = runs.prepare(precision="bf16", casts=("bf16", "int8"))
    assert (cell.status, cell.variant.precision, cell.variant.cast_to) == ("ok", "int8", "bf16")
    assert cell.variant.steps == STEPS
    (cell,) = runs.prepare(precision="bf16")
    assert cell.status == "skipped" and "no conversion leads there" in cell.why


def test_a_conversion_to_the_precision_itself_comes_before_a_cast(runs):
    (cell,) = runs.prepare(precision="int8", casts=("int8", "fp16"))
    assert (cell.variant.precision, cell.variant.cast_to) == ("int8", "")
