"""A job's paths, which are relative to the staging root, made absolute."""

from pathlib import Path
from typing import TypeVar

import msgspec

from harness.spec.variant import Variant

J = TypeVar("J", bound=msgspec.Struct)


def rooted(job: J, root: Path) -> J:
    """Return the job with its paths made absolute below the staging root."""
    changes: dict[str, object] = {}
    for field in job.__struct_fields__:
        value = getattr(job, field)
        if isinstance(value, Variant):
            files = {k: str(root / v) for k in ("path", "weights") if (v := getattr(value, k)) is not None}
            changes[field] = msgspec.structs.replace(value, **files)
        elif field in ("calibration", "reference", "rows", "traces") or (field == "dataset" and isinstance(value, str)):
            changes[field] = None if value is None else str(root / value)
    return msgspec.structs.replace(job, **changes)
