"""The page in a real browser: it sorts, filters, opens reasons, and asks nobody for anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
INTERACTIVE_MS = 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A headless Chromium of this system; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser) -> Iterator[object]:
    """Opens pages; what they ask for, print, or fail with is an error at the end."""
    contexts, told = [], []

    def go(path: Path, **options: object) -> SimpleNamespace:
        contexts.append(browser.new_context(**({"viewport": DESK} | options)))
        view = contexts[-1].new_page()
        view.on("console", lambda message: told.append(f"console: {message.text}"))
        view.on("pageerror", lambda error: told.append(f"error: {error}"))
        view.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
        view.on("request", lambda request: told.append(request.url) if request.url != path.as_uri() else None)
        view.goto(path.as_uri())
        return view

    yield go
    for context in contexts:
        context.close()
    assert told == []


def rows(view) -> list[str]:
    """The rows that are seen, in their order."""
    return view.eval_on_selector_all(
        "#ranked > tbody", "all => all.filter(b => b.offsetHeight).map(b => b.querySelector('th b').textContent)"
    )


def column(view, name: str) -> int:
    heads = view.eval_on_selector_all("#ranked > thead th", "all => all.map(h => h.textContent)")
    return next(at for at, head in enumerate(heads) if head.startswith(name))


def sorts(view, name: str) -> list[str]:
    at = column(view, name)
    return view.eval_on_selector_all("#ranked > tbody", f"all => all.map(b => b.rows[0].cells[{at}].dataset.sort)")


def press(view, name: str) -> None:
    view.locator("#ranked > thead th button").nth(column(view, name)).click()


@pytest.mark.parametrize("name", ["p99", "accuracy", "score", "candidate"])
def test_a_heading_sorts_and_sorts_back_with_the_unknown_last(opened, page, name):
    view = opened(page)
    before = rows(view)
    press(view, name)
    first = sorts(view, name)
    press(view, name)
    second = sorts(view, name)
    known = [text for text in first if text]
    assert first == known + [""] * (len(first) - len(known))
    ordered = sorted(known, key=float if name != "candidate" else str)
    assert known in (ordered, ordered[::-1])
    assert [text for text in second if text] != known
    press(view, "#")
    assert rows(view) == before


def test_the_first_click_shows_the_best_first(opened, page):
    view = opened(page)
    for name, best in (("p99", min), ("accuracy", max)):
        press(view, name)
        known = [float(text) for text in sorts(view, name) if text]
        assert known[0] == best(known)
        assert view.locator("[aria-sort]").count() == 1


def test_words_and_kinds_filter(opened, page):
    view = opened(page)
    view.fill("#find", "crash")
    assert rows(view) == ["net-10"]
    assert view.text_content("#shown") == "1 of 12 rows"
    view.fill("#find", "NET-0 box")
    assert len(rows(view)) == 10
    view.fill("#find", "")
    view.select_option("#which", "out")
    assert set(rows(view)) >= {"net-10", "net-11"}
    view.select_option("#which", "best")
    assert 0 < len(rows(view)) < 12
    view.fill("#find", "no such row")
    assert rows(view) == []


def test_a_row_opens_to_its_reasons_by_mouse_and_by_key(opened, page):
    view = opened(page)
    opener, why = view.locator("#ranked > tbody th button").first, view.locator("#ranked > tbody .why").first
    assert not why.is_visible() and opener.get_attribute("aria-expanded") == "false"
    opener.click()
    assert why.is_visible() and opener.get_attribute("aria-expanded") == "true"
    assert "place 1 of" in why.inner_text()
    opener.press("Enter")
    assert not why.is_visible()
    view.click("#open-all")
    assert view.locator("#ranked > tbody.open").count() == 12
    why.locator("summary").click()
    assert "requests in 4 trials" in why.inner_text()


def test_sorting_keeps_open_reasons_with_their_row(opened, page):
    view = opened(page)
    view.locator("#ranked > tbody th button").first.click()
    press(view, "score")
    press(view, "score")
    assert view.locator("#ranked > tbody.open").count() == 1
    assert "place 1 of" in view.locator("#ranked > tbody.open .why").inner_text()


def test_pointing_at_a_mark_names_its_row_and_highlights_it_everywhere(opened, page):
    view = opened(page)
    view.locator("#pareto [data-row='2'] path").first.hover(force=True)
    assert view.inner_text("#tip").endswith("@box")
    assert view.locator("#ranked > tbody[data-row='2']").evaluate("body => body.classList.contains('hot')")
    view.locator("h1").hover()
    assert not view.locator("#tip").is_visible() and view.locator(".hot").count() == 0


def test_any_two_metrics_can_be_drawn(opened, page):
    view = opened(page)
    count = view.locator("#axis-up option").count()
    assert count >= 6
    for at in range(count):
        view.select_option("#axis-up", str(at))
    view.select_option("#axis-across", str(count - 1))
    marks = view.locator("#pareto g[data-row]")
    assert marks.count() >= 10
    label = view.locator("#axis-up option").nth(count - 1).inner_text()
    assert label in view.locator("#pareto svg").get_attribute("aria-label")
    boxes = [marks.nth(at).locator("circle").bounding_box() for at in range(marks.count())]
    frame = view.locator("#pareto svg").bounding_box()
    assert all(frame["x"] < box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"] for box in boxes)


def test_markup_in_names_does_nothing(opened, hostile):
    view = opened(hostile)
    assert "<script>alert(1)</script>" in view.inner_text("#ranked")
    assert view.locator("#ranked img").count() == 0


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_its_window_and_is_readable_in_both_schemes(opened, page, size, scheme):
    view = opened(page, viewport=size, color_scheme=scheme)
    assert view.evaluate("document.documentElement.scrollWidth") <= size["width"]
    ink, paper = brightness(view, "body", "color"), brightness(view, "body", "backgroundColor")
    text = brightness(view, "figure svg text", "fill")
    assert abs(ink - paper) > 150 and abs(text - paper) > 150
    assert (paper > 128) == (scheme == "light")
    if size is PHONE:
        smallest = view.evaluate(
            "Math.min(...[...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect().height))"
        )
        assert smallest > 6, "the text of plots can be read on a phone"


def brightness(view, selector: str, what: str) -> float:
    colour = view.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return 0.3 * red + 0.59 * green + 0.11 * blue


def test_on_paper_reasons_are_shown_and_controls_are_not(opened, page):
    view = opened(page, color_scheme="dark")
    view.emulate_media(media="print")
    assert view.locator("#ranked > tbody .why").nth(3).is_visible()
    assert not view.locator("#find").is_visible()
    assert brightness(view, "body", "backgroundColor") > 250
    view.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert view.locator("#provenance details").first.get_attribute("open") is not None
    assert len(view.pdf()) > 10_000


def test_without_scripts_everything_can_be_read(opened, page):
    view = opened(page, java_script_enabled=False)
    assert view.locator("#ranked > tbody .why").first.is_visible()
    assert not view.locator("#find").is_visible()
    assert view.locator("#pareto svg").is_visible()
