"""`harness verify`, `approve`, `sign`: the selection record, from its proof to its signature."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.output import RESULTS, UNVERIFIED, Out, RunName, console, say, shown
from harness.errors import SpecError

By = typer.Option("--by", metavar="NAME", help="Who or what approves.")
Note = typer.Option("--note", metavar="TEXT", help="Why, or under which conditions.")


def verify(
    run: RunName = "latest",
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The signer's public key (ed25519).")
    ] = None,
    out: Out = RESULTS,
) -> None:
    """Prove a decision from its evidence.

    Computes the digest of each file again, derives the ranking again, and says what differs. Exits with 6 if
    anything does.
    """
    from harness.evidence.run import find
    from harness.pipeline.decision import FILE, read_decision
    from harness.pipeline.sign import check_signature
    from harness.pipeline.verify import verify as found_in

    folder, to = find(run, out), console()
    found = [*found_in(folder), *check_signature(folder, key)]
    for finding in found:
        say(to, f"{'differs: ' if finding.severity == 'error' else ''}{finding.message}")
    differences = sum(finding.severity == "error" for finding in found)
    if differences:
        say(to, f"{shown(folder / FILE)} does not hold: {differences} {'difference' + 's' * (differences > 1)}")
        raise typer.Exit(UNVERIFIED)
    decision = read_decision(folder)
    size = f"{decision.evidence.files} files, {decision.evidence.bytes / 1e6:.1f} MB"
    say(to, f"{shown(folder / FILE)} holds: evidence ({size}) unchanged, and its ranking is the record's")
    names = ", ".join(approval.by for approval in decision.approvals)
    say(to, f"approved by {names}" if names else "approved by nobody yet")


def approve(
    by: Annotated[str, By],
    run: RunName = "latest",
    note: Annotated[str, Note] = "",
    out: Out = RESULTS,
) -> None:
    """Write into a run's record who or what approves it.

    Only a signature protects an approval: sign afterwards, or use `harness sign --by`.
    """
    from harness.evidence.run import find
    from harness.pipeline.decision import FILE

    folder = find(run, out)
    _approve(folder, by, note)
    say(console(), f"approved: {shown(folder / FILE)}")


def sign(
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="A private ed25519 key, PEM or OpenSSH.")],
    run: RunName = "latest",
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Approve it first, as this name.")] = None,
    note: Annotated[str, Note] = "",
    out: Out = RESULTS,
) -> None:
    """Sign a run's record with a local key."""
    from harness.evidence.run import find
    from harness.pipeline.sign import private_key
    from harness.pipeline.sign import sign as signed

    if note and by is None:
        raise SpecError("--note", "a note belongs to an approval", "give --by NAME too")
    folder, loaded = find(run, out), private_key(key)
    if by is not None:
        _approve(folder, by, note)
    say(console(), f"signed: {shown(signed(folder, loaded))}")


def _approve(folder: Path, by: str, note: str) -> None:
    from harness.pipeline.decision import write_approval

    if not by.strip():
        raise SpecError("--by", "nobody is named", "say who or what approves")
    write_approval(folder, by.strip(), datetime.now(UTC).isoformat(timespec="seconds"), note)
