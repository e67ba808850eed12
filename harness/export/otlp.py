"""OpenTelemetry: a run as a trace. Its processes are spans, and so are the phases of each; OTLP in JSON.

Source: OpenTelemetry protocol 1.x, "JSON Protobuf Encoding" and "OpenTelemetry Protocol File Exporter": ids are
hexadecimal, 64-bit numbers are strings, one object per line.
"""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from harness import __version__
from harness.analyse.trials import TrialMetrics
from harness.errors import SpecError
from harness.evidence.files import write_whole
from harness.evidence.folder import read_events
from harness.export.base import Source
from harness.spec.outcome import Fact, Launched

_INTERNAL, _OK, _ERROR = 1, 1, 2
"""SpanKind and Status.code of the protocol."""
_TIMEOUT_S = 30.0


class Span(NamedTuple):
    """A span: its path within the run, which makes its id; begin and end in ns since 1970."""

    path: str
    parent: str | None
    name: str
    begin_ns: int
    end_ns: int
    attributes: Mapping[str, Fact]
    error: str | None = None


class Process(NamedTuple):
    """A process of a cell, what its launcher told, and when it began (ns since 1970)."""

    cell: str
    trial: TrialMetrics
    launched: Launched
    began_unix_ns: int


def spans(source: Source) -> list[Span]:
    """Return the run's span, those of its processes, and of their phases; the run's first."""
    processes = list(_processes(source))
    found = [span for process in processes for span in _process(process)]
    record = source.ranked.record
    created = int(datetime.fromisoformat(record.created).timestamp() * 1e9)
    begin, end = min([created, *(s.begin_ns for s in found)]), max([created, *(s.end_ns for s in found)])
    stamped = all(each.launched.began_unix_ns is not None for each in processes)
    told: dict[str, Fact] = {
        "harness.suite": source.suite,
        "harness.seed": record.seed,
        "harness.clock_stamped": stamped,
    }
    return [Span("", None, f"run {source.suite}", begin, end, told), *found]


def _processes(source: Source) -> Iterator[Process]:
    """Yield the processes of all cells. One without a calendar's stamp is placed by the first, as the run began."""
    cells, reader = source.reader.cells, source.reader
    told = [
        (cell.name, trial, trial.outcome.launched)
        for cell in cells
        for trial in (*reader.cold(cell.name), *reader.trials(cell.name))
        if trial.outcome.launched is not None and trial.outcome.launched.begin_ns
    ]
    first = min((launched.begin_ns for *_, launched in told), default=0)
    created = int(datetime.fromisoformat(source.ranked.record.created).timestamp() * 1e9)
    for name, trial, launched in told:
        guess = created + launched.begin_ns - first
        yield Process(name, trial, launched, guess if launched.began_unix_ns is None else launched.began_unix_ns)


def _process(process: Process) -> Iterator[Span]:
    """Yield the span of a process, and one for each phase: from its mark to the next one, or to the end."""
    cell, trial, launched, began = process
    outcome, path = trial.outcome, f"{cell}/{trial.folder.name}"
    candidate, _, target = cell.partition("@")
    told: dict[str, Fact] = {"harness.candidate": candidate, "harness.target": target, "harness.block": trial.block}
    told |= {
        "harness.status": outcome.status,
        "harness.launcher": launched.launcher,
        "harness.failure": outcome.failure,
    }
    end = began + launched.wall_ns
    failed = None if outcome.status == "ok" else outcome.message or outcome.status
    yield Span(path, "", f"{trial.folder.name} {cell}", began, end, told, failed)
    events, _ = read_events(trial.folder)
    marks = [began + event.t_ns - launched.begin_ns for event in events]
    for number, (event, begin) in enumerate(zip(events, marks, strict=True)):
        until = max(begin, marks[number + 1] if number + 1 < len(marks) else end)
        yield Span(f"{path}/{number}", path, event.phase, begin, until, {"harness.note": event.note or None})


def request_of(source: Source) -> dict[str, Any]:
    """Return the trace as an ExportTraceServiceRequest in JSON."""
    record = source.ranked.record
    trace = _id(record.id, 32)
    resource = {"service.name": "harness", "service.version": record.harness, "harness.run": record.id}
    host = source.ranked.hosts[0][0] if source.ranked.hosts else {}
    resource |= {f"host.{name}": str(host[name]) for name in ("cpu", "machine") if host.get(name)}
    scope = {"name": "harness", "version": __version__}
    made = [_encoded(span, trace, record.id) for span in spans(source)]
    found = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": made}]}
    return {"resourceSpans": [found]}


def _encoded(span: Span, trace: str, run: str) -> dict[str, Any]:
    status = {"code": _OK} if span.error is None else {"code": _ERROR, "message": span.error}
    parent = {} if span.parent is None else {"parentSpanId": _id(f"{run}/{span.parent}", 16)}
    return {
        "traceId": trace,
        "spanId": _id(f"{run}/{span.path}", 16),
        **parent,
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": str(span.begin_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
        "status": status,
    }


def _attributes(values: Mapping[str, Fact]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _id(text: str, digits: int) -> str:
    """Return an id that is the same in every export of a run, so that a collector sees it once."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


class Otlp:
    """Writes a trace into a file, or sends it to a collector: `--out http://host:4318`."""

    name = "trace.otlp.jsonl"

    def export(self, source: Source, out: str) -> str:
        """Write or send the trace; `out` is a file, or the address of an OTLP/HTTP receiver."""
        request = request_of(source)
        data = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if out.startswith(("http://", "https://")):
            _send(out, data)
        else:
            write_whole(Path(out), lambda path: path.write_bytes(data))
        return f"{len(request['resourceSpans'][0]['scopeSpans'][0]['spans'])} spans"


def _send(address: str, data: bytes) -> None:
    url = address if address.rstrip("/").endswith("/v1/traces") else f"{address.rstrip('/')}/v1/traces"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return
    except (urllib.error.URLError, OSError, ValueError) as error:
        mend = "give the address of an OTLP/HTTP receiver, http://localhost:4318 for instance, or a file"
        raise SpecError(f"--out {address}", f"did not take the trace: {error}", mend) from error


EXPORTER = Otlp()
