"""`import resolvent` is cheap, and heavy libraries are loaded where they are needed alone."""

import subprocess
import sys

import pytest

import resolvent


def loaded_by(program):
    """Return the top-level names of the modules that a fresh Python has loaded after a program."""
    code = f"import sys\n{program}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(run.stdout.split())


def test_import_loads_no_other_library():
    heavy = {"numpy", "scipy", "numba", "torch", "cupy", "matplotlib", "rich", "array_api_compat", "pandas", "petsc4py"}
    assert not loaded_by("import resolvent; resolvent.__version__; dir(resolvent)") & heavy


def test_problems_load_numpy_alone():
    found = loaded_by("import resolvent.problems, resolvent.arrays, resolvent.kernels")
    assert "numpy" in found
    assert not found & {"scipy", "numba", "torch", "cupy", "matplotlib", "rich", "array_api_compat"}


def test_solvers_load_neither_numba_nor_what_draws_or_learns():
    found = loaded_by("import resolvent.solvers, resolvent.problems.library")
    assert "scipy" in found
    assert not found & {"numba", "torch", "cupy", "matplotlib", "rich", "petsc4py"}


def test_every_public_name_is_there():
    for name in resolvent.__all__:
        assert getattr(resolvent, name) is not None
        assert name in dir(resolvent)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'resolvent' has no attribute 'slove'$"):
        resolvent.slove  # noqa: B018


def test_public_names_of_the_packages_are_there():
    from resolvent import problems, solvers

    for package in (problems, solvers):
        assert len(set(package.__all__)) == len(package.__all__)
        for name in package.__all__:
            assert getattr(package, name) is not None
