"""A trace, read by OpenTelemetry's own protobuf messages, from a file and by a receiver."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.errors import SpecError
from harness.evidence.files import read_json, write_json
from harness.evidence.folder import read_events
from harness.export.base import open_source
from harness.export.otlp import EXPORTER
from harness.spec.outcome import Outcome


def decoded(data: bytes) -> list:
    """Decode OTLP in JSON: protobuf's JSON but for ids, which are hexadecimal. An unknown field is an error."""
    content = json.loads(data)
    for span in content["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in span:
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    request = ParseDict(content, ExportTraceServiceRequest())
    return list(request.resource_spans[0].scope_spans[0].spans)


def test_phases_are_spans_within_their_process_within_the_run(source, tmp_path):
    EXPORTER.export(source, str(tmp_path / "x.jsonl"))
    (line,) = (tmp_path / "x.jsonl").read_bytes().splitlines()
    spans = decoded(line)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    assert {len(span.trace_id) for span in spans} == {16}
    (root,) = [span for span in spans if not span.parent_span_id]
    trial = next(span for span in spans if span.name == "trial-01 quick@here")
    assert by_id[trial.parent_span_id] is root
    phases = [span for span in spans if span.parent_span_id == trial.span_id]
    events, _ = read_events(source.ranked.folder / "cells/quick@here/trial-01")
    assert [span.name for span in phases] == [event.phase for event in events]
    for before, after, (a, b) in zip(phases, phases[1:], pairwise(events), strict=False):
        assert before.end_time_unix_nano == after.start_time_unix_nano
        assert before.end_time_unix_nano - before.start_time_unix_nano == b.t_ns - a.t_ns
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano < time.time_ns()


def test_a_failed_process_is_an_error_with_its_message(source, tmp_path):
    EXPORTER.export(source, str(tmp_path / "x.jsonl"))
    failed = [span for span in decoded((tmp_path / "x.jsonl").read_bytes()) if span.status.code == 2]
    assert [span.name for span in failed] == ["cold-01 broken@here"]
    assert failed[0].status.message


def test_evidence_without_a_calendars_stamp_is_placed_by_when_the_run_began(run_copy, tmp_path):
    for path in run_copy.glob("cells/*/*/outcome.json"):
        outcome = read_json(path, Outcome)
        write_json(path, replace_stamp(outcome))
    EXPORTER.export(open_source(run_copy), str(tmp_path / "x.jsonl"))
    root, *spans = decoded((tmp_path / "x.jsonl").read_bytes())
    assert min(span.start_time_unix_nano for span in spans) == root.start_time_unix_nano
    told = {each.key: each.value.bool_value for each in root.attributes}
    assert told["harness.clock_stamped"] is False


def replace_stamp(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, launched=msgspec.structs.replace(outcome.launched, began_unix_ns=None))


class Receiver(BaseHTTPRequestHandler):
    """Takes OTLP/HTTP as a collector does."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_receiver_gets_the_same_trace(source, receiver, tmp_path):
    address = f"http://127.0.0.1:{receiver.server_port}"
    EXPORTER.export(source, address)
    EXPORTER.export(source, str(tmp_path / "x.jsonl"))
    ((path, kind, body),) = receiver.got
    assert (path, kind) == ("/v1/traces", "application/json")
    assert decoded(body) == decoded((tmp_path / "x.jsonl").read_bytes())


def test_a_receiver_that_refuses_or_is_not_there_is_named(source, receiver):
    receiver.answer = 503
    address = f"http://127.0.0.1:{receiver.server_port}"
    with pytest.raises(SpecError, match="did not take the trace: HTTP Error 503"):
        EXPORTER.export(source, address)
    with pytest.raises(SpecError, match="did not take the trace"):
        EXPORTER.export(source, "http://127.0.0.1:1")
