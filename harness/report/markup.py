"""HTML as text that knows whether it is escaped: whatever is not `Html` is escaped where it is put into an element."""

from html import escape

import msgspec

Attribute = str | int | float | None
_VOID = frozenset(("meta", "input", "br", "hr"))


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def el(name: str, /, *content: str | None, **attributes: Attribute) -> Html:
    """Return an element; plain text in it is escaped, and None is left out.

    `class_` is the attribute class, `data_row` is data-row. An attribute that is None is left out, an empty one bare.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{joined(*content)}</{name}>")


def joined(*content: str | None) -> Html:
    """Return pieces one after the other, plain text escaped."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in content if each is not None))


def data(name: str, value: object) -> Html:
    """Return data for the page's script, as an element with the id `name`."""
    text = msgspec.json.encode(value).decode().replace("<", "\\u003c")
    return el("script", Html(text), type="application/json", id=name)


def _attribute(key: str, value: str | int | float) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value == "" else f' {name}="{escape(str(value))}"'
