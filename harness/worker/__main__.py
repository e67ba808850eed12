"""`python -m harness.worker FOLDER ROOT [READ WRITE]`: do the job in FOLDER/job.json and leave FOLDER/outcome.json.

Paths in the job are relative to ROOT, the staging root. READ and WRITE are the descriptors that turns come by.
"""

import sys
from pathlib import Path

from harness.worker.process import die_with_parent
from harness.worker.turns import Turns
from harness.worker.work import end, work

if __name__ == "__main__":
    die_with_parent()
    folder, root, *pipe = sys.argv[1:]
    end(work(Path(folder), Path(root), Turns((int(pipe[0]), int(pipe[1])) if pipe else None)))
