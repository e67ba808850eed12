"""The rows by what they need: memory first, then size on disk and load time, beside accuracy and the tail."""

from collections.abc import Iterable

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.report import cells
from harness.score.records import Ranking, Row

KEYS = (
    "memory_peak_mib",
    "memory_anon_mib",
    "memory_pss_mib",
    "gpu_memory_peak_mib",
    "artefact_mib",
    "load_ms",
    "accuracy",
    "latency_p99_ms",
)
_BY = KEYS[0]


def by_memory(rows: Iterable[Row]) -> list[Row]:
    """Return rows by their peak of memory, smallest first; rows whose memory is not known come last."""
    return sorted(rows, key=lambda row: measure.value if (measure := row.metrics.get(_BY)) else float("inf"))


def footprint_cells(ranking: Ranking) -> tuple[list[str], list[list[str]]]:
    """Return headings and, a list for each row, texts: place, candidate, target, metrics, status."""
    keys = [key for key in KEYS if any(key in row.metrics for row in ranking.rows)]
    heads = ["#", "candidate", "target", *("\n".join(filter(None, cells.heading(key))) for key in keys), "status"]
    return heads, [
        [
            cells.place(row),
            row.candidate,
            row.target,
            *(cells.value(row.metrics.get(key)) for key in keys),
            cells.status(row),
        ]
        for row in by_memory(ranking.rows)
    ]


def footprint_table(ranking: Ranking, title: str) -> Table:
    """Return the view for a terminal; # is the row's place in the ranking."""
    heads, rows = footprint_cells(ranking)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    names = ("#", "candidate\non target", *(head.replace(" memory", "\nmemory", 1) for head in heads[3:]))
    for place, head in enumerate(names):
        table.add_column(head, justify="right" if 1 < place < len(names) - 1 else "left", overflow="fold")
    for number, candidate, target, *texts in rows:
        two_lines = (text.replace(" [", "\n[", 1) for text in texts)
        table.add_row(*map(escape, (number, f"{candidate}\n{target}", *two_lines)))
    return table
