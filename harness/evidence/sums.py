"""SHA256SUMS: the digest of every file of a folder, in the form that `sha256sum -c` reads."""

from pathlib import Path

from harness.errors import EvidenceError
from harness.evidence.files import file_digest, write_whole

FILE = "SHA256SUMS"


def write_sums(folder: Path) -> Path:
    """Write the digests of all files of a folder, by their paths in it, and return the file.

    A path with a newline or a backslash is escaped as `sha256sum` does.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
    lines = (_line(path, str(path.relative_to(folder))) for path in files)
    text = "".join(f"{line}\n" for line in lines)
    write_whole(folder / FILE, lambda path: path.write_text(text, encoding="utf-8", errors="surrogateescape"))
    return folder / FILE


def _line(path: Path, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    mark = "\\" if escaped != name else ""
    return f"{mark}{_digest(path)}  {escaped}"


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
