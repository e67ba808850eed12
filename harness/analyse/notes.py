"""What must be said beside a ranking: how measuring ended, what was assumed, what evidence cannot be used."""

from collections.abc import Sequence
from contextlib import suppress
from statistics import fmean

from harness.analyse.devices import is_exclusive
from harness.analyse.fleet import users_of
from harness.analyse.package_remarks import energy_unknown
from harness.analyse.precision import precision_of
from harness.analyse.price_notes import price_notes
from harness.analyse.reader import RunReader
from harness.analyse.requests import disturbed_share
from harness.analyse.starts import not_emulated
from harness.analyse.traffic import traffic_notes
from harness.analyse.trials import TrialMetrics, host_fractions
from harness.analyse.users import rate_of
from harness.errors import EvidenceError
from harness.evidence.folder import read_job
from harness.evidence.run import RaceRecord
from harness.launch.instructions import DOT_PRODUCTS
from harness.score.words import listed, number, percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.policy import Policy
from harness.spec.wire import Trial


def notes_of(reader: RunReader, race: RaceRecord, policy: Policy | None) -> list[Diagnostic]:
    """Say how measuring ended, how it was shortened, and what of the evidence cannot be used."""
    ended = f"measuring ended: {race.ended}" if race.ended else "measuring has not ended"
    notes = [diagnostic("ended", ended)]
    if race.tied:
        text = f"the race ended in a tie: {listed(race.tied)} cannot differ from the leader by more than the margin"
        notes.append(diagnostic("race_tied", text, cells=[*race.tied]))
    if race.data_limited:
        started = any(target.lifecycle is not None for target in reader.record.targets)
        what = "dataset rows or cold starts" if started else "dataset rows"
        text = f"only more {what} could tell {listed(race.data_limited)} from the leader: no longer measured"
        notes.append(diagnostic("dataset_limited", text, cells=[*race.data_limited]))
    if reader.record.synthetic_policy and policy is None:
        text = "no suite was given: only speed is judged; write a suite with `harness init` for more"
        notes.append(diagnostic("no_suite", text))
    if policy is not None and race.drops:
        names = [drop.cell for drop in race.drops]
        text = (
            f"ranked by another policy than the race was run by; {', '.join(names)} had left that race before its end"
        )
        notes.append(diagnostic("other_policy", text, cells=[*names]))
    asked = energy_unknown(reader, policy or reader.record.suite.policy)
    own = [*_limits(reader), *_not_emulated(reader), *asked, *price_notes(reader), *_host(reader), *_exclusive(reader)]
    own += [*_users(reader), *traffic_notes(reader), *_instructions(reader)]
    return [*notes, *race.notes, *_shortened(reader), *own, *reader.notes()]


def _shortened(reader: RunReader) -> list[Diagnostic]:
    """Say how short windows became; why they had to is said before, in the race's own notes."""
    fraction = _shortest_window(reader)
    text = f"the shortest windows had {percent(fraction)} of the suite's seconds, to keep to its budget"
    return [diagnostic("windows_shortened", text, fraction=fraction)] if fraction < 0.995 else []


def _limits(reader: RunReader) -> list[Diagnostic]:
    """Name the limits of targets that nothing enforced."""
    found: dict[tuple[str, str], str] = {}
    for cell in reader.cells:
        parts = (reader.cold(cell.name), reader.trials(cell.name), reader.starts(cell.name))
        for launched in (each.outcome.launched for part in parts for each in part):
            granted = launched.resources if launched is not None else None
            for limit in granted.unenforced if granted is not None else ():
                found.setdefault((cell.target.name, limit), granted.limits.get(limit, "") if granted else "")
    return [
        diagnostic("limit_not_enforced", f"target {target}: limits.{limit}: {words}", target, limit=limit)
        for (target, limit), words in found.items()
    ]


def _not_emulated(reader: RunReader) -> list[Diagnostic]:
    """Say what of a cold start is not emulated, and what is added for it."""
    return not_emulated([cell.target for cell in reader.cells if reader.starts(cell.name)])


def _exclusive(reader: RunReader) -> list[Diagnostic]:
    """Say which cells ran one after another because their GPU takes one process at a time."""
    cold = {cell.name: reader.cold(cell.name)[:1] for cell in reader.cells}
    names = [name for name, each in cold.items() for trial in each if is_exclusive(trial.outcome)]
    text = f"{listed(names)} ran one after another, not in turns: their GPU takes one process at a time"
    return [diagnostic("gpu_exclusive", text, cells=[*names])] if names else []


def _host(reader: RunReader) -> list[Diagnostic]:
    """Say once what the host did beside the trials: slices that it disturbed, stolen time, other processes' time.

    Other processes are told by trials that ran alone: in a block that takes turns, other cells' processes are among
    them.
    """
    trials = {c.name: [t for t in reader.trials(c.name) if t.outcome.status == "ok"] for c in reader.cells}
    fractions = [
        (name, t, found)
        for name, each in trials.items()
        for t in each
        if (found := host_fractions(t.folder)) is not None
    ]
    alone = [
        found.others for name, trial, found in fractions if trial.outcome.fresh and reader.alone(name, trial.block)
    ]
    steal = fmean(found.steal for *_, found in fractions) if fractions else None
    others = fmean(alone) if alone else None
    shares = {name: share for name, each in trials.items() if (share := _share(each)) is not None}
    whole = [name for name, share in shares.items() if share == 1.0]
    share = fmean(shares.values()) if shares else None
    said = [
        "" if share is None else f"{percent(share)} of slices were disturbed",
        "" if steal is None else f"the hypervisor took {percent(steal, 1)} of all CPU time",
        "" if others is None else f"other processes took {percent(others, 1)}",
        f"every slice of {listed(whole)}, so that nothing shows whether it changed these results" if whole else "",
    ]
    text = "; ".join(each for each in said if each)
    if not text:
        return []
    told = f"the host: {text}"
    return [diagnostic("host_noise", told, disturbed=share, steal=steal, others=others, all_disturbed=[*whole])]


def _instructions(reader: RunReader) -> list[Diagnostic]:
    """Say once which instructions the CPUs have that rows in int8 ran on."""
    told = dict.fromkeys(str(found) for host, _ in reader.hosts() if (found := host.get("instructions")) is not None)
    if not told or all(precision_of(cell, reader.prepared.cells) != "int8" for cell in reader.cells):
        return []
    exact = all(not set(each.split()).isdisjoint(DOT_PRODUCTS) for each in told)
    text = f"int8 ran on CPUs with {' / '.join(', '.join(each.split()) or 'no instructions for it' for each in told)}"
    if not exact:
        text += "; without an int8 dot product, sums may saturate on x86: conversion.reduce_range = true prevents it"
    return [diagnostic("instructions", text, instructions=[*told], dot_product=exact)]


def _share(trials: Sequence[TrialMetrics]) -> float | None:
    with suppress(EvidenceError):  # damaged slices are named with their row
        return disturbed_share(trials)
    return None


def _users(reader: RunReader) -> list[Diagnostic]:
    """Say which users a fleet was simulated for."""
    users = users_of(reader.record.suite)
    if users is None:
        return []
    kind = "recorded" if users.at_s else users.arrivals
    rate = rate_of(users)
    text = f"{users.name}: {users.requests:,} {kind} arrivals, {number(rate)} a second on average, are simulated from"
    text += " measured cold starts and warm requests; they cost as much as if they went on like this for a month"
    kept: dict[float, list[str]] = {}
    for target in reader.record.targets:
        if target.lifecycle is not None:
            kept.setdefault(target.lifecycle.keep_alive_s, []).append(target.name)
    text += "".join(f"; idle instances of {listed(names)} are kept for {each:g} s" for each, names in kept.items())
    return [diagnostic("users", text, users.name, requests=users.requests, per_s=rate)]


def _shortest_window(reader: RunReader) -> float:
    """Return the smallest fraction of the suite's seconds that some trial was given."""
    whole = reader.record.suite.traffic[0].seconds
    fractions = [1.0]
    for folder in (trial.folder for cell in reader.cells for trial in reader.trials(cell.name)):
        with suppress(EvidenceError):  # what a trial was told is not needed to rank what it measured
            job = read_job(folder)
            fractions += [job.scenarios[0].seconds / whole] if isinstance(job, Trial) else []
    return min(fractions)
