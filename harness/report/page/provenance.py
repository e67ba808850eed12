"""Where the numbers come from: the command to repeat, versions, hosts, digests, policy, targets."""

from collections.abc import Iterable

from harness.errors import EvidenceError
from harness.evidence.files import read_json
from harness.pipeline.decision import FILE, Decision
from harness.report.commands import command
from harness.report.lists import host_lines, policy_lines, target_line, variant_parts
from harness.report.markup import Html, el, joined
from harness.report.page.material import Material, Section
from harness.report.page.parts import bullets, facts
from harness.spec.variant import Variant


def provenance_section(of: Material) -> Section:
    """Return what is needed to repeat the run, and to check that it is the same."""
    record, prepared = of.ranked.record, of.reader.prepared
    run = [
        ("run", record.id),
        ("begun", record.created),
        ("harness", record.harness),
        ("seed", str(record.seed)),
        *((f"dataset, {split}", f"SHA-256 {digest}") for split, digest in prepared.digests.items()),
        *of.reader.versions().items(),
        *_decided(of),
    ]
    variants = (_variant(name, cell.variant) for name, cell in prepared.cells.items() if cell.variant is not None)
    hosts = (_host(f"{trials} trials", host_lines(found)) for found, trials in of.ranked.hosts)
    body = joined(
        el("p", "To repeat this run:"),
        el("pre", command(record)),
        facts(run),
        _part("Policy", bullets(policy_lines(of.ranked.policy))),
        _part("Targets", bullets(f"{target.name}: {target_line(target)}" for target in record.targets)),
        _part("Variants", bullets(variants)),
        _part("Measured on", joined(*hosts)),
    )
    return Section("provenance", "Provenance", body)


def _decided(of: Material) -> list[tuple[str, str]]:
    """Return what the selection record says of the evidence and of approvals; nothing where there is none."""
    path = of.ranked.folder / FILE
    if not path.is_file():
        return []
    try:
        found = read_json(path, Decision)
    except EvidenceError as error:
        return [("record", str(error))]
    size = f"{found.evidence.files:,} files, {found.evidence.bytes / (1 << 20):.1f} MiB"
    approvals = [("approved", f"by {each.by}, {each.at}") for each in found.approvals]
    return [
        ("evidence", f"{size}; manifest SHA-256 {found.evidence.sha256}"),
        ("decision", f"SHA-256 {found.digest}; check with: harness verify {of.ranked.folder.name}"),
        *(approvals or [("approved", "by nobody yet")]),
    ]


def _variant(name: str, variant: Variant) -> str:
    return f"{name}: {'; '.join(variant_parts(variant))}; SHA-256 {variant.digest}"


def _host(title: str, lines: Iterable[tuple[str, str]]) -> Html:
    return joined(el("p", title, class_="note"), facts(lines))


def _part(title: str, body: Html) -> Html:
    return el("details", el("summary", title), body)
