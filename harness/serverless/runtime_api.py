"""The AWS Lambda Runtime API (2018-06-01), served here for one instance whose client is the real `awslambdaric`.

The client asks for the next invocation, answers it, and asks again; in INIT it may report an error instead. One thread
serves it: the one that waits for the answer.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from harness.serverless.door import Answer, Raised, Tick, Unspeakable, Watch
from harness.serverless.http import BadMessage, Message, response, take

_API = "/2018-06-01/runtime"
_READ_BYTES = 1 << 18
_SEND_S = 10.0
_ACCEPTED = b'{"status":"OK"}\n'


class _Connection:
    """One connection of the client, and what it has sent of a message."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.buffer = end, bytearray()
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.settimeout(_SEND_S)

    def send(self, data: bytes) -> None:
        """Send one piece; a client that is gone is seen by its end."""
        with suppress(OSError):
            self.end.sendall(data)


class _Invocation(NamedTuple):
    """An invocation under way: its id, and when it was sent (ns)."""

    id: str
    begin_ns: int


class RuntimeApi:
    """A door as AWS Lambda has it. `handler` is what the client imports; an event may have 6 MB, as its answer."""

    handler = "harness.worker.function.handler"
    most_bytes = 6 * 1000 * 1000
    repeats_init = True

    def __init__(self, memory_mib: int | None = None) -> None:
        self._watch, self._memory_mib = Watch(), memory_mib
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*listening.getsockname())
        self._watch.add(listening)
        self._waiting: _Connection | None = None
        self._asked_ns = 0
        self._invocation: _Invocation | None = None
        self._answer: Answer | None = None
        self._error: Raised | None = None

    def environment(self) -> Mapping[str, str]:
        """Return the variables that Lambda defines and the client or a handler may read."""
        memory = {} if self._memory_mib is None else {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._memory_mib)}
        return memory | {
            "AWS_LAMBDA_RUNTIME_API": self.address,
            "AWS_LAMBDA_FUNCTION_NAME": "harness",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "_HANDLER": self.handler,
        }

    def opened(self, pidfd: int) -> None:
        """Expect a process; what an earlier one asked for is forgotten."""
        self._watch.forget()
        self._waiting = self._invocation = self._answer = self._error = None
        self._watch.opened(pidfd)

    def ready(self, deadline: float, tick: Tick) -> int:
        """Wait until the client asks for an invocation: INIT is then done."""
        self._watch.until(self._asking, self._serve, deadline, tick)
        return self._asked_ns

    def ask(self, event: bytes, deadline: float, tick: Tick) -> Answer:
        """Give the client an invocation, once it asks for one, and wait for its answer."""
        asking = self._watch.until(self._asking, self._serve, deadline, tick)
        left_ms, name = round(1000 * max(0.0, deadline - time.monotonic())), str(uuid.uuid4())
        headers = {
            "Lambda-Runtime-Aws-Request-Id": name,
            "Lambda-Runtime-Deadline-Ms": str(round(1000 * time.time()) + left_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:000000000000:function:harness",
        }
        data, self._waiting, self._answer = response(200, event, headers), None, None
        self._invocation = _Invocation(name, time.perf_counter_ns())
        asking.send(data)
        return self._watch.until(self._answering, self._serve, deadline, tick)

    def close(self) -> None:
        """Close all connections."""
        self._watch.close()

    def _asking(self) -> _Connection | None:
        """Return the connection that waits for an invocation, if one does; raises what the client reports instead."""
        if self._error is not None:
            raise self._error
        return self._waiting

    def _answering(self) -> Answer | None:
        """Return the answer to the invocation, if it is there; raises what the client reports instead."""
        if self._error is not None:
            raise self._error
        return self._answer

    def _serve(self, key: selectors.SelectorKey) -> None:
        """Take a connection, or what can be read of one."""
        connection, now_ns = key.data, time.perf_counter_ns()
        if connection is None:
            assert isinstance(key.fileobj, socket.socket), "what is registered without data listens"
            end, _ = key.fileobj.accept()
            self._watch.add(end, _Connection(end))
            return
        try:
            data = connection.end.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._dropped(connection)
            return
        connection.buffer += data
        try:
            while (message := take(connection.buffer)) is not None:
                self._handle(connection, message, now_ns)
        except BadMessage as error:
            raise Unspeakable(f"it sent {error} to the Runtime API") from error

    def _dropped(self, connection: _Connection) -> None:
        self._watch.drop(connection.end)
        if connection is self._waiting:
            self._waiting = None

    def _handle(self, connection: _Connection, message: Message, now_ns: int) -> None:
        """Do what a request of the client asks for."""
        method, path = message.first[:2]
        if (method, path) == ("GET", f"{_API}/invocation/next"):
            self._waiting, self._asked_ns = connection, now_ns
        elif (method, path) == ("POST", f"{_API}/init/error"):
            self._error = _reported(message, in_init=True)
            connection.send(response(202, _ACCEPTED))
        elif method == "POST" and path.startswith(f"{_API}/invocation/"):
            self._answered(connection, message, path.removeprefix(f"{_API}/invocation/"), now_ns)
        else:
            connection.send(response(404, b"{}"))
            raise Unspeakable(f"it asked the Runtime API for {method} {path}, which there is not")

    def _answered(self, connection: _Connection, message: Message, rest: str, now_ns: int) -> None:
        name, _, what = rest.partition("/")
        if self._invocation is None or name != self._invocation.id or what not in ("response", "error"):
            connection.send(response(400, b'{"errorType":"InvalidRequestID","errorMessage":"unknown"}'))
            raise Unspeakable(f"it answered an invocation that it was not given ({rest[:80]})")
        if what == "error":
            self._error = _reported(message, in_init=False)
        else:
            self._answer = Answer(self._invocation.begin_ns, now_ns, message.body)
        self._invocation = None
        connection.send(response(202, _ACCEPTED))


def _reported(message: Message, in_init: bool) -> Raised:
    """Read the error that a client reports, as far as it can be read."""
    told: dict[str, object] = {}
    with suppress(ValueError):
        told = dict(json.loads(message.body))
    kind = told.get("errorType") or message.headers.get("lambda-runtime-function-error-type") or "Error"
    text = told.get("errorMessage") or message.body.decode("utf-8", "replace")
    return Raised(str(kind), str(text)[:2000], in_init)
