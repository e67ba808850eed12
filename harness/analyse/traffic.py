"""What must be said of the traffic of a run: loads that differ from row to row, traces replayed in part."""

from contextlib import suppress

from harness.analyse.reader import RunReader
from harness.errors import EvidenceError
from harness.evidence.files import read_array
from harness.evidence.run import TRACES
from harness.scenarios.server import Server
from harness.score.words import percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.stats.arrivals import lasts_s


def traffic_notes(reader: RunReader) -> list[Diagnostic]:
    """Return the notes on a suite's open loops."""
    found = list[Diagnostic]()
    for scenario in reader.record.suite.scenario:
        if isinstance(scenario, Server):
            found += [*_by_share(scenario), *_in_part(scenario, reader)]
        if scenario.processes > 1:
            text = f"{scenario.name}: {scenario.processes} processes serve; memory is that of one of them"
            found.append(diagnostic("one_of_several", text, scenario=scenario.name, processes=scenario.processes))
    return found


def _by_share(scenario: Server) -> list[Diagnostic]:
    if scenario.utilisation is None:
        return []
    text = f"{scenario.name}: each row is offered {percent(scenario.utilisation)} of its own throughput: "
    text += "loads differ, so latencies do not tell which row serves a load better; an absolute rate does"
    return [diagnostic("rate_by_share", text, scenario=scenario.name, utilisation=scenario.utilisation)]


def _in_part(scenario: Server, reader: RunReader) -> list[Diagnostic]:
    """Say that windows are shorter than the trace that they replay."""
    if scenario.trace is None or scenario.rate_per_s is None:
        return []
    with suppress(EvidenceError):  # a run without its traces can still be ranked
        whole_s = lasts_s(read_array(reader.folder / TRACES / f"{scenario.name}.npy"), scenario.rate_per_s)
        if whole_s > scenario.seconds:
            text = f"{scenario.name}: windows replay {scenario.seconds:g} s of a trace of {whole_s:.3g} s, each block "
            text += "from another moment on"
            return [diagnostic("trace_in_part", text, scenario=scenario.name, seconds=whole_s)]
    return []
