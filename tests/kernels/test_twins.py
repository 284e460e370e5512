"""Every kernel has a reference, examples, and twins of the same signature and the same values."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import resolvent.kernels
from resolvent.errors import BackendError
from resolvent.kernels import twin

ROOT = Path(resolvent.kernels.__file__).parent
FAMILIES = sorted(path.stem for path in (ROOT / "reference").glob("[a-z]*.py"))
KERNELS = [
    (family, name) for family in FAMILIES for name in import_module(f"resolvent.kernels.reference.{family}").__all__
]
every = pytest.mark.parametrize(("family", "name"), KERNELS, ids=[f"{f}.{n}" for f, n in KERNELS])


def reference(family):
    return import_module(f"resolvent.kernels.reference.{family}")


def signature(kernel):
    return list(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)


def flat(values):
    """Return the arrays and numbers in (nested) tuples of arguments, None left out."""
    values = values if isinstance(values, tuple) else (values,)
    return [x for v in values for x in (flat(v) if isinstance(v, tuple) else [v]) if x is not None]


def size(arguments):
    return max([1, *(np.size(a) for a in flat(arguments))])


def close(mine, true, length):
    """4 ulp times the length of the sums, relative to the largest finite entry; inf (no bound) in the same places."""
    if not isinstance(true, np.ndarray) or true.dtype.kind != "f":
        assert np.array_equal(mine, true)
        return
    assert mine.dtype == true.dtype
    finite = np.isfinite(true)
    assert np.array_equal(mine[~finite], true[~finite])
    mine, true = mine[finite], true[finite]
    scale = 1 + np.abs(true).max(initial=0)
    assert np.abs(mine - true).max(initial=0) <= 4 * np.finfo(true.dtype).eps * length * scale


def test_there_are_kernels():
    assert KERNELS


@every
def test_examples_cover_the_corners(family, name, rng):
    make = reference(family).EXAMPLES[name]
    examples = make(rng, np.float32)
    first = [flat(a)[0] for a in examples]
    assert any(0 in np.shape(a) for a in first), "no empty example"
    assert any(np.size(a) == 1 for a in first), "no example of one element"
    kinds = {x.dtype for a in examples for x in flat(a) if getattr(getattr(x, "dtype", None), "kind", "") == "f"}
    assert kinds <= {np.dtype(np.float32), np.dtype(np.float64)}
    assert not kinds or np.dtype(np.float32) in kinds


@every
@pytest.mark.parametrize("place", ["cpu", "gpu"])
def test_signatures_agree(family, name, place):
    source = ROOT / place / f"{family}.py"
    if place == "gpu" and not source.exists():  # a family without a GPU file says so when it is asked
        if has_cupy():
            with pytest.raises(BackendError, match=rf"{family}\.{name} has no twin for arrays on the gpu"):
                twin(family, name, place)
        return
    assert source.exists(), f"{family} has no {place} file"
    if place == "gpu" and not has_cupy():
        tree = compile(source.read_text(), str(source), "exec", flags=0x400)  # ast.PyCF_ONLY_AST
        found = {f.name: [a.arg for a in f.args.args] for f in tree.body if hasattr(f, "args")}
        assert found[name] == signature(getattr(reference(family), name))
        return
    assert signature(twin(family, name, place)) == signature(getattr(reference(family), name))


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_agree(family, name, dtype):
    for arguments in reference(family).EXAMPLES[name](np.random.default_rng(7), dtype):
        mine, true = copy.deepcopy(arguments), copy.deepcopy(arguments)
        returned = getattr(getattr(resolvent.kernels, family), name)(*mine)
        expected = getattr(reference(family), name)(*true)
        for a, b in zip(flat(returned), flat(expected), strict=True):
            close(np.asarray(a), np.asarray(b), size(arguments))
        for a, b in zip(flat(mine), flat(true), strict=True):
            close(np.asarray(a), np.asarray(b), size(arguments))


def has_cupy():
    try:
        import cupy  # noqa: F401
    except ImportError:
        return False
    return True


def test_unknown_kernel():
    with pytest.raises(AttributeError, match="no kernel 'nothing'"):
        getattr(resolvent.kernels.sketches, "nothing")  # noqa: B009
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(resolvent.kernels, "nothing")  # noqa: B009


@pytest.mark.skipif(has_cupy(), reason="CuPy is installed")
def test_missing_cupy_is_named():
    with pytest.raises(BackendError, match=r"resolvent\[gpu\]"):
        twin("sketches", "row_steps", "gpu")
