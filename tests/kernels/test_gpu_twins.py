"""The GPU twins without a GPU: CUDA compiles, and the kernels give the reference's values when one thread runs them."""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.sparse

import resolvent.kernels
from resolvent.kernels.reference import sketches as reference

GPU = Path(resolvent.kernels.__file__).parent / "gpu"
SOURCES = sorted(GPU.glob("*.cu"))
INDEX_TYPES = {"int": ctypes.c_int, "long long": ctypes.c_longlong}

ONE_THREAD = """
#include <cmath>
using std::sqrt;
struct Index { long long x; };
static Index threadIdx{0}, blockDim{1}, blockIdx{0};
#define __device__
#define __global__
#define __shared__ static
#define __syncthreads()
extern "C" void set_block(long long x) { blockIdx.x = x; }
"""


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_cuda_compiles(source, architecture, tmp_path):
    instances = "\n".join(
        f"auto instance_{i} = {name};" for i, name in enumerate(names(source))
    )  # the address of a kernel makes the compiler instantiate it
    program = tmp_path / source.name
    program.write_text(f"{source.read_text()}\n{instances}\n")
    subprocess.run(
        ["nvcc", f"-arch={architecture}", "-std=c++17", "-cubin", "-o", tmp_path / "k.cubin", program], check=True
    )


def names(source):
    """Every kernel of a file with every pair of types."""
    found = []
    for parameters, name in re.findall(r"template <([^>]*)>\n__global__ void (\w+)", source.read_text()):
        indices = [", int", ", long long"] if "typename I" in parameters else [""]
        found += [f"{name}<{real}{index}>" for real in ("float", "double") for index in indices]
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The kernels compiled for one thread of the host."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("emulation")
    [source] = SOURCES
    code = ONE_THREAD + source.read_text()
    for name in names(source):
        code += f'\nextern "C" void* {plain(name)}() {{ return (void*)&{name}; }}'
    (folder / "k.cpp").write_text(code)
    subprocess.run(
        ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-o", folder / "k.so", folder / "k.cpp"], check=True
    )
    return ctypes.CDLL(str(folder / "k.so"))


def plain(name):
    return "address_" + re.sub(r"\W+", "_", name)


@pytest.fixture
def twin(library, monkeypatch):
    """The GPU module with NumPy in CuPy's place and kernels that run on one thread."""

    class RawModule:
        def __init__(self, code, options, name_expressions):
            self.known = name_expressions

        def get_function(self, name):
            assert name in self.known
            address = getattr(library, plain(name))
            address.restype = ctypes.c_void_p
            return lambda grid, block, arguments: launch(library, address(), grid, arguments)

    cupy = ModuleType("cupy")
    cupy.__dict__.update({name: value for name, value in vars(np).items() if not name.startswith("__")})
    cupy.RawModule = RawModule
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", ModuleType("cupyx"))
    monkeypatch.setitem(sys.modules, "cupyx.scipy", SimpleNamespace(sparse=scipy.sparse))
    monkeypatch.setitem(sys.modules, "cupyx.scipy.sparse", scipy.sparse)
    spec = importlib.util.spec_from_file_location("emulated_gpu_sketches", GPU / "sketches.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launch(library, address, grid, arguments):
    types, values = [], []
    for a in arguments:
        if isinstance(a, np.ndarray):
            assert a.flags.c_contiguous
            types.append(ctypes.c_void_p)
            values.append(a.ctypes.data)
        else:
            types.append(
                {"int64": ctypes.c_longlong, "float32": ctypes.c_float, "float64": ctypes.c_double}[a.dtype.name]
            )
            values.append(a.item())
    kernel = ctypes.CFUNCTYPE(None, *types)(address)
    for block in range(grid[0]):
        library.set_block(ctypes.c_longlong(block))
        kernel(*values)


@pytest.mark.parametrize("name", reference.__all__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_thread_gives_the_reference(name, dtype, twin):
    for arguments in reference.EXAMPLES[name](np.random.default_rng(7), dtype):
        mine, true = copy.deepcopy(arguments), copy.deepcopy(arguments)
        getattr(twin, name)(*mine)
        getattr(reference, name)(*true)
        for a, b in zip(mine, true, strict=True):
            scale = 1 + np.abs(b).max(initial=0)
            length = max(np.size(v) for v in true)
            assert np.abs(np.asarray(a) - b).max(initial=0) <= 8 * np.finfo(dtype).eps * scale * length


@pytest.mark.gpu
@pytest.mark.parametrize("name", reference.__all__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_device_gives_the_reference(name, dtype):
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a CUDA device")
    if not cupy.cuda.is_available():
        pytest.skip("needs a CUDA device")
    kernel = resolvent.kernels.twin("sketches", name, "gpu")
    for arguments in reference.EXAMPLES[name](np.random.default_rng(7), dtype):
        true = copy.deepcopy(arguments)
        mine = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
        kernel(*mine)
        getattr(reference, name)(*true)
        for a, b in zip(mine, true, strict=True):
            scale = 1 + np.abs(b).max(initial=0)
            assert np.abs(cupy.asnumpy(a) - b).max(initial=0) <= 8 * np.finfo(dtype).eps * scale * max(
                map(np.size, true)
            )
