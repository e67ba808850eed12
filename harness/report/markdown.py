"""`report.md`: the decision, the table, the reasons, the policy, the targets and the hosts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.analyse.reader import open_run
from harness.analyse.seconds import seconds_by_purpose
from harness.analyse.waterfall import waterfall
from harness.evidence.files import write_whole
from harness.evidence.run import cells as all_cells
from harness.evidence.run import read_prepared
from harness.pipeline.conclude import RankedRun
from harness.report import cells
from harness.report.commands import with_commands
from harness.report.footprint import footprint_cells
from harness.report.kept import kept
from harness.report.sections import host_noise, limits, time_spent
from harness.report.waterfall import LEGEND as STARTS_LEGEND
from harness.report.waterfall import starts_cells, waterfall_lines
from harness.score.records import Ranking, Row
from harness.score.words import listed, name_of, short_name, text_of
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.spec.target import FunctionPrice, HourlyPrice, Option, Price, Target
from harness.spec.variant import Variant

LEGEND = (
    f"Places are in order of the scores. Rows marked {cells.MAY_BE_BEST} may be the best. *Could be*: the ranks that a "
    "row could have; in 95 % of runs they are right for all rows at once. The bar draws them (░) with the place (█). "
    "n counts trials, each a process. Intervals are 95 %: percentiles over all requests, with trials as clusters; "
    "quality over dataset rows; all else over trials. `>x [≈y]`: too few requests for an upper end; y is the value so "
    "far."
)
_NAMED = 5


def write_report(ranked: RankedRun) -> None:
    """Write `report.md` into the run's folder."""
    text = report(ranked, seconds_by_purpose(open_run(ranked.folder)))
    write_whole(ranked.folder / "report.md", lambda path: path.write_text(text, encoding="utf-8"))


def report(ranked: RankedRun, seconds: Mapping[str, float] | None = None) -> str:
    """Return the report of a ranked run as Markdown; `seconds` is how the run's time was spent, by purpose."""
    record = ranked.record
    ranking = with_commands(ranked.ranking, ranked.folder.name, record.suite.budget.seconds)
    controls = [note for note in ranking.notes if note.code.startswith("control_")]
    parts = [
        f"# {record.suite.name}: {' '.join(record.suite.description.split())}",
        decision(ranking),
        "## Ranking",
        _ranking(ranking, ranked.policy),
        LEGEND,
        *_titled("## Footprint", _footprint(ranking)),
        *_titled("## Cold starts", _starts(ranked)),
        *_titled("## Kept instances", kept(ranking)),
        "## Reasons",
        *(_row(row) for row in ranking.rows),
        "## Policy",
        _policy(ranked.policy),
        "## Notes",
        _bullets(text_of(note) for note in ranking.notes if note not in controls),
        *_titled("## Controls", _bullets(map(text_of, controls))),
        *_titled("## Host noise", host_noise(ranking)),
        *_titled("## How the time was spent", time_spent(seconds or {})),
        "## Targets",
        _bullets(_target(target) for target in record.targets),
        *_titled("## Limits", limits(ranked.folder, all_cells(record.suite, record.targets))),
        "## Variants",
        _variants(ranked.folder),
        "## Measured on",
        *(_host(facts, trials) for facts, trials in ranked.hosts),
        f"Run `{record.id}`, harness {record.harness}, seed {record.seed}, begun {record.created}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(title: str, text: str) -> tuple[str, ...]:
    return (title, text) if text else ()


def decision(ranking: Ranking) -> str:
    """Say which row should serve, or which may."""
    best = [row for row in ranking.rows if row.may_be_best]
    if not best:
        return "**No row is eligible.** See the reasons of each row."
    names = [f"`{row.candidate}` on `{row.target}`" for row in best]
    if len(best) > 1:
        rest = f", or {listed(names[1:], _NAMED)}" if len(best) == 2 else f"; so may {listed(names[1:], _NAMED)}"
        return f"**{names[0]} may be the best{rest}.** The evidence does not tell these {len(best)} rows apart."
    if best[0].status == "undecided":
        return f"**{names[0]} may serve, but it is undecided.** See its reasons."
    sure = f", P(best) = {cells.best(best[0])}" if best[0].p_best is not None else ""
    return f"**{names[0]} should serve**{sure}."


def _footprint(ranking: Ranking) -> str:
    """Return the rows by memory; nothing where none was measured."""
    heads, rows = footprint_cells(ranking)
    return grid(heads, rows) if any(row.metrics for row in ranking.rows) else ""


def _starts(ranked: RankedRun) -> str:
    """Return the rows with cold starts, and a picture of each; nothing where there are none."""
    heads, rows = starts_cells(ranked.ranking)
    lives = {target.name: target.lifecycle for target in ranked.record.targets}
    pictures = [
        f"`{name_of(row)}`:\n\n```text\n" + "\n".join(lines) + "\n```"
        for row in ranked.ranking.rows
        if (lines := waterfall_lines(waterfall(row.metrics, lives.get(row.target))))
    ]
    return "\n\n".join([grid(heads, rows), f"{STARTS_LEGEND}.", *pictures]) if rows else ""


def _ranking(ranking: Ranking, policy: Policy) -> str:
    keys, of = cells.columns(ranking, policy), cells.places(ranking)
    metrics = (" ".join(cells.heading(key)).strip() for key in keys)
    head = ["#", "candidate", "target", "could be", *cells.ESTIMATES, *metrics, "status"]
    rows = []
    for row in ranking.rows:
        estimates = (text(row) for text in cells.ESTIMATES.values())
        values = (cells.value(row.metrics.get(key)) for key in keys)
        bar = cells.bar(row, of)
        could_be = f"{cells.ranks(row)} `{bar}`" if bar else cells.ranks(row)
        rows.append([cells.place(row), row.candidate, row.target, could_be, *estimates, *values, cells.status(row)])
    return grid(head, rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _row(row: Row) -> str:
    return f"### {row.candidate} on {row.target}\n\n{_bullets(map(text_of, row.reasons)) or '- nothing to say'}"


def _host(facts: Mapping[str, object], trials: int) -> str:
    return f"Trials on this host: {trials}\n\n" + _bullets(f"{key}: {value}" for key, value in facts.items())


def _policy(policy: Policy) -> str:
    lines = []
    for key, limit in policy.limits.items():
        ends = (("least", limit.min), ("most", limit.max))
        bounds = " and ".join(f"at {word} {bound:g}" for word, bound in ends if bound is not None)
        lines.append(f"limit: {short_name(key)} {bounds}")
    for key, x in policy.objectives.items():
        weight = "by order" if x.weight is None else x.weight
        scale = f"1 at {x.target:g}, 0 at {x.limit:g} {lookup(key).unit}".rstrip()
        lines.append(f"objective: {short_name(key)}, weight {weight}, {scale}")
    return _bullets(lines)


def _target(target: Target) -> str:
    text = f"`{target.name}`: {target.description}"
    price = target.price
    return text if price is None else f"{text}; {_price(price)} ({price.source}, {price.as_of})"


def _price(price: Price) -> str:
    """Say a price in words, with what it is put on."""
    if isinstance(price, HourlyPrice):
        return f"{price.usd_per_hour} USD/h at {price.utilisation:.0%} utilisation"
    free = "free tier taken off" if price.free_tier else "no free tier"
    requests = f"{price.usd_per_million_requests} USD per million requests"
    if isinstance(price, FunctionPrice):
        init = "INIT billed" if price.init_billed else "INIT not billed"
        return f"{price.usd_per_gb_s} USD/GB-s, {requests}, by {price.round_ms:g} ms, {init}, {free}"
    rates = f"{price.usd_per_vcpu_s} USD/vCPU-s, {price.usd_per_gib_s} USD/GiB-s"
    return f"{rates}, {requests}, billed by {price.billing}, by {price.round_ms:g} ms, {free}"


def _variants(folder: Path) -> str:
    """List what each cell ran: format, precision, conversions, size, digest, and parity with the original."""
    prepared = read_prepared(folder)
    made = prepared.cells.items() if prepared else ()
    return _bullets(f"`{name}`: {_variant(cell.variant)}" for name, cell in made if cell.variant is not None)


def _variant(variant: Variant) -> str:
    parts = [f"{variant.format} in {variant.precision}, by {', '.join(variant.steps)}" if variant.steps else "as given"]
    parts += [", ".join(f"{key} = {_toml(value)}" for key, value in variant.options.items())] if variant.options else []
    parts += [f"cast to {variant.cast_to} by the runtime as it loads it"] if variant.cast_to else []
    parts += [f"{variant.bytes:,} bytes"] if variant.bytes is not None else []
    parts += [f"SHA-256 `{variant.digest[:16]}…`"]
    if (parity := variant.parity) is not None:
        same = "" if parity.top1_agreement is None else f", the same top-1 class in {parity.top1_agreement:.2%}"
        parts += [f"differs from its original by at most {parity.max_abs_diff:.2g}{same} ({parity.rows} rows)"]
    return "; ".join(parts)


def _toml(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)
