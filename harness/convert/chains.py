"""Which conversions lead from a candidate to what a target loads. Reads registered names and imports none of them."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.spec import plugins

_SIDE = r"(?P<{0}>[^.]+?)(\.(?P<{0}_precision>[^.]+))?"
_NAME = re.compile(_SIDE.format("source") + "-to-" + _SIDE.format("result"))


class Form(NamedTuple):
    """A format in a precision."""

    format: str
    precision: str

    def __str__(self) -> str:
        return f"{self.format} ({self.precision})"


def chain(start: Form, loads: Sequence[str], precision: str) -> tuple[str, ...] | None:
    """Return the shortest chain of conversions from `start` to one of the formats in this precision.

    Empty when `start` is loaded as it is; None when no chain leads there. Of equal chains, the one whose names come
    first in alphabetical order.
    """
    ends = (steps for form, steps in _reached(start) if form.format in loads and form.precision == precision)
    return next(ends, None)


def precisions(start: Form, loads: Sequence[str]) -> tuple[str, ...]:
    """Return the precisions that chains lead to from `start` in one of the formats, by name."""
    return tuple(sorted({form.precision for form, _ in _reached(start) if form.format in loads}))


def _reached(start: Form) -> Iterator[tuple[Form, tuple[str, ...]]]:
    """Yield every form that conversions lead to, with its shortest chain; short chains first."""
    seen = {start}
    queue: deque[tuple[Form, tuple[str, ...]]] = deque([(start, ())])
    while queue:
        form, steps = queue.popleft()
        yield form, steps
        for name in plugins.names("conversions"):
            following = apply(name, form)
            if following is not None and following not in seen:
                seen.add(following)
                queue.append((following, (*steps, name)))


def apply(conversion: str, form: Form) -> Form | None:
    """Return what a conversion makes of `form`; None when it does not apply, or its name is not of the right shape."""
    found = _NAME.fullmatch(conversion)
    if found is None or found["source"] != form.format or found["source_precision"] not in (None, form.precision):
        return None
    return Form(found["result"], found["result_precision"] or form.precision)
