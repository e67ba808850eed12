"""What stands between two runs: differences that forbid a comparison, and those that are said beside it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from harness.analyse.sides import Place, Side, without_seconds
from harness.score.words import listed
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.outcome import Fact

_FORBIDDING = ("machine", "cpu", "cpus", "affinity", "instructions")
_NUMBERS = re.compile(r"\d[\d.,\s]*")
_SAID = ("system", "python", "memory_mib")
_CHANGES = ("runtime", "device", "precision", "launcher", "limits", "options", "conversion", "price")


def common_rows(base: Side, new: Side) -> list[str]:
    """Return the rows that both runs have with numbers, in the order of the new one."""
    return [row for row, entry in new.entries.items() if entry.metrics and row in base.entries]


def forbidding(base: Side, new: Side) -> list[Diagnostic]:
    """Return the differences for which numbers of the two runs say nothing about a change of models or code."""
    found = [*_suites(base, new)]
    told: dict[str, list[str]] = {}
    for row in common_rows(base, new):
        one, two = base.places.get(row), new.places.get(row)
        if one is None or two is None:
            continue
        for text in _unlike(one, two):
            told.setdefault(text, []).append(row)
    return found + [_differs("host_differs", text, rows, new) for text, rows in told.items()]


def said(base: Side, new: Side) -> list[Diagnostic]:
    """Return the differences that may be what is compared: versions, variants, targets, the host's speed."""
    told: dict[str, list[str]] = {}
    for row in common_rows(base, new):
        one, two = base.places.get(row), new.places.get(row)
        if one is None or two is None:
            continue
        for text in (*_unequal(one.versions, two.versions), *_unequal(_only(one.host), _only(two.host))):
            told.setdefault(text, []).append(row)
    found = [_differs("versions_differ", text, rows, new) for text, rows in told.items()]
    if base.record.harness != new.record.harness:
        found.append(_differs("versions_differ", f"harness: {base.record.harness}, now {new.record.harness}", [], new))
    damaged = [note for side in (base, new) for note in side.damaged]
    return [*found, *_variants(base, new), *_targets(base, new), *_speed(base, new), *damaged]


def _suites(base: Side, new: Side) -> Iterable[Diagnostic]:
    """Say where the two runs did not measure the same: suites, scenarios, rows of data."""
    one, two = base.record.suite, new.record.suite
    if one.name != two.name:
        yield diagnostic("suite_differs", f"they are runs of different suites: {one.name} and {two.name}")
    scenarios = {each.name: without_seconds(each) for each in one.scenario}
    for each in two.scenario:
        if each.name in scenarios and scenarios[each.name] != without_seconds(each):
            yield diagnostic("suite_differs", f"scenario '{each.name}' has other parameters", each.name)
    if one.scenario and two.scenario and one.scenario[0].name != two.scenario[0].name:
        yield diagnostic("suite_differs", "their first scenarios are different ones")
    if base.dataset != new.dataset or one.dataset.synthetic != two.dataset.synthetic:
        yield diagnostic("suite_differs", "they were measured on different data")


def _unlike(one: Place, two: Place) -> list[str]:
    """Return what differs between the places of a row."""
    hosts = _unequal({k: one.host.get(k) for k in _FORBIDDING}, {k: two.host.get(k) for k in _FORBIDDING})
    gpus = [f"GPU {text}" for text in _unequal(one.gpu, two.gpu)]
    return [*hosts, *gpus, *_unequal(one.granted, two.granted, _without_numbers)]


def _without_numbers(text: object) -> object:
    """Leave out which CPUs and how many bytes were granted: blocks take CPUs in turn, and the target says the rest."""
    return text if str(text).isdigit() else _NUMBERS.sub("#", str(text))


def _only(host: Mapping[str, Fact]) -> dict[str, Fact]:
    return {key: host.get(key) for key in _SAID}


def _unequal(
    one: Mapping[str, object], two: Mapping[str, object], plain: Callable[[object], object] = lambda value: value
) -> list[str]:
    """Say which values differ, looked at as `plain` gives them."""
    differ = (key for key in dict.fromkeys((*one, *two)) if plain(one.get(key)) != plain(two.get(key)))
    return [f"{key}: {_shown(one, key)}, now {_shown(two, key)}" for key in differ]


def _shown(of: Mapping[str, object], key: str) -> str:
    found = of.get(key)
    return "not known" if found is None else str(found)


def _differs(code: str, text: str, rows: Sequence[str], new: Side) -> Diagnostic:
    """Say a difference once for all rows that have it."""
    everywhere = not rows or len(rows) == len([row for row, entry in new.entries.items() if entry.metrics])
    return diagnostic(code, text if everywhere else f"{text} ({listed(rows)})", rows=[*rows])


def _variants(base: Side, new: Side) -> Iterable[Diagnostic]:
    changed = [row for row in common_rows(base, new) if base.digest(row) != new.digest(row)]
    if changed:
        text = f"the artefact that runs has changed: {listed(changed, most=6)}"
        yield diagnostic("variant_differs", text, rows=[*changed])


def _targets(base: Side, new: Side) -> Iterable[Diagnostic]:
    """Say which targets are defined in another way than they were."""
    before = {target.name: target for target in base.record.targets}
    for target in new.record.targets:
        if (old := before.get(target.name)) is None:
            continue
        changed = [key for key in _CHANGES if getattr(old, key) != getattr(target, key)]
        if changed:
            was, now = msgspec.to_builtins(old), msgspec.to_builtins(target)
            text = "; ".join(f"{key}: {was.get(key)}, now {now.get(key)}" for key in changed)
            yield diagnostic("target_differs", f"target {target.name}: {text}", target.name, keys=[*changed])


def _speed(base: Side, new: Side) -> Iterable[Diagnostic]:
    """Say how fast the host was, as the calibration kernel tells, which neither models nor runtimes touch."""
    if base.kernel_ns and new.kernel_ns:
        ratio = new.kernel_ns / base.kernel_ns
        text = (
            f"the calibration kernel, which no model or runtime touches, took {ratio:.3f} times as long as in the base"
        )
        yield diagnostic("host_speed", text, ratio=ratio)
