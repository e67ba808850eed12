"""HTTP/1.1 as far as an instance and its platform need it: whole messages with a Content-Length. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

_MOST_HEAD = 64 << 10
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 411: "Length Required"}


class BadMessage(Exception):
    """What was sent is not HTTP, or not as much of it as is spoken here."""


class Message(NamedTuple):
    """A request or a response: the words of its first line, headers in lower case, body."""

    first: tuple[str, ...]
    headers: dict[str, str]
    body: bytes


def take(buffer: bytearray) -> Message | None:
    """Take one whole message from the front of a buffer; None, and nothing is taken, where it is not whole yet.

    Raises BadMessage.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _MOST_HEAD:
            raise BadMessage("a head without an end")
        return None
    first, headers = _head(bytes(buffer[:end]))
    length = headers.get("content-length", "0")
    if not length.isdecimal() or "transfer-encoding" in headers:
        raise BadMessage("a body whose length is not given")
    whole = end + 4 + int(length)
    if len(buffer) < whole:
        return None
    message = Message(first, headers, bytes(buffer[end + 4 : whole]))
    del buffer[:whole]
    return message


def _head(head: bytes) -> tuple[tuple[str, ...], dict[str, str]]:
    line, *rest = head.decode("latin-1").split("\r\n")
    first = tuple(line.split(" ", 2))
    if len(first) < 2 or not any(word.startswith("HTTP/1.") for word in (first[0], first[-1])):
        raise BadMessage(f"a first line that is not HTTP: {line[:80]!r}")
    pairs = (each.partition(":") for each in rest)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


def response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a response as one piece: in two, the second waits for the peer's delayed acknowledgement (40 ms)."""
    return _message(f"HTTP/1.1 {status} {_REASONS.get(status, 'Other')}", body, headers or {})


def request(method: str, path: str, host: str, body: bytes) -> bytes:
    """Return a request as one piece."""
    return _message(f"{method} {path} HTTP/1.1", body, {"Host": host})


def _message(first: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [first, *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
