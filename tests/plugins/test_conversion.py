"""Formats and conversions of a third party: chains, options, parity with the candidate's own outputs."""

from __future__ import annotations

import hashlib

import pytest

TABLE, GRID = '{"classes": 6}', '{"rows": 2, "columns": 3}'
TWO_STEPS = ["grid-to-table", "table-to-fake"]


def test_a_new_format_is_converted_and_measured_as_its_options_say(bench) -> None:
    done = bench.run({"t.table.json": TABLE}, target="[conversion]\nlatency_ms = 2.0\n")
    assert done.status == 0, done.text
    variant = done.read("prepare.json")["cells"]["t@place"]["variant"]
    assert variant["format"] == "fake"
    assert (variant["steps"], variant["options"]) == (["table-to-fake"], {"latency_ms": 2.0})
    assert variant["parity"] == {"rows": 120, "max_abs_diff": 0.0, "top1_agreement": 1.0}
    staged = done.run / variant["path"]
    assert hashlib.sha256(staged.read_bytes()).hexdigest() == variant["digest"]
    assert variant["bytes"] == staged.stat().st_size
    metrics = done.row("t")["metrics"]
    assert metrics["latency_p50_ms"]["value"] == pytest.approx(2.0)
    assert metrics["accuracy"]["value"] == 1.0


def test_a_chain_of_two_is_compared_with_the_candidate_itself(bench) -> None:
    done = bench.run({"g.grid.json": GRID}, target="[conversion]\nlatency_ms = 2.0\npad = 0\n")
    assert done.status == 0, done.text
    variant = done.read("prepare.json")["cells"]["g@place"]["variant"]
    assert (variant["steps"], variant["options"]) == (TWO_STEPS, {"latency_ms": 2.0, "pad": 0})
    assert variant["parity"]["rows"] == 120
    wider = bench.run({"g.grid.json": GRID}, target="[conversion]\nlatency_ms = 2.0\npad = 2\n")
    cell = wider.read("prepare.json")["cells"]["g@place"]
    assert cell["status"] == "failed" and "gives shape (120, 8), its original (120, 6)" in cell["why"]
    assert wider.row("g")["status"] == "failed"


def test_a_conversion_that_changes_the_outputs_is_found_out(bench) -> None:
    done = bench.run({"t.table.json": TABLE}, target="[conversion]\naccuracy = 0.5\n")
    row, cell = done.row("t"), done.read("prepare.json")["cells"]["t@place"]
    assert (row["status"], row["failure"]) == ("failed", "output_error")
    assert cell["variant"]["parity"]["max_abs_diff"] == 1.0
    assert 0.3 < cell["variant"]["parity"]["top1_agreement"] < 0.7


def test_an_option_may_be_for_the_chain_of_another_candidate(bench) -> None:
    done = bench.run({"t.table.json": TABLE, "g.grid.json": GRID}, target="[conversion]\nlatency_ms = 2.0\npad = 0\n")
    assert done.status == 0, done.text
    cells = done.read("prepare.json")["cells"]
    assert cells["t@place"]["variant"]["options"] == {"latency_ms": 2.0}
    assert cells["g@place"]["variant"]["options"] == {"latency_ms": 2.0, "pad": 0}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("latency = 2.0", "conversion.latency: no option of table-to-fake"),
        ("latency_ms = 'slow'", "conversion.latency_ms: expected float, got str"),
    ],
)
def test_a_wrong_option_is_refused(bench, line: str, what: str) -> None:
    done = bench.run({"t.table.json": TABLE}, target=f"[conversion]\n{line}\n")
    assert done.status == 2
    assert f"target 'place': {what}" in done.text


def test_a_file_that_the_conversion_cannot_read_fails_its_cell_only(bench, fake) -> None:
    done = bench.run({"t.table.json": "[]", "m.fake.toml": fake})
    assert done.status == 0, done.text
    (reason, *_) = done.row("t")["reasons"]
    assert (reason["code"], done.row("t")["failure"]) == ("failed", "load_error")
    assert reason["message"].startswith("conversion table-to-fake: not a table: ")
    assert done.row("m")["place"] == 1
