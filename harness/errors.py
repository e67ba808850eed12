"""The errors a person may meet. Each says what is wrong, where, and how to mend it."""


class HarnessError(Exception):
    """Something the user can mend; `cli` prints it as one message and exits with `exit_code`."""

    exit_code = 2


class SpecError(HarnessError):
    """A suite, target or command line that cannot be right: file, key path, mend."""

    def __init__(self, where: str, what: str, mend: str = "") -> None:
        self.where, self.what, self.mend = where, what, mend
        super().__init__(f"{where}: {what}" + (f" ({mend})" if mend else ""))


class EvidenceError(HarnessError):
    """A run folder that cannot be written or read as it stands."""


class BusyError(HarnessError):
    """Another run is measuring on this machine."""
