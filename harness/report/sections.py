"""Sections of `report.md` about the run itself: limits, how its time was spent, what the host's noise changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.evidence.folder import succeeded
from harness.evidence.run import Cell, cold_folder
from harness.score.records import Ranking
from harness.score.words import duration, name_of, percent
from harness.spec.outcome import Memory

_BESIDE = {"prepare": "Preparation took {}; it is", "cold_starts": "Cold starts took {}; they are"}
"""What a budget does not pay for."""
_WORDS = {
    "sampling": "measuring requests",
    "uncounted": "first requests of turns, not counted",
    "warm_up": "warming up",
    "load": "loading models, first inferences",
    "start": "starting processes, importing runtimes",
    "exit": "ending processes",
    "other": "other work of the processes",
    "parent": "the harness itself",
}


def time_spent(seconds: Mapping[str, float]) -> str:
    """Return how the time of measuring was spent, as bullets, with preparation apart; empty where nothing is known."""
    if not (lines := purposes(seconds)):
        return ""
    took = {name: spent for name in _BESIDE if (spent := seconds.get(name, 0.0)) > 0}
    said = "".join(f"{_BESIDE[name].format(_seconds(spent))} not part of the budget. " for name, spent in took.items())
    return "\n".join([f"{said}Measuring took {_seconds(_measuring(seconds))}:", "", *(f"- {line}" for line in lines)])


def purposes(seconds: Mapping[str, float]) -> list[str]:
    """Return how the time of measuring was spent, the longest first; empty where nothing is known."""
    total = _measuring(seconds)
    spent = {purpose: each for purpose, each in seconds.items() if purpose not in _BESIDE and each > 0}
    shown = sorted(spent.items(), key=lambda item: -item[1])
    return [f"{_seconds(each)} ({percent(each / total)}): {_WORDS.get(name, name)}" for name, each in shown]


def _measuring(seconds: Mapping[str, float]) -> float:
    return sum(spent for purpose, spent in seconds.items() if purpose not in _BESIDE and spent > 0)


def host_noise(ranking: Ranking) -> str:
    """Return, as bullets, the results that disturbed slices change; empty where nothing was looked at."""
    said = {code: [(row, x) for row in ranking.rows for x in row.reasons if x.code == code] for code in _LOOKED_AT}
    changed, same = said["disturbed"], said["undisturbed"]
    lines = [f"- `{name_of(row)}`: {of.message}" for row, of in changed]
    if same:
        rows = len({name_of(row) for row, _ in same})
        lines.append(f"- {rows} row{'' if rows == 1 else 's'}: results with and without disturbed slices agree")
    head = "A slice of 50 ms or more is disturbed by what the host did in it, not by its latencies. "
    head += "Results are over all slices." if not changed else "These results change without the disturbed slices:"
    return "\n".join([head, "", *lines]) if lines else ""


_LOOKED_AT = ("disturbed", "undisturbed")


def limits(run: Path, cells: Sequence[Cell]) -> str:
    """Return, as bullets, what enforced each target's limits, and what memory its first processes were charged."""
    lines = []
    for target in dict.fromkeys(cell.target.name for cell in cells):
        names = {cell.candidate.name: cell.name for cell in cells if cell.target.name == target}
        first = {name: found for name, cell in names.items() if (found := succeeded(cold_folder(run, cell, 1)))}
        words = [found.launched.resources.limits for found in first.values() if found.launched is not None]
        if not any(words):
            continue
        said = "; ".join(f"{name}: {text}" for name, text in next(filter(None, words)).items())
        charged = [f"{name} {text}" for name, found in first.items() if (text := _charged(found.memory))]
        peaks = f" Charged at most (anonymous and page cache at the end): {', '.join(charged)}." if charged else ""
        lines.append(f"- `{target}`: {said}.{peaks}")
    return "\n".join(lines)


def _charged(memory: Memory) -> str:
    parts = (memory.charged_bytes, memory.charged_anon_bytes, memory.charged_file_bytes)
    if None in parts:
        return ""
    peak, anon, file = (f"{(part or 0) / (1 << 20):.0f}" for part in parts)
    return f"{peak} MiB ({anon} and {file})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
