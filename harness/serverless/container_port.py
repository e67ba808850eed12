"""The contract of containers, as Cloud Run and Knative have it: listen on $PORT, then answer HTTP requests.

Ready is when the port takes a connection (a TCP startup probe, tried every millisecond).
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Mapping

from harness.launch.child import readable
from harness.serverless.door import Answer, Exited, Late, Raised, Tick, Unspeakable, Watch
from harness.serverless.http import BadMessage, Message, request, take

_PROBE_S = 0.001
_TICK_PROBES = 200
_READ_BYTES = 1 << 18
_SEND_S = 10.0


class ContainerPort:
    """A door to a container. A request may have 32 MiB, as on Cloud Run with HTTP/1."""

    handler = "container"
    most_bytes = 32 << 20
    repeats_init = False

    def __init__(self, memory_mib: int | None = None) -> None:
        self._watch, self._pidfd = Watch(), -1
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self._end: socket.socket | None = None
        self._buffer = bytearray()
        self._message: Message | None = None

    def environment(self) -> Mapping[str, str]:
        """Return the port that the container is to listen on."""
        return {"PORT": str(self._port), "K_SERVICE": "harness"}

    def opened(self, pidfd: int) -> None:
        """Expect a process."""
        self._watch.forget()
        self._watch.opened(pidfd)
        self._pidfd = pidfd

    def ready(self, deadline: float, tick: Tick) -> int:
        """Wait until the port takes a connection, which the requests will use."""
        tries = 0
        while self._end is None:
            self._end = self._connected()
            if self._end is None and time.monotonic() > deadline:
                raise Late
            if self._end is None and readable(self._pidfd, _PROBE_S):
                raise Exited
            tries += 1
            if tries % _TICK_PROBES == 0:
                tick()
        return time.perf_counter_ns()

    def ask(self, event: bytes, deadline: float, tick: Tick) -> Answer:
        """Post one event and wait for its answer."""
        assert self._end is not None, "it was ready"
        self._message = None
        data = request("POST", "/", f"127.0.0.1:{self._port}", event)
        begin_ns = time.perf_counter_ns()
        try:
            self._end.sendall(data)
        except OSError as error:
            raise Unspeakable(f"it took no request: {error.strerror or error}") from error
        message = self._watch.until(lambda: self._message, self._serve, deadline, tick)
        end_ns = time.perf_counter_ns()
        if message.first[1] != "200":
            raise _reported(message)
        return Answer(begin_ns, end_ns, message.body)

    def close(self) -> None:
        """Close the connection."""
        self._watch.close()

    def _connected(self) -> socket.socket | None:
        """Try to connect; None where nothing listens yet."""
        try:
            end = socket.create_connection(("127.0.0.1", self._port), timeout=_SEND_S)
        except OSError:
            return None
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch.add(end)
        return end

    def _serve(self, key: selectors.SelectorKey) -> None:
        assert self._end is not None, "it was ready"
        try:
            data = self._end.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._watch.drop(self._end)
            if not readable(self._pidfd, 1.0):
                raise Unspeakable("it closed the connection without an answer")
            raise Exited
        self._buffer += data
        try:
            self._message = take(self._buffer)
        except BadMessage as error:
            raise Unspeakable(f"it answered {error}") from error


def _reported(message: Message) -> Raised:
    """Read the error that a container answers, as far as it can be read."""
    try:
        told = json.loads(message.body)
        return Raised(str(told["errorType"]), str(told["errorMessage"])[:2000], in_init=False)
    except (ValueError, KeyError, TypeError):
        return Raised(f"HTTP {message.first[1]}", message.body.decode("utf-8", "replace")[:200], in_init=False)
