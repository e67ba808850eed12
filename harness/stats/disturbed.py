"""Which slices of a run the host disturbed: a declared rule that does not look at latencies. Needs numpy only."""

import numpy as np

from harness.spec.arrays import Booleans, Floats, Integers

KERNEL_RATIO = 1.3
DELAY_FRACTION, LEAST_DELAY_NS = 0.05, 1_000_000
STEAL_FRACTION, TICK_NS = 0.05, 10_000_000
_USUAL = 0.25
_BEGIN, _END, _CPU, _DELAY, _STEAL, _KERNEL = range(6)


def disturbed(slices: Integers) -> Booleans:
    """Return which slices were disturbed; `slices` [m, 6]: begin, end, CPU, run delay, steal, kernel (ns; -1: unknown).

    A slice is disturbed if at least one of these holds; a counter that is unknown does not count.
    - The calibration kernel took more than 1.3 times the lower quartile of these slices. The quartile is the usual
      speed also on a host that is slow for up to three quarters of the time.
    - The process waited to be run for more than 5 % of its CPU time and wait together, and for 1 ms at least.
    - More than 5 % of the time from begin to end was stolen, less one tick of 10 ms: a counter in ticks may show a
      tick that was stolen earlier.

    Measured on a shared two-core machine, slices of 50 ms. Quiet (1,577 slices): the delay's 95th percentile is 0.06 %,
    its 99th at most 3 %. At a load of 4.8 (561 slices of a model of 1.2 ms) 82 % are disturbed; p99 is 8.0 ms over all
    slices and 1.45 ms in the undisturbed ones (quiet: 1.2 ms). The kernel's 99th percentile is 1.18 times its lower
    quartile beside some load, and up to 1.36 times at a load of 4.8, where the model is not slower in these slices.
    """
    found = _slow(slices[:, _KERNEL].astype(np.float64))
    cpu, delay, steal = slices[:, _CPU], slices[:, _DELAY], slices[:, _STEAL]
    waited = (delay >= LEAST_DELAY_NS) & (cpu >= 0) & (delay > DELAY_FRACTION * (cpu + delay))
    return np.asarray(found | waited | (steal - TICK_NS > STEAL_FRACTION * (slices[:, _END] - slices[:, _BEGIN])))


def _slow(kernel: Floats) -> Booleans:
    known = kernel > 0
    if not known.any():
        return known
    return np.asarray(known & (kernel > KERNEL_RATIO * np.quantile(kernel[known], _USUAL)))
