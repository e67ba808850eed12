from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence.manifest import Change, changes, evidence_files, manifest_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("run.json", "cells/a@t/trial-01/outcome.json", "cells/a@t/trial-01/requests/w/latency.npy"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def test_everything_is_evidence_but_what_is_derived_from_it(run: Path):
    derived = ("ranking.json", "decision.json", "decision.superseded-2.json.sig", "report.html", "plots/x.svg")
    for name in (*derived, "export/csv/a.csv", "cells/report.md", "unheard-of"):
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    found = set(evidence_files(run))
    assert found.isdisjoint((*derived, "export/csv/a.csv"))
    assert {"cells/report.md", "unheard-of", "run.json"} <= found


def test_every_difference_is_named(run: Path):
    before = manifest_of(run)
    assert changes(run, before) == []
    (run / "run.json").write_bytes(b"run.jsoN")
    (run / "cells/a@t/trial-01/outcome.json").unlink()
    (run / "cells/new").write_bytes(b"")
    (run / "cells/a@t/trial-01/requests/w/latency.npy").write_bytes(b"longer" * 20)
    assert changes(run, before) == [
        Change("cells/a@t/trial-01/outcome.json", "missing"),
        Change("cells/a@t/trial-01/requests/w/latency.npy", "changed", "120 bytes, there were 41"),
        Change("cells/new", "added"),
        Change("run.json", "changed", "same size"),
    ]


def test_names_that_are_no_text_and_links_that_lead_nowhere(run: Path):
    Path(os.fsdecode(os.fsencode(run) + b"/cells/\xff")).write_bytes(b"x")
    before = manifest_of(run)
    assert "cells/\\udcff" in before.files
    (run / "cells" / "gone").symlink_to(run / "nowhere")
    with pytest.raises(EvidenceError, match=r"cells/gone: cannot be read"):
        manifest_of(run)
    assert Change("cells/gone", "added") in changes(run, before)
