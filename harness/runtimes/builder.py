"""Calling a user's `module:function` that builds a model or a dataset."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from harness.runtimes.base import ModelError
from harness.spec.wire import Artefact


def call(builder: str, import_from: str | None) -> Any:
    """Import `module:function` and call it; modules beside the suite (`import_from`) are found too.

    Raises:
        ModelError: the module or function is not there.
    """
    if import_from is not None and import_from not in sys.path:
        sys.path.append(import_from)
    module_name, _, function_name = builder.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(f"builder '{builder}' cannot be imported: {error}") from error
    function = getattr(module, function_name, None)
    if function is None:
        raise ModelError(f"builder '{builder}': the module has no function '{function_name}'")
    return function()


def build(artefact: Artefact) -> Any:
    """Build what an artefact's builder makes."""
    if artefact.builder is None:
        raise ModelError("a 'torch' artefact needs a builder")
    return call(artefact.builder, artefact.import_from)
