"""What costs assume: how busy machines are; prices that are old, or of another machine than was measured."""

from collections.abc import Sequence
from datetime import date

from harness.analyse.devices import gpu_facts
from harness.analyse.fleet import users_of
from harness.analyse.reader import RunReader
from harness.cost.hourly import is_old
from harness.score.words import listed, percent
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.target import FunctionPrice, HourlyPrice, Price

_ARCHITECTURES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def price_notes(reader: RunReader) -> list[Diagnostic]:
    """Say what costs assume, and which prices are old; of targets that are not here, nothing."""
    record, known = reader.record, reader.prepared.cells
    here = {each.target.name for each in reader.cells if each.name not in known or known[each.name].status != "skipped"}
    priced = [(t.name, t.price) for t in record.targets if t.price is not None and t.name in here]
    if not priced:
        return []
    fractions = sorted({price.utilisation for _, price in priced if isinstance(price, HourlyPrice)})
    busy = " or ".join(percent(fraction) for fraction in fractions)
    said = f"cost assumes machines that are busy {busy} of the time"
    if users_of(record.suite) is not None:
        said = f"cost of machines is that of as many as the users need, each busy at most {busy} of the time, always on"
    notes = [diagnostic("utilisation_assumed", said)] if fractions else []
    day = date.fromisoformat(record.created[:10])
    notes += [*_other_machine(reader, priced), *_other_gpu(reader, priced)]
    old = [f"{name} ({price.as_of})" for name, price in priced if is_old(price.as_of, day)]
    return notes + ([diagnostic("price_old", f"prices more than a year old: {listed(old)}")] if old else [])


def _other_machine(reader: RunReader, priced: Sequence[tuple[str, Price]]) -> list[Diagnostic]:
    """Name the targets whose price is for another architecture than the one that their times are from."""
    here = {_ARCHITECTURES.get(str(host.get("machine")), "") for host, _ in reader.hosts()} - {""}
    other = {name: price.architecture for name, price in priced if isinstance(price, FunctionPrice)}
    names = [name for name, architecture in other.items() if here and architecture not in here]
    text = (
        f"prices of {listed(names)} are for {listed(sorted({other[name] for name in names}))}, times from a machine of"
    )
    text += f" {listed(sorted(here))}"
    return [diagnostic("price_other_machine", text, targets=[*names])] if names else []


def _other_gpu(reader: RunReader, priced: Sequence[tuple[str, Price]]) -> list[Diagnostic]:
    """Name the targets whose price is that of a machine with another GPU than the one that their times are from."""
    wanted = {name: price.gpu for name, price in priced if isinstance(price, HourlyPrice) and price.gpu}
    other: dict[tuple[str, str], dict[str, None]] = {}
    for cell in reader.cells:
        gpu, trials = wanted.get(cell.target.name), (*reader.cold(cell.name), *reader.trials(cell.name))
        had = str(gpu_facts(trial.outcome for trial in trials).get("name") or "")
        if gpu and had and f" {gpu.lower()} " not in f" {had.lower().replace('-', ' ')} ":  # L4 is not L40S
            other.setdefault((gpu, had), {})[cell.target.name] = None
    return [
        diagnostic(
            "price_other_machine",
            f"prices of {listed(names)} are for a machine with {gpu}, times from {had}: give your machine's price",
            targets=[*names],
        )
        for (gpu, had), names in other.items()
    ]
