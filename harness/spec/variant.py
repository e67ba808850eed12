"""A variant: one candidate in one format and precision, as a runtime loads it."""

import msgspec

from harness.spec.target import Option


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant's main output differs from the candidate's own on `rows` real inputs."""

    rows: int
    max_abs_diff: float
    top1_agreement: float | None


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate in one format and precision: a file, or a builder with its weights.

    `path` and `weights` are relative to the staging root, so that a run folder can travel; `digest` is the SHA-256
    of the content, `bytes` its size on disk. `steps` and `options` say which conversions made it (none: it is the
    candidate as given). `cast_to` is the precision that it runs in where the runtime casts it as it loads it. A
    builder's code is not staged: `import_from` is the folder that it is imported from.
    """

    format: str
    precision: str = "fp32"
    options: dict[str, Option] = {}
    path: str | None = None
    builder: str | None = None
    weights: str | None = None
    digest: str = ""
    bytes: int | None = None
    trust_pickle: bool = False
    import_from: str | None = None
    steps: tuple[str, ...] = ()
    cast_to: str = ""
    parity: ParityReport | None = None
