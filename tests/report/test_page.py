"""What report.html holds, read as a document."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

from harness.analyse.reader import open_run
from harness.pipeline.conclude import conclude, load_ranked
from harness.report.page.material import gathered
from harness.report.page.page import SECTIONS
from harness.report.page.page import page as page_of
from harness.report.page.ranked import basis
from harness.score.records import Basis, Measure

from .conftest import HOSTILE, paged

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"
_VOID = ("meta", "input", "br", "path", "use", "rect")


class Document(HTMLParser):
    """Tags with their attributes, ids, the text of scripts, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def document(page: Path) -> Document:
    return Document(page.read_text())


def test_every_element_is_closed_and_every_id_is_unique(document):
    assert document.open == []
    ids = Counter(attrs["id"] for _, attrs in document.tags if "id" in attrs)
    assert [name for name, count in ids.items() if count > 1] == []


def test_the_decision_comes_first_and_every_section_is_there(document):
    ids = [attrs.get("id") for tag, attrs in document.tags if tag in ("div", "section") and "id" in attrs]
    wanted = ["decision", "ranking", "tradeoffs", "latency", "starts", "memory", "quality", "weights", "remarks"]
    assert [each for each in ids if each in wanted] == wanted
    links = [attrs["href"] for tag, attrs in document.tags if tag == "a"]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)


def test_every_row_is_there_with_its_fate_and_its_reasons(document, twelve):
    ranking = load_ranked(twelve).ranking
    bodies = [attrs for tag, attrs in document.tags if tag == "tbody" and "data-text" in attrs]
    assert len(bodies) == len(ranking.rows) == 12
    assert sum("best" in (attrs["class"] or "") for attrs in bodies) == sum(row.may_be_best for row in ranking.rows)
    for words in ("ended by SIGSEGV", "no such device", "failed: crash", "net-00", "all metrics"):
        assert words in document.text


def test_what_is_not_known_is_never_a_number(document):
    assert "nan" not in document.text.lower().split() and "None" not in document.text.split()
    broken = re.search(r"net-10.*?</tr>", document.text, re.S)
    assert broken is None or "0.000" not in broken[0]


def test_nothing_is_loaded_and_one_script_runs(page, document):
    loading = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
    told = [value for _, attrs in document.tags for name, value in attrs.items() if name in loading]
    assert [value for value in told if not value.startswith("#")] == []
    assert {tag for tag, _ in document.tags} & {"link", "img", "iframe", "object", "base", "form"} == set()
    text = page.read_text()
    assert re.findall(r"@import|url\((?!#)", text) == []
    (policy,) = [attrs["content"] for _, attrs in document.tags if attrs.get("http-equiv")]
    running = [attrs for tag, attrs in document.tags if tag == "script" and attrs.get("type") != "application/json"]
    assert len(running) == 1 and "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(document.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_pictures_say_what_they_show(document):
    pictures = [attrs for tag, attrs in document.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 20 for attrs in pictures)
    assert len(re.findall(r"<desc>", document.get_starttag_text() or "")) == 0


def test_a_colour_is_named_beside_its_plot(document):
    after = {name: document.text.split(f"{name}")[-1] for name in ("Memory that the first", "The row with the highest")}
    assert "first inference" in after["Memory that the first"].split("0 MiB")[0], "phases of a process"
    assert "net-0" in after["The row with the highest"].split("Not measured")[0], "rows that win under some weights"


def test_markup_in_names_reasons_and_notes_stays_text(hostile):
    text = hostile.read_text()
    seen = Document(text)
    assert seen.open == [] and HOSTILE in seen.text
    assert "<script>alert" not in text and "<img" not in text
    assert all("x.example" not in (value or "") for tag, attrs in seen.tags for value in [attrs.get("src")])


def test_provenance_has_the_command_digests_versions_and_host(document):
    for words in (
        "harness run",
        "--target box",
        "--seed 1",
        f"SHA-256 {0:064x}",
        "a made-up processor",
        "fake",
        "made up",
    ):
        assert words in document.text


def test_a_run_without_cold_trials_has_fewer_sections(tmp_path):
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    conclude(folder)
    reader = open_run(folder)
    of = gathered(load_ranked(folder, reader), reader)
    found = [section.id for make in SECTIONS if (section := make(of)) is not None]
    assert "starts" not in found and "latency" in found
    assert found[0] == "ranking" and found[-1] == "provenance"
    assert Document(page_of(of)).open == []


def test_nothing_measured_is_a_page_too(tmp_path):
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    shutil.rmtree(folder / "cells")
    conclude(folder)
    text = paged(folder).read_text()
    assert "No row is eligible" in text and "never run" not in text.split("<style>")[0]


def test_damaged_requests_cost_their_curve_only(twelve, tmp_path):
    folder = Path(shutil.copytree(twelve, tmp_path / "run"))
    for path in folder.glob("cells/net-00@box/trial-*/requests/interactive/latency.npy"):
        path.write_bytes(path.read_bytes()[:200])
    assert "net-01@box" in paged(folder).read_text()


def test_the_same_run_is_the_same_page(page):
    before = page.read_bytes()
    assert paged(page.parent).read_bytes() == before


def test_numbers_of_the_table_are_those_of_the_ranking(document, twelve):
    ranking = load_ranked(twelve).ranking
    sorts = [attrs["data-sort"] for tag, attrs in document.tags if tag == "td" and "data-sort" in attrs]
    scores = {float(text) for text in sorts if text}
    for row in ranking.rows:
        if row.score is not None:
            assert np.isclose(row.score, min(scores, key=lambda each: abs(each - row.score)))
    assert msgspec.json.decode(re.search(r'id="names">(.*?)</script>', (twelve / "report.html").read_text())[1]) == [
        f"{row.candidate}@{row.target}" for row in ranking.rows
    ]


@pytest.mark.parametrize("kind", get_args(Basis))
def test_every_number_says_what_it_rests_on(kind):
    said = basis(Measure(value=1.0, low=0.5, high=2.0, n=1234, trials=5, unit="ms", basis=kind, effective_n=99.0))
    assert said == "exact, worth 99" if kind == "exact" else any(count in said for count in ("1,234", "5 processes"))
