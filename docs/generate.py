"""MkDocs hook: the pages that are made from the code, so that they cannot say something else than it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.cli.app import app
from harness.export.prometheus import place_of
from harness.spec import plugins
from harness.spec.diagnostics import CODES
from harness.spec.find import known, load_target
from harness.spec.metrics import CATALOGUE, Metric, lookup, metric_names
from harness.spec.target import Limits, Target

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_SEVERITIES = {"error": "The row is failed or not eligible, or a record does not hold", "warning": "Read with care"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what `harness selftest` said into the page that has a place for it."""
    proof = Path(__file__).with_name("proof.txt").read_text(encoding="utf-8")
    return markdown.replace("<!-- proof -->", f"```text\n{proof.strip()}\n```")


def pages() -> dict[str, str]:
    """Return the generated pages as Markdown, by their paths."""
    return {
        "reference/metrics.md": metrics_page(),
        "reference/diagnostics.md": diagnostics_page(),
        "reference/commands.md": commands_page(),
        "targets/all.md": targets_page(),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def metrics_page() -> str:
    """Return every metric with its unit, direction and meaning, and its name in Prometheus."""
    rows = [_metric(key, lookup(key)) for key in metric_names()]
    return (
        "# Metrics\n\nEvery number that is reported, as the catalogue in `harness/spec/metrics.py` has it. A metric of "
        "another scenario than the suite's first is written `scenario.metric`. One that cannot be had is unavailable, "
        "never 0.\n\n" + table(("key", "unit", "better", "of", "what it is", "in Prometheus"), rows)
    )


def _metric(key: str, metric: Metric) -> tuple[str, ...]:
    place = place_of(key) if key in CATALOGUE else None
    labels = "".join(f'{{{name}="{value}"}}' for name, value in place.labels.items()) if place else ""
    name = f"`{place.name}{labels}`" if place else ""
    return (f"`{key}`", metric.unit or "1", metric.better, metric.scope, metric.meaning, name)


def diagnostics_page() -> str:
    """Return every diagnostic code with its severity and meaning."""
    rows = [(f"`{code}`", each.severity, each.meaning) for code, each in CODES.items()]
    told = "".join(f"- **{severity}**: {text}.\n" for severity, text in _SEVERITIES.items())
    return (
        "# Diagnostics\n\nReasons of rows, notes on a run and what `harness verify` finds are data: `{code, severity, "
        "subject, message, data}`. Messages may change; codes do not.\n\n"
        + told
        + "- **info**: everything else.\n\n"
        + table(("code", "severity", "meaning"), rows)
    )


def commands_page() -> str:
    """Return every command with its help, arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = ["# Commands\n\nExit codes: see the README. `RUN` is a run folder, part of its name, or `latest`.\n"]
    for name, command in group.commands.items():
        help_text = " ".join((command.help or "").split())
        rows = [row for parameter in command.params if (row := _parameter(parameter)) is not None]
        parts.append(f"## `harness {name}`\n\n{help_text}\n\n{table(('', 'what it does'), rows) if rows else ''}")
    return "\n".join(parts)


def _parameter(parameter: Any) -> tuple[str, str] | None:
    option = parameter.opts[0]
    if option == "--help":
        return None
    shown = option if option.startswith("-") else parameter.metavar or option.upper()
    return (f"`{shown}`", parameter.help or "")


def targets_page() -> str:
    """Return every target that comes with the program, as its file says."""
    found = [load_target(str(path)) for _, path in sorted(known("targets").items())]
    head = ("target", "what it is", "runtime", "device", "precision", "limits", "price")
    return (
        "# All targets\n\nThe files in `targets/`, as they are read. `harness targets` says which of them run on your "
        f"machine, and why not.\n\n{table(head, map(_target, found))}\nRuntimes that are registered: "
        f"{', '.join(f'`{name}`' for name in plugins.names('runtimes'))}.\n"
    )


def _target(target: Target) -> tuple[str, ...]:
    name = f"`{target.name}`"
    return (
        *(name, target.description, target.runtime, target.device, target.precision),
        *(_limits(target.limits), _price(target)),
    )


def _limits(limits: Limits) -> str:
    memory = limits.memory_mib or limits.memory_above_baseline_mib
    found = [f"{limits.cpus:g} CPU" if limits.cpus is not None else "", f"{memory} MiB" if memory else ""]
    return ", ".join(filter(None, found)) or "all there is"


def _price(target: Target) -> str:
    price = target.price
    if price is None:
        return "none"
    cost = f"{price.usd_per_hour:g} USD/h, " if hasattr(price, "usd_per_hour") else ""
    return f"{cost}{getattr(price, 'source', '')} ({getattr(price, 'as_of', '')})"
