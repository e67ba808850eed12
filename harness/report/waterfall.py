"""A row's cold start as text: phases one behind the other, with their percentiles."""

from collections.abc import Sequence

from harness.analyse.waterfall import Bar
from harness.report import cells
from harness.score.records import Measure, Ranking
from harness.score.words import number

_WIDTH = 40
_NARROWEST = 10
_KEYS = ("cold_init_p50_ms", "cold_total_p50_ms", "cold_total_p90_ms", "cold_total_p99_ms", "warm_invoke_p50_ms")
LEGEND = "█ p50 up to the lower end of its interval, ▓ up to the upper end, ░ up to p90; 95 %, over starts"


def waterfall_lines(bars: Sequence[Bar], width: int = 100) -> list[str]:
    """Return the picture, a line a phase, at most `width` characters wide if possible; empty without bars."""
    if not bars:
        return []
    heads = ("phase", "p50 ms", "p90 ms", "p99 ms")
    rows = [heads, *((bar.name, *map(_text, (bar.p50, bar.p90, bar.p99))) for bar in bars)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    room = max(_NARROWEST, min(_WIDTH, width - sum(widths) - 2 * len(widths) - 2))
    scale = room / max(max(bar.end_ms, bar.begin_ms + _value(bar.p90, bar.p50)) for bar in bars)
    drawn = ["", *(f"▕{_drawn(bar, scale, room)}▏" for bar in bars)]
    return [_line(row, widths, picture) for row, picture in zip(rows, drawn, strict=True)]


def _line(row: Sequence[str], widths: Sequence[int], picture: str) -> str:
    texts = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
    return "  ".join([*texts, picture]).rstrip()


def _text(measure: Measure | None) -> str:
    return cells.value(measure)


def _value(measure: Measure | None, otherwise: Measure) -> float:
    return (measure or otherwise).value


def _drawn(bar: Bar, scale: float, room: int) -> str:
    """Draw one bar; it has one cell at least."""
    p50 = bar.p50
    ends = (p50.low or p50.value, p50.high or p50.value, _value(bar.p90, p50))
    start = min(round(bar.begin_ms * scale), room - 1)
    low, high, p90 = (max(start + 1, min(room, round((bar.begin_ms + end) * scale))) for end in ends)
    high = max(low, high)
    return (" " * start + "█" * (low - start) + "▓" * (high - low) + "░" * max(0, p90 - high)).ljust(room)


def starts_cells(ranking: Ranking) -> tuple[list[str], list[list[str]]]:
    """Return headings and, a list for each row with cold starts, texts: candidate, target, starts, percentiles."""
    heads = ["candidate", "target", "starts", *(" ".join(cells.heading(key)).strip() for key in _KEYS)]
    rows = [row for row in ranking.rows if "cold_total_p50_ms" in row.metrics]
    return heads, [
        [
            row.candidate,
            row.target,
            number(row.metrics["cold_total_p50_ms"].n),
            *(cells.value(row.metrics.get(key)) for key in _KEYS),
        ]
        for row in rows
    ]
