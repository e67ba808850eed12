"""`python -m harness.worker.boot FOLDER ROOT HANDLER`: start an instance, as its platform would.

HANDLER is `module.function` of a function, which the real runtime client (`awslambdaric`) imports and calls with events
that it asks the Runtime API for; or `container`, which listens on $PORT. Nothing is imported before the first mark.
"""

import os
import sys
import time

MARKS = "events.jsonl"
FOLDER_VARIABLE, ROOT_VARIABLE = "HARNESS_INSTANCE_FOLDER", "HARNESS_INSTANCE_ROOT"


def mark(folder: str, phase: str, t_ns: int, note: str = "") -> None:
    """Append a phase mark, as `EventLog` does, which would have to be imported first. `note` is a JSON text."""
    said = f',"note":{note}' if note else ""
    descriptor = os.open(os.path.join(folder, MARKS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f'{{"phase":"{phase}","t_ns":{t_ns}{said}}}\n'.encode())
    os.close(descriptor)


def main(folder: str, root: str, handler: str) -> None:
    """Run the instance; it ends when it is ended."""
    os.environ |= {FOLDER_VARIABLE: folder, ROOT_VARIABLE: root}
    if handler == "container":
        from harness.worker.container import serve

        serve(int(os.environ["PORT"]), folder)
    else:
        from awslambdaric.__main__ import main as client

        client([sys.argv[0], handler])


if __name__ == "__main__":
    up_ns = time.perf_counter_ns()
    mark(sys.argv[1], "up", up_ns)
    main(*sys.argv[1:4])
