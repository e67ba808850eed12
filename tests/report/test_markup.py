"""HTML that knows what is escaped."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from harness.report.markup import Html, data, el, joined


class Seen(HTMLParser):
    """Which tags a text has, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_plain_text_is_escaped_and_markup_is_not():
    assert el("p", "a < b & c", el("b", '"d"')) == "<p>a &lt; b &amp; c<b>&quot;d&quot;</b></p>"
    assert joined("<", Html("<br>"), None) == "&lt;<br>"


def test_attributes_are_escaped_named_and_left_out():
    assert el("td", class_="a b", data_row=3, title=None) == '<td class="a b" data-row="3"></td>'
    assert el("input", value='"><script>', disabled="") == '<input value="&quot;&gt;&lt;script&gt;" disabled>'


@given(st.text(), st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), min_size=1))
def test_no_text_can_become_a_tag(inside, value):
    seen = Seen(el("p", inside, title=value))
    assert seen.tags == [("p", {"title": value})]


@given(st.recursive(st.text(), st.lists))
def test_data_cannot_end_its_script(value):
    assert str(data("x", value)).count("<") == 2
