"""Whether what disturbed the host changed a row: its percentiles over all slices, and over the undisturbed ones."""

import math
from collections.abc import Sequence

from harness.analyse.requests import undisturbed
from harness.analyse.trials import TrialMetrics
from harness.errors import EvidenceError
from harness.score.records import Entry, Measure
from harness.score.words import percent, short_name
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import PERCENTILES, split_key
from harness.spec.policy import Policy, keys_of
from harness.stats.pooled import PooledQuantile

MARGIN = 0.02
"""Values that differ by less, relative to each other, agree: it is the margin of a tie."""


def disturbance(entry: Entry, trials: Sequence[TrialMetrics], policy: Policy) -> list[Diagnostic]:
    """Say, for each latency percentile of the policy, what the undisturbed slices show; a warning if it disagrees.

    Nothing is said where no slice was disturbed, or every one (`disturbed_share` says that).
    """
    named = [key for key in keys_of(policy) if key in entry.metrics and split_key(key)[1] in PERCENTILES]
    keys = [key for key in named if all(key in trial.timed for trial in trials)]  # not those that are simulated
    try:
        found = [_said(key, entry.metrics[key], trials) for key in keys]
    except EvidenceError as error:
        return [diagnostic("evidence_damaged", f"{error}; not looked at for noise")]
    return [each for each in found if each is not None]


def _said(key: str, all_slices: Measure, trials: Sequence[TrialMetrics]) -> Diagnostic | None:
    name = split_key(key)[1]
    percentiles, share = undisturbed(trials, [trial.timed[key] for trial in trials], [name])
    quiet = percentiles.get(name)
    if share == 0.0 or quiet is None:
        return None
    without = f"{quiet.value:.3g} ms without the {percent(share)} of slices that the host disturbed"
    return diagnostic(
        "disturbed" if disagrees(all_slices, quiet) else "undisturbed",
        f"{short_name(key)} is {all_slices.value:.3g} ms, {without}",
        metric=key,
        value_all=all_slices.value,
        value_undisturbed=quiet.value,
        share=share,
    )


def disagrees(all_slices: Measure, quiet: PooledQuantile) -> bool:
    """Whether two percentiles differ by more than the margin, and one is outside the interval of the other.

    An undisturbed value that has no upper end, as that of few requests, is not held against the interval of all.
    """
    if abs(math.log(quiet.value / all_slices.value)) <= MARGIN:
        return False
    low = -math.inf if all_slices.low is None else all_slices.low
    high = math.inf if all_slices.high is None else all_slices.high
    outside = math.isfinite(quiet.high) and not low <= quiet.value <= high
    return outside or not quiet.low <= all_slices.value <= quiet.high
