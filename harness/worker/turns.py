"""Taking turns: of the processes of a block one runs at a time, and a byte on a pipe gives it the turn."""

import os

PASSED, DONE = b"t", b"d"
"""What a process writes when it gives the turn back: it wants another one, or it has nothing left to measure."""


class Turns:
    """This process's turns. `pipe` is (to read turns from, to give them back); without one it always has the turn."""

    def __init__(self, pipe: tuple[int, int] | None = None) -> None:
        self.shared = pipe is not None
        self._read, self._write = pipe or (-1, -1)

    def next(self) -> None:
        """Give the turn back and wait for the next one."""
        self._give(PASSED)

    def finish(self) -> None:
        """Give the turn back for good, and wait until no process of the block measures any more."""
        self._give(DONE)

    def _give(self, byte: bytes) -> None:
        if not self.shared:
            return
        os.write(self._write, byte)
        if not os.read(self._read, 1):
            os._exit(1)  # the parent is gone
