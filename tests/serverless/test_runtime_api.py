"""The Runtime API by a client that this test plays, over real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.serverless.door import Exited, Late, Raised, Unspeakable
from harness.serverless.http import Message, request, take
from harness.serverless.runtime_api import RuntimeApi

_NEXT = "/2018-06-01/runtime/invocation/next"
_SOON_S = 20.0


class Client:
    """One connection to the Runtime API."""

    def __init__(self, api: RuntimeApi) -> None:
        host, port = api.address.split(":")
        self.end = socket.create_connection((host, int(port)), timeout=_SOON_S)
        self.buffer = bytearray()

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        self.end.sendall(request(method, path, "here", body))

    def receive(self) -> Message:
        while (message := take(self.buffer)) is None:
            data = self.end.recv(1 << 16)
            assert data, "the API closed the connection"
            self.buffer += data
        return message


@contextmanager
def opened(script: str = "import time; time.sleep(60)") -> Iterator[RuntimeApi]:
    """An API that expects a process which does nothing."""
    api, process = RuntimeApi(512), subprocess.Popen([sys.executable, "-c", script])
    pidfd = os.pidfd_open(process.pid)
    try:
        api.opened(pidfd)
        yield api
    finally:
        process.kill()
        process.wait()
        os.close(pidfd)
        api.close()


def soon() -> float:
    return time.monotonic() + _SOON_S


def nothing() -> None:
    """Do nothing."""


def played(client: Client, *steps: tuple[str, str, bytes]) -> threading.Thread:
    """Answer invocations in a thread: each step is a method, a path with {id}, and a body."""

    def play() -> None:
        name = ""
        for method, path, body in steps:
            client.send(method, path.format(id=name), body)
            name = client.receive().headers.get("lambda-runtime-aws-request-id", name)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    return thread


def test_an_invocation_goes_out_and_its_answer_comes_back():
    with opened() as api:
        client = Client(api)
        thread = played(
            client, ("GET", _NEXT, b""), ("POST", "/2018-06-01/runtime/invocation/{id}/response", b'{"a":1}')
        )
        before = time.perf_counter_ns()
        ready = api.ready(soon(), nothing)
        answer = api.ask(b'{"row":1}', soon(), nothing)
        assert answer.body == b'{"a":1}'
        assert before <= ready <= answer.begin_ns <= answer.end_ns <= time.perf_counter_ns()
        thread.join(_SOON_S)


def test_the_next_invocation_has_what_lambda_says_of_it_and_comes_in_one_piece():
    with opened() as api:
        client = Client(api)
        client.send("GET", _NEXT)
        api.ready(soon(), nothing)
        with pytest.raises(Late):
            api.ask(b"x" * 500, time.monotonic() + 0.05, nothing)
        (connection,) = (key.data for key in api._watch.selector.get_map().values() if key.data is not None)
        assert connection.end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        first = client.end.recv(1 << 16)
        message = take(bytearray(first))
        assert message is not None, "head and body left in two pieces"
        assert message.body == b"x" * 500
        assert {"lambda-runtime-aws-request-id", "lambda-runtime-deadline-ms"} <= set(message.headers)
        assert int(message.headers["lambda-runtime-deadline-ms"]) > 1000 * time.time() - 60_000


def test_an_error_in_init_is_raised_with_its_type():
    with opened() as api:
        told = json.dumps({"errorType": "Runtime.ImportModuleError", "errorMessage": "no module x"}).encode()
        played(Client(api), ("POST", "/2018-06-01/runtime/init/error", told))
        with pytest.raises(Raised) as found:
            api.ready(soon(), nothing)
        assert (found.value.kind, found.value.text, found.value.in_init) == (
            "Runtime.ImportModuleError",
            "no module x",
            True,
        )


@pytest.mark.parametrize("told", [b"", b"[]", b"not JSON", b'"text"'])
def test_an_error_that_cannot_be_read_is_an_error_all_the_same(told):
    with opened() as api:
        client = Client(api)
        played(client, ("GET", _NEXT, b""), ("POST", "/2018-06-01/runtime/invocation/{id}/error", told))
        with pytest.raises(Raised) as found:
            api.ask(b"{}", soon(), nothing)
        assert not found.value.in_init


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", _NEXT),
        ("POST", "/2018-06-01/runtime/invocation/other/response"),
        ("POST", "/2018-06-01/runtime/invocation/other/nonsense"),
    ],
)
def test_what_the_api_does_not_have_is_not_spoken(method, path):
    with opened() as api:
        client = Client(api)
        client.send(method, path)
        with pytest.raises(Unspeakable):
            api.ready(soon(), nothing)
        assert client.receive().first[1] in ("400", "404")


def test_bytes_that_are_no_http_are_not_spoken():
    with opened() as api:
        client = Client(api)
        client.end.sendall(b"hello there\r\n\r\n")
        with pytest.raises(Unspeakable, match="first line that is not HTTP"):
            api.ready(soon(), nothing)


def test_a_client_that_never_asks_is_late_and_one_that_ends_has_exited():
    with opened() as api, pytest.raises(Late):
        api.ready(time.monotonic() + 0.05, nothing)
    with opened("pass") as api, pytest.raises(Exited):
        api.ready(soon(), nothing)


def test_what_a_process_sent_before_it_ended_counts():
    report = json.dumps({"errorType": "E", "errorMessage": "last words"})
    api = RuntimeApi()
    host, port = api.address.split(":")
    head = f"POST /2018-06-01/runtime/init/error HTTP/1.1\\r\\nContent-Length: {len(report)}\\r\\n\\r\\n"
    script = f"import socket; s = socket.create_connection(({host!r}, {port})); s.sendall(b'{head}{report}')"
    process = subprocess.Popen([sys.executable, "-c", script])
    pidfd = os.pidfd_open(process.pid)
    try:
        process.wait()
        api.opened(pidfd)
        with pytest.raises(Raised, match="last words"):
            api.ready(soon(), nothing)
    finally:
        os.close(pidfd)
        api.close()


def test_a_second_process_starts_from_nothing():
    with opened() as api:
        client = Client(api)
        client.send("GET", _NEXT)
        api.ready(soon(), nothing)
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pidfd = os.pidfd_open(process.pid)
        try:
            api.opened(pidfd)
            with pytest.raises(Late):
                api.ready(time.monotonic() + 0.05, nothing)
        finally:
            process.kill()
            process.wait()
            os.close(pidfd)
