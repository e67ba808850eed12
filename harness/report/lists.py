"""Lines about a run's policy, targets, variants and hosts; report.md and report.html say the same."""

from collections.abc import Mapping

from harness.score.words import amount, percent, short_name
from harness.spec.metrics import lookup
from harness.spec.policy import Policy
from harness.spec.target import FunctionPrice, HourlyPrice, Option, Price, Target
from harness.spec.variant import Variant


def host_lines(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what is known of a host, by name."""
    return [(key, str(value)) for key, value in facts.items()]


def policy_lines(policy: Policy) -> list[str]:
    """Say the limits and objectives of a policy."""
    lines = []
    for key, limit in policy.limits.items():
        ends = (("least", limit.min), ("most", limit.max))
        bounds = " and ".join(f"at {word} {amount(bound, key, 6)}" for word, bound in ends if bound is not None)
        lines.append(f"limit: {short_name(key)} {bounds}")
    for key, x in policy.objectives.items():
        weight = "by order" if x.weight is None else x.weight
        scale = f"1 at {x.target:g}, 0 at {x.limit:g} {lookup(key).unit}".rstrip()
        lines.append(f"objective: {short_name(key)}, weight {weight}, {scale}")
    return lines


def target_line(target: Target) -> str:
    """Say what a target is and costs, without its name."""
    price = target.price
    return (
        target.description
        if price is None
        else f"{target.description}; {_price(price)} ({price.source}, {price.as_of})"
    )


def _price(price: Price) -> str:
    """Say a price in words, with what it is put on."""
    if isinstance(price, HourlyPrice):
        return f"{price.usd_per_hour} USD/h at {percent(price.utilisation)} utilisation"
    free = "free tier taken off" if price.free_tier else "no free tier"
    requests = f"{price.usd_per_million_requests} USD per million requests"
    if isinstance(price, FunctionPrice):
        init = "INIT billed" if price.init_billed else "INIT not billed"
        return f"{price.usd_per_gb_s} USD/GB-s, {requests}, by {price.round_ms:g} ms, {init}, {free}"
    rates = f"{price.usd_per_vcpu_s} USD/vCPU-s, {price.usd_per_gib_s} USD/GiB-s"
    return f"{rates}, {requests}, billed by {price.billing}, by {price.round_ms:g} ms, {free}"


def variant_parts(variant: Variant) -> list[str]:
    """Say what ran: format, precision, conversions, options, size."""
    parts = [f"{variant.format} in {variant.precision}, by {', '.join(variant.steps)}" if variant.steps else "as given"]
    parts += [", ".join(f"{key} = {_toml(value)}" for key, value in variant.options.items())] if variant.options else []
    parts += [f"cast to {variant.cast_to} by the runtime as it loads it"] if variant.cast_to else []
    return parts + ([f"{variant.bytes:,} bytes"] if variant.bytes is not None else [])


def parity_line(variant: Variant) -> str:
    """Say how a variant differs from its original; empty where it was not compared."""
    if (parity := variant.parity) is None:
        return ""
    same = "" if parity.top1_agreement is None else f", the same top-1 class in {percent(parity.top1_agreement, 2)}"
    return f"differs from its original by at most {parity.max_abs_diff:.2g}{same} ({parity.rows} rows)"


def _toml(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
