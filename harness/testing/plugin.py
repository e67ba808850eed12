"""pytest's plug-in: the fixture `harness_cell`. Loaded by every pytest where this package is, so it imports nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.testing.gate import Verdict

_STRICT = "harness_strict"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the gate."""
    group = parser.getgroup("harness", "gates on models")
    group.addoption("--harness-strict", action="store_true", help="a bound that cannot be judged fails, not skips")
    group.addoption("--harness-out", metavar="DIR", help="where runs are kept (default: a temporary folder)")
    parser.addini(_STRICT, "a bound that cannot be judged fails, not skips", type="bool", default=False)


class HarnessCell:
    """Measures one model on one target and judges it; call it with the bounds that it must keep."""

    def __init__(self, request: pytest.FixtureRequest, out: Callable[[], Path]) -> None:
        self._request, self._out = request, out

    def __call__(
        self,
        model: str | Path,
        *,
        target: str = "cpu-onnx",
        at_most: Mapping[str, float] | None = None,
        at_least: Mapping[str, float] | None = None,
        suite: str | Path | None = None,
        inputs: str | Path | None = None,
        dims: Mapping[str, int] | None = None,
        trials: int = 8,
        budget: str = "30s",
        confidence: float = 0.95,
    ) -> Verdict:
        """Pass if every bound certainly holds, fail if one certainly does not, skip (or fail) if nobody can tell.

        `model` is a file, or with `suite` the name of one of its candidates, with its dataset and scenarios. Bounds
        are by metric key, in the metric's unit. `inputs` is a .npz of rows to feed, `dims` are sizes of dimensions.
        `trials` processes are measured, as far as `budget` suffices.
        """
        __tracebackhide__ = True
        from pathlib import Path

        from harness.errors import HarnessError
        from harness.testing.gate import Asked, gate

        asked = Asked(
            model=str(model),
            target=target,
            at_most=dict(at_most or {}),
            at_least=dict(at_least or {}),
            suite=None if suite is None else str(suite),
            inputs=None if inputs is None else Path(inputs),
            dims=dict(dims or {}),
            trials=trials,
            budget=budget,
            confidence=confidence,
        )
        try:
            found = gate(asked, self._out())
        except HarnessError as error:
            pytest.fail(str(error), pytrace=False)
        return self._judged(asked, found)

    def _judged(self, asked: Any, found: Verdict) -> Verdict:
        """Turn a verdict into the test's outcome, and keep what was measured with the test."""
        __tracebackhide__ = True
        from harness.testing.gate import BROKEN, HOLDS

        for key in {**asked.at_most, **asked.at_least}:
            if key in found.metrics:
                each = found.metrics[key]
                self._request.node.user_properties.append((key, f"{each.value} [{each.low}, {each.high}] {each.unit}"))
        text = "\n  ".join((f"{asked.model}@{asked.target}: {found.kind}", *found.lines, f"evidence: {found.folder}"))
        if found.kind == HOLDS:
            return found
        if found.kind == BROKEN or self._strict():
            pytest.fail(text, pytrace=False)
        pytest.skip(text)

    def _strict(self) -> bool:
        config = self._request.config
        return bool(config.getoption("--harness-strict") or config.getini(_STRICT))


@pytest.fixture
def harness_cell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HarnessCell:
    """Return what measures a model in a cell of its own and judges it by bounds: see `HarnessCell.__call__`."""

    def out() -> Path:
        from pathlib import Path

        given = request.config.getoption("--harness-out")
        return Path(given) if given else tmp_path_factory.mktemp("harness")

    return HarnessCell(request, out)
