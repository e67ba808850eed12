"""A release for people and for other tools: release.md, release.csv, provenance.json."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from harness.analyse.frames import measurements
from harness.evidence.files import write_json, write_whole
from harness.pipeline.release import Part, Release
from harness.report.commands import command
from harness.report.decision import counts, decide
from harness.report.markdown import grid, ranking_grid
from harness.report.verdicts import headline, markdown


def write_texts(folder: Path, of: Release) -> None:
    """Write the Markdown, the table of all metrics, and where everything is from. EvidenceError if it cannot be."""
    text, table = release_markdown(of), release_table(of)
    write_whole(folder / "release.md", lambda path: path.write_text(text, encoding="utf-8"))
    write_whole(folder / "release.csv", lambda path: table.to_csv(path, index=False))
    write_json(folder / "provenance.json", provenance(of))


def release_markdown(of: Release) -> str:
    """Return the release as Markdown: decisions first, then rankings, then what changed."""
    record = of.record
    against = "" if record.baseline is None else f", compared with {record.baseline}"
    parts = [
        f"# Release {record.version}",
        f"Made {record.created} by harness {record.harness}{against}.",
        grid(("suite", "decision", "rows", "since the release before"), map(_summary, of.parts)),
        *(text for part in of.parts for text in _suite(part)),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(part: Part) -> list[str]:
    decision = decide(part.ranked.ranking, lambda name: f"`{name}`")
    suite = part.ranked.record.suite.name
    return [f"[{suite}]({suite}/report.md)", decision.headline, counts(part.ranked.ranking), since(part)]


def since(part: Part) -> str:
    """Say in one sentence what changed since the release before, or why that is not known."""
    return headline(part.comparison) if part.comparison is not None else f"not compared: {part.why}"


def _suite(part: Part) -> Iterator[str]:
    yield f"## {part.ranked.record.suite.name}"
    yield ranking_grid(part.ranked.ranking, part.ranked.policy)
    if part.comparison is not None:
        yield markdown(part.comparison).replace("\n# ", "\n### ").replace("# ", "### ", 1).rstrip()


def release_table(of: Release) -> pd.DataFrame:
    """Return every metric of every row of every suite in tidy form."""
    frames = []
    for part in of.parts:
        suite = part.ranked.record.suite
        frame = measurements(part.ranked.ranking, suite.scenario[0].name)
        frame.insert(0, "suite", suite.name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def provenance(of: Release) -> dict[str, object]:
    """Return what is needed to measure a release again, and to check that it is the same."""
    return {"schema": "harness/provenance/1", "version": of.record.version, "suites": [*map(_provenance, of.parts)]}


def _provenance(part: Part) -> dict[str, object]:
    record, prepared = part.ranked.record, part.reader.prepared
    return {
        "suite": record.suite.name,
        "run": record.id,
        "begun": record.created,
        "harness": record.harness,
        "command": command(record),
        "seed": record.seed,
        "versions": part.reader.versions(),
        "hosts": [{"facts": facts, "trials": trials} for facts, trials in part.ranked.hosts],
        "dataset": prepared.digests,
        "variants": {name: cell.variant.digest for name, cell in prepared.cells.items() if cell.variant is not None},
        "targets": record.targets,
        "policy": part.ranked.policy,
    }
