"""Where a process's time goes: wall nanoseconds by purpose, every moment counted once."""

import time
from collections import Counter


class Ledger:
    """Counts time for one purpose at a time, from the moment it is made."""

    def __init__(self, purpose: str) -> None:
        self.spent: Counter[str] = Counter()
        self._purpose, self._since = purpose, time.perf_counter_ns()

    def begin(self, purpose: str) -> None:
        """Count for `purpose` from now on."""
        now = time.perf_counter_ns()
        self.spent[self._purpose] += now - self._since
        self._purpose, self._since = purpose, now
