"""Finding suites and targets: by path, in the working directory, or in the package.

What is not found, cannot be read, or is wrong raises SpecError.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from harness.errors import SpecError
from harness.spec import toml
from harness.spec.check import check_policy, check_suite, check_target
from harness.spec.metrics import nearest
from harness.spec.policy import Policy
from harness.spec.suite import Suite
from harness.spec.target import Target


def known(kind: str, beside: Path | None = None) -> dict[str, Path]:
    """Map names of a `kind` ("suites" or "targets") to files; later folders replace entries of earlier ones."""
    folders = [Path(str(files(f"harness.{kind}"))), Path.cwd() / kind]
    if beside is not None:
        folders += [beside / kind, beside.parent / kind]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def _resolve(name: str, kind: str, where: str, beside: Path | None) -> Path:
    if name.endswith(".toml"):
        path, named = (Path(name), "") if beside is None else (beside / name, f" (named by {where})")
        if not path.is_file():
            raise SpecError(str(path), f"no such file{named}", toml.nearest_file(path))
        return path
    found = known(kind, beside)
    if name not in found:
        raise SpecError(where, f"unknown {kind[:-1]} '{name}'", nearest(name, found))
    return found[name]


def load_target(name: str, where: str = "--target", beside: Path | None = None) -> Target:
    """Read the target called `name` (a name, or a path ending in .toml relative to `beside`)."""
    path = _resolve(name, "targets", where, beside)
    target = toml.read(path, Target)
    target = msgspec.structs.replace(target, name=target.name or path.stem)
    check_target(target, str(path))
    return target


def load_targets(names: Sequence[str], where: str, beside: Path | None = None) -> tuple[Target, ...]:
    """Read several targets; the same name twice is an error."""
    targets = {}
    for target in (load_target(name, where, beside) for name in names):
        if target.name in targets:
            raise SpecError(where, f"target '{target.name}' is named twice")
        targets[target.name] = target
    return tuple(targets.values())


def load_suite(name: str) -> tuple[Suite, Path]:
    """Read the suite called `name` (a name, or a path to a .toml file); returns it and its file."""
    path = _resolve(name, "suites", "suite", None).absolute()
    suite = toml.read(path, Suite)
    suite = msgspec.structs.replace(suite, name=suite.name or path.stem)
    check_suite(suite, str(path), path.parent)
    return suite, path


class PolicyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TOML file with a [policy] only."""

    policy: Policy


def load_policy(path: Path, scenarios: Sequence[str]) -> Policy:
    """Read the `[policy]` of a policy file; `scenarios` are the names of the suite's scenarios."""
    policy = toml.read(path, PolicyFile).policy
    check_policy(policy, str(path), scenarios)
    return policy
