"""Fixtures for all tests; and in CI, a skip that nobody expects is a failure."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

EXPECTED_SKIPS = (
    "needs CuPy and a CUDA device",
    "no CUDA device, or no CuPy",
    "nvcc is not installed",
    "needs petsc4py",
    "training needs the extra learn",
)
unexpected = []


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Listen to SIGINT also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)


def pytest_runtest_logreport(report):
    """Collect skips whose reason is not on the list."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(expected in reason for expected in EXPECTED_SKIPS):
            unexpected.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session, exitstatus):
    """Fail where CI asks for it and a skip was unexpected."""
    if unexpected and os.environ.get("RESOLVENT_CI") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """Name the unexpected skips."""
    if unexpected and os.environ.get("RESOLVENT_CI"):
        terminalreporter.section("unexpected skips")
        for line in unexpected:
            terminalreporter.line(line)
