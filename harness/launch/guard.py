"""Ends what jobs have started when this process is killed.

The kernel then kills a job's own process (`worker.process.die_with_parent`), but not what that has started, which would
stay: between two turns even stopped, so that it cannot end by itself, and holding the machine's lock if it was forked.
A shell that costs next to nothing knows the groups of all jobs that live. It waits for the end of a pipe from this
process, and kills them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL, PIPE, Popen

_SCRIPT = """\
trap "" HUP INT TERM
all=" "
while read -r sign pid; do
  if [ "$sign" = + ]; then all="$all$pid "; else all="${all%% $pid *} ${all#* $pid }"; fi
done
for pid in $all; do kill -s KILL -- "-$pid"; done
"""


class Guard:
    """Knows the groups of the jobs that live, by their leaders."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process

    def add(self, pid: int) -> None:
        """Let it end this group when this process is gone."""
        self._tell(f"+ {pid}\n")

    def drop(self, pid: int) -> None:
        """Forget a group that has ended."""
        self._tell(f"- {pid}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None, "it was started with a pipe"
        with suppress(OSError):  # it was killed: jobs can be measured without it
            self._process.stdin.write(line.encode())


@contextmanager
def guard(inherit: tuple[int, ...] = ()) -> Iterator[Guard]:
    """Start a guard; at the end it ends the groups that still live, and itself.

    `inherit`: descriptors that it keeps open; the machine's lock is then held until it has done so.
    """
    with Popen(
        ["/bin/sh", "-c", _SCRIPT],
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=DEVNULL,
        bufsize=0,
        pass_fds=inherit,
        start_new_session=True,
    ) as process:
        yield Guard(process)
