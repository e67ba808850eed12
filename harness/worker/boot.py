"""`python -m harness.worker.boot FOLDER ROOT HANDLER`: start an instance, as its platform would.

HANDLER is `module.function` of a function, which the real runtime client (`awslambdaric`) imports and calls with events
that it asks the Runtime API for; or `container`, which listens on $PORT. The first mark is of the time before imports.
"""

import os
import sys
import time


def main(up_ns: int, folder: str, root: str, handler: str) -> None:
    """Run the instance; it ends when it is ended."""
    from harness.worker.marks import FOLDER_VARIABLE, ROOT_VARIABLE, mark

    mark(folder, "up", up_ns)
    os.environ |= {FOLDER_VARIABLE: folder, ROOT_VARIABLE: root}
    if handler == "container":
        from harness.worker.container import serve

        serve(int(os.environ["PORT"]), folder)
    else:
        from awslambdaric.__main__ import main as client

        client([sys.argv[0], handler])


if __name__ == "__main__":
    main(time.perf_counter_ns(), *sys.argv[1:4])
