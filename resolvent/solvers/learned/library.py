"""torch, loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from resolvent.errors import BackendError

__all__ = ["load_torch"]


def load_torch() -> Any:
    """Return the module torch.

    Raises
    ------
    BackendError
        It is not installed.
    """
    if find_spec("torch") is None:
        raise BackendError("training needs torch: pip install 'resolvent[learn]'")
    return import_module("torch")
