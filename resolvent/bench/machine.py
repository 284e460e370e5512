"""Where and with what a run is made: the machine, the versions, the commit."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import resolvent

__all__ = ["available_cores", "code_version", "describe_machine", "thread_variables"]

PACKAGES = ("numpy", "scipy", "numba", "optiprofiler")


def available_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment that holds kernels and BLAS to so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RESOLVENT_NUM_THREADS")
    return {name: str(threads) for name in names}


def code_version() -> dict[str, Any]:
    """Return version, commit and whether the tree was clean: the last two None where there is no repository.

    In a tree with changes `changes` is a hash of them, so that two states of one commit can be told apart.
    """
    found: dict[str, Any] = {"version": resolvent.__version__, "commit": None, "clean": None, "changes": None}
    package = Path(resolvent.__file__).parent
    # an installed package may lie inside a repository of somebody else
    if _output("git", "-C", str(package), "ls-files", "--error-unmatch", "__init__.py") is None:
        return found
    commit = _output("git", "-C", str(package), "rev-parse", "HEAD")
    changes = _output("git", "--no-optional-locks", "-C", str(package), "diff", "HEAD", "--", ".")
    others = _output("git", "--no-optional-locks", "-C", str(package), "status", "--porcelain", "--", ".")
    clean = not changes and not others
    digest = None if clean else hashlib.sha256(f"{changes}{others}".encode()).hexdigest()[:12]
    return found | {"commit": commit, "clean": clean, "changes": digest}


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what stands in machine.json."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "cpu": _cpu(),
        "cores": len(available_cores()),
        "memory": _memory(),
        "gpu": _gpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "threads": threads,
        "thread_variables": thread_variables(threads),
        "code": code_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpu() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    return _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    """Return what a command prints, None where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
