"""An instance as a container: HTTP on $PORT, once the model is loaded. `POST /` with an event answers it."""

import json
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

from harness.worker.marks import mark
from harness.worker.own import load


class Server(TCPServer):
    """Serves one connection at a time. `HTTPServer` would look its host's name up, which may take seconds."""

    allow_reuse_address = True

    def __init__(self, port: int, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection, request by request. Each response leaves in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        """Answer an event; 500 with its error where the model raises one."""
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = 200, self.server.answer(json.loads(body))
        except Exception as error:  # noqa: BLE001 - the edge of the instance: a model may raise anything
            traceback.print_exc()
            status, answer = 500, {"errorType": type(error).__name__, "errorMessage": str(error)}
        data = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\nContent-Type: application/json\r\n"
        self.wfile.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def serve(port: int, folder: str) -> None:
    """Load the model, then listen; what keeps the model from being loaded is left in `folder`, as a mark."""
    try:
        answer = load().answer
    except Exception as error:  # noqa: BLE001 - the edge of the instance
        traceback.print_exc()
        mark(folder, "failed", time.perf_counter_ns(), json.dumps(f"{type(error).__name__}: {error}"))
        sys.exit(1)
    with Server(port, answer) as server:
        server.serve_forever(poll_interval=3600)
