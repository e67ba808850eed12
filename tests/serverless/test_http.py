from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.serverless.http import BadMessage, Message, request, response, take

_CHUNKS = st.lists(st.integers(1, 40), max_size=60)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), _CHUNKS)
def test_messages_come_out_whole_however_they_are_cut(bodies, cuts):
    data = b"".join(request("POST", f"/{n}", "here", body) for n, body in enumerate(bodies))
    buffer, found = bytearray(), list[Message]()
    for size in [*cuts, len(data)]:
        buffer += data[:size]
        data = data[size:]
        while (message := take(buffer)) is not None:
            found.append(message)
    assert [message.body for message in found] == bodies
    assert [message.first[1] for message in found] == [f"/{n}" for n in range(len(bodies))]
    assert not buffer


def test_a_response_has_its_headers_and_its_length():
    message = take(bytearray(response(202, b"{}", {"Lambda-Runtime-Aws-Request-Id": "a: b"})))
    assert message is not None
    assert message.first == ("HTTP/1.1", "202", "Accepted")
    assert message.headers["lambda-runtime-aws-request-id"] == "a: b"
    assert message.headers["content-length"] == "2"


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / FTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: minus\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_spoken_here_is_refused(data):
    with pytest.raises(BadMessage):
        take(bytearray(data))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    with contextlib.suppress(BadMessage):
        take(bytearray(data))
