"""Runs compared, and suspects measured again beside the base, through the real pipeline with scripted models."""

from __future__ import annotations

import shutil

import msgspec
import pytest

from harness.errors import EvidenceError, SpecError
from harness.evidence.files import read_json
from harness.evidence.run import read_prepared
from harness.pipeline import again as again_module
from harness.pipeline.again import AgainRecord, Terms
from harness.pipeline.compare import Asked, compare, confirm, read_sides, within
from harness.pipeline.progress import Silent
from harness.score.changes import Stated
from harness.selftest.inline import InlineLauncher

from .scripted import run

PLAIN = "sigma = 0.05\nprocess_spread = 0.01\n"
P50 = "latency_p50_ms"
TERMS = Terms(200.0, blocks=8)


def measured(suite, cells, seed=3, **settings):
    """Run a suite of these fakes. An earlier run's artefacts are links, so new ones must be new files."""
    for name in cells:
        (suite.base / f"{name}.fake.toml").unlink(missing_ok=True)
    folder, record = suite(cells, trials=5, most=5, common=PLAIN, seed=seed, **settings)
    return run(folder, record).folder


def compared(base, new, **asked):
    sides, notes = read_sides([base], new)
    return sides, compare(sides, Asked(**{"only": (P50,), "noise": Stated(0.03)} | asked), notes)


def confirmed(base, new, terms=TERMS, **asked):
    sides, found = compared(base, new, **asked)
    settings = Asked(**{"only": (P50,), "noise": Stated(0.03)} | asked)
    places = {"process": InlineLauncher()}
    return confirm(found, sides, settings, terms, Silent(), places=places)


def words(found):
    return {each.row: each.verdict for each in found.verdicts}


def test_a_slower_artefact_is_confirmed_beside_the_old_one(suite):
    base = measured(suite, {"a": 1.0, "b": 2.0})
    new = measured(suite, {"a": 1.06, "b": 2.0})
    first = compared(base, new)[1]
    assert words(first)["a@anywhere"] == "ambiguous"  # 6 % is not beyond what two runs differ by
    assert {each.row for each in first.suspects} == {"a@anywhere", "b@anywhere"}
    found = confirmed(base, new)
    by_row = {each.row: each for each in found.verdicts}
    slower, same = by_row["a@anywhere"], by_row["b@anywhere"]
    assert (slower.verdict, slower.confirmed, slower.basis, slower.n) == ("worse", True, "paired", 8)
    assert slower.low < 0.06 < slower.high and found.regressions == (slower,)
    assert same.confirmed is False and same.verdict != "worse"
    assert [n.code for n in found.notes if n.code in ("measured_alone", "side_by_side")] == [
        "measured_alone",
        "side_by_side",
    ]
    assert "side by side they would be the same" in next(n.message for n in found.notes if n.code == "measured_alone")


def test_the_fresh_run_has_the_rows_in_question_only_and_can_be_judged_again(suite):
    base = measured(suite, {"a": 1.0, "b": 2.0})
    new = measured(suite, {"a": 1.5, "b": 1.0})
    found = confirmed(base, new)
    assert words(found) == {"a@anywhere": "worse", "b@anywhere": "better"}  # b is no suspect
    folder = new / found.again
    ran = {name for name, cell in read_prepared(folder).cells.items() if cell.status == "ok"}
    assert ran == {"a@anywhere", "a.baseline@anywhere.baseline"}
    assert read_json(folder / "again.json", AgainRecord).pairs == {"a@anywhere": "a.baseline@anywhere.baseline"}
    (again,) = (each for each in within(folder, Asked()).verdicts if each.metric == P50)
    assert (again.row, again.verdict, again.basis) == ("a@anywhere", "worse", "paired")
    with pytest.raises(SpecError, match="measured no rows of a base"):
        within(new, Asked())


def test_nothing_suspect_measures_nothing(suite, monkeypatch):
    base, new = (measured(suite, {"a": ms}) for ms in (2.0, 1.0))
    monkeypatch.setattr("harness.pipeline.compare.measure_again", lambda *_: pytest.fail("nothing was suspect"))
    found = confirmed(base, new)
    assert words(found) == {"a@anywhere": "better"} and found.again is None


def test_what_was_not_confirmed_is_no_regression(suite):
    """A run that was slow as a whole: its artefacts are the base's."""
    base = measured(suite, {"a": 1.0})
    shutil.copytree(base, slow := base.with_name("20260101T000000Z-fakes-abcdef"))
    for path in (slow / "cells").glob("*/trial-*/requests/*/latency.npy"):
        _scaled(path, 1.3)
    first = compared(base, slow)[1]
    assert words(first) == {"a@anywhere": "worse"} and first.regressions
    found = confirmed(base, slow)
    assert found.verdicts[0].confirmed is False and not found.regressions
    assert found.verdicts[0].basis == "stated"  # measured alone, against the base


def _scaled(path, factor):
    import numpy as np

    latencies = np.load(path)
    np.save(path, (latencies * factor).astype(np.int64))


def test_the_bases_interpreter_is_put_beside(suite, monkeypatch):
    base, new = (measured(suite, {"a": 1.0}) for _ in range(2))
    asked = []
    make = again_module.FirstTrials.run
    monkeypatch.setattr(
        again_module.FirstTrials, "run", lambda self, cell, *rest: asked.append(cell) or make(self, cell, *rest)
    )
    found = confirmed(base, new, TERMS._replace(python="/opt/old/bin/python"))
    assert [(cell.name, cell.target.python) for cell in asked] == [
        ("a@anywhere", None),
        ("a.baseline@anywhere.baseline", "/opt/old/bin/python"),
    ]
    assert found.verdicts[0].basis == "paired" and not found.regressions


@pytest.mark.parametrize("lost", ["artefact", "changed"])
def test_an_artefact_that_the_base_lost_is_said(suite, lost):
    base, new = measured(suite, {"a": 1.0}), measured(suite, {"a": 1.2})
    (path,) = (base / "artefacts").glob("*/a.fake.toml")
    path.unlink()
    if lost == "changed":
        path.write_text("latency_ms = 9.0\n")
    found = confirmed(base, new)
    said = [n.message for n in found.notes if n.code == "measured_alone"]
    assert len(said) == 1 and ("is missing" if lost == "artefact" else "has changed since") in said[0]


def test_different_suites_scenarios_and_data_are_refused(suite, tmp_path):
    base = measured(suite, {"a": 1.0})
    shorter = measured(suite, {"a": 1.0}, seconds=0.25)
    assert compared(base, shorter)[1].verdicts  # only the length differs
    record = msgspec.json.decode((shorter / "run.json").read_bytes())
    record["suite"]["name"] = "others"
    (shorter / "run.json").write_bytes(msgspec.json.encode(record))
    with pytest.raises(SpecError, match=r"runs of different suites: fakes and others.*--force"):
        read_sides([base], shorter)
    notes = read_sides([base], shorter, force=True)[1]
    assert [note.code for note in notes if note.severity == "warning"] == ["suite_differs"]


def test_no_common_row(suite):
    base, new = measured(suite, {"a": 1.0}), measured(suite, {"b": 1.0})
    with pytest.raises(SpecError, match="no row in common: a@anywhere, and b@anywhere"):
        read_sides([base], new)


def test_runs_that_cannot_be_read_are_named(suite, tmp_path):
    base = measured(suite, {"a": 1.0})
    with pytest.raises(EvidenceError, match=r"run.json: cannot be read"):
        read_sides([tmp_path / "nothing"], base)
    shutil.copytree(base, half := tmp_path / "half")
    shutil.rmtree(half / "cells")
    with pytest.raises(EvidenceError, match="no row was measured"):
        read_sides([base], half)


def test_a_run_of_a_newer_schema_is_named(suite):
    base, new = measured(suite, {"a": 1.0}), measured(suite, {"a": 1.0})
    path = new / "run.json"
    path.write_text(path.read_text().replace("harness/run/3", "harness/run/99"))
    with pytest.raises(EvidenceError, match=r"run.json.*harness/run/99"):
        read_sides([base], new)


def test_a_row_that_fails_now_is_a_regression_of_its_own(suite):
    base, new = measured(suite, {"a": 1.0, "b": 1.0}), measured(suite, {"a": 1.0, "b": 'fail_at = "load"\n'})
    found = compared(base, new)[1]
    assert [row.row for row in found.broken] == ["b@anywhere"] and found.broken[0].why
    assert words(found) == {"a@anywhere": "ambiguous"}


def test_a_metric_that_no_row_has(suite):
    base, new = measured(suite, {"a": 1.0}), measured(suite, {"a": 1.0})
    with pytest.raises(SpecError, match="energy_per_inference_mj: no row has it"):
        compared(base, new, only=("energy_per_inference_mj",))
