"""Marks of a starting instance, and where it finds its folders; next to nothing is imported for them."""

import os

MARKS = "events.jsonl"
FOLDER_VARIABLE, ROOT_VARIABLE = "HARNESS_INSTANCE_FOLDER", "HARNESS_INSTANCE_ROOT"


def mark(folder: str, phase: str, t_ns: int, note: str = "") -> None:
    """Append a phase mark, as `EventLog` does, which would have to be imported first. `note` is a JSON text."""
    said = f',"note":{note}' if note else ""
    descriptor = os.open(os.path.join(folder, MARKS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f'{{"phase":"{phase}","t_ns":{t_ns}{said}}}\n'.encode())
    os.close(descriptor)
