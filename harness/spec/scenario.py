"""What every scenario has, and how a scenario's table becomes the parameters of its kind."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec

from harness.spec import plugins


class Scenario:
    """One kind of traffic with its parameters. A mix-in: a kind's parameters are a tagged struct that inherits it.

    `in_trials`: trials run it. Cold starts need processes of their own.
    """

    __slots__ = ()
    in_trials: ClassVar[bool] = True
    name: str
    seconds: float
    max_samples: int

    def problems(self) -> str | None:
        """Return what is wrong beyond types and ranges, as `key: what`. A kind may override this."""
        return None

    def files(self) -> Mapping[str, str]:
        """Return the files that it names, by key; relative to the suite. A kind may override this."""
        return {}

    def gap_s(self, request_s: float) -> float:
        """Return the mean time between two arrivals (s), given what a request takes; 0: each follows the one before.

        An open loop overrides this: its windows are sized by it.
        """
        return 0.0

    @property
    def threads(self) -> int:
        """How many threads of a process serve requests at the same time, with one model."""
        return 1

    @property
    def processes(self) -> int:
        """How many processes serve requests at the same time, each with a model of its own."""
        return 1

    @property
    def serving(self) -> int:
        """How many requests are served at the same time."""
        return self.threads * self.processes


class _Tagged(msgspec.Struct):
    kind: str


def kind_of(scenario: Scenario) -> str:
    """Return the name that the scenario's kind has in TOML and in the entry-point group `harness.scenarios`."""
    return str(cast(msgspec.Struct, scenario).__struct_config__.tag)


def parameters_for(table: object) -> type[msgspec.Struct]:
    """Return the struct of parameters that `table` is meant to be, by its key `kind`.

    Raises ValueError if `kind` is missing, unknown, or its plug-in cannot be imported.
    """
    kind = msgspec.convert(table, _Tagged).kind
    try:
        found: type[msgspec.Struct] = plugins.load("scenarios", kind).parameters
    except LookupError:
        raise ValueError(f"Invalid value '{kind}' - at `$.kind`") from None
    except ImportError as error:
        raise ValueError(f"kind '{kind}' cannot be loaded: {error}") from error
    return found


def decode_hook(kind: type, value: object) -> Any:
    """Decode a `Scenario` (msgspec's `dec_hook`); msgspec adds the path to the message of a ValueError."""
    if kind is not Scenario:
        raise NotImplementedError(f"no decoder for {kind}")
    try:
        return msgspec.convert(value, parameters_for(value))
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
