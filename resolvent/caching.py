"""Where files that can be rebuilt are kept, and how they are written.

A cache is never the only home of anything: deleting the folder costs time, nothing else. Names of files hold a hash of
all that their content depends on, so that a file is right or absent, never stale.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "cache_folder"]


def cache_folder() -> Path:
    """Return the folder for caches; it need not exist.

    The environment variable RESOLVENT_CACHE, else the folder `resolvent` in the user's cache folder: XDG_CACHE_HOME or
    ~/.cache, ~/Library/Caches on macOS, LOCALAPPDATA on Windows.

    Raises
    ------
    RuntimeError
        From pathlib, where the home folder of the user cannot be found and no variable names another.
    """
    chosen = os.environ.get("RESOLVENT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "resolvent" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "resolvent"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resolvent"


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Make the file `path` appear whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing. A file of that name is replaced.
    write : callable
        `write(stream)` puts the content into a binary stream.

    Raises
    ------
    OSError
        Where the folder cannot be made or written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
