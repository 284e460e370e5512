"""Checkpoints: what a state may hold comes back to the bit, everything else is refused by name."""

import hashlib
import json
from collections import Counter, namedtuple
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import resolvent as rs
from resolvent import OptionError, Status
from resolvent.problems import LinearSystem
from resolvent.solvers import ConjugateGradient, State
from resolvent.solvers.base import cache
from resolvent.solvers.checkpoint import _decode, _encode
from tests.contracts.helpers import same
from tests.toys.evolution import Heun, relaxation


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    LOW = 1


@dataclass
class Part:
    numbers: Any
    level: Level = Level.LOW


@dataclass(kw_only=True, eq=False)
class Rich(State):
    """A state with a field of every kind."""

    value: Any = None
    factor: Any = cache()


def roundtrip(value, path):
    return rs.load_state(rs.save_state(Rich(x=None, value=value), path / "state")).value


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([Colour.RED, Level.LOW, Status.FINISHED, np.float32(0.1), np.int8(3), np.bool_(True)]),
)
dtypes = st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_])
numbers = dtypes.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
nested = st.recursive(
    st.one_of(scalars, numbers),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
        inner.map(Part),
    ),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True, max_examples=60, database=None)
@given(value=nested)
def test_nested_values_come_back_to_the_bit(value):
    found = []
    tree = json.loads(json.dumps(_encode(value, found)))
    assert same(_decode(tree, found), value)


@pytest.mark.parametrize(
    "value",
    [
        np.array(3.0),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[::2, ::-1],
        np.arange(3, dtype=">f8"),
        np.array([np.nan, -0.0, np.inf, 5e-324]),
        float("nan"),
        -0.0,
        sp.csr_array(np.diag([1.0, 0, 2])),
        sp.csc_matrix(np.eye(2, dtype=np.float32)),
    ],
    ids=str,
)
def test_arrays_and_matrices_come_back_to_the_bit(value, tmp_path):
    back = roundtrip(value, tmp_path)
    assert type(back) is type(value)
    if sp.issparse(value):
        assert same(back, value)
    else:
        assert np.asarray(back).dtype == np.asarray(value).dtype
        assert np.asarray(back).tobytes() == np.asarray(value).tobytes()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox, np.random.MT19937, np.random.SFC64])
def test_generators_go_on_with_the_same_numbers(kind, tmp_path):
    rng = np.random.Generator(kind(5))
    rng.integers(7, size=3)  # leaves half of a number behind
    back = roundtrip(rng, tmp_path)
    assert back.bit_generator.state["bit_generator"] == kind.__name__
    assert back.standard_normal(9).tobytes() == rng.standard_normal(9).tobytes()
    assert back.integers(7, size=9).tobytes() == rng.integers(7, size=9).tobytes()


def test_a_state_in_a_state(tmp_path):
    inner = Rich(x=np.ones(2), value=(1, [2.5]), status=Status.STALLED, message="why")
    assert same(roundtrip(inner, tmp_path), inner)


def test_cache_fields_are_left_out(tmp_path):
    state = Rich(x=None, factor=lambda: None)
    assert rs.load_state(rs.save_state(state, tmp_path / "state")).factor is None


Point = namedtuple("Point", "a b")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (lambda: 0, "function"),
        (object(), "object"),
        (1j, "complex"),
        ({1, 2}, "set"),
        (np.array([None]), "array of object"),
        (sp.coo_array(np.eye(2)), "coo_array"),
        (Point(1, 2), "Point"),
        (Counter(a=1), "Counter"),
        (Rich, "type"),
    ],
    ids=lambda value: getattr(value, "__name__", str(type(value))),
)
def test_what_would_not_come_back_the_same_is_refused(value, kind, tmp_path):
    with pytest.raises(OptionError, match=f"^a state holds an? {kind}, which a checkpoint cannot store"):
        rs.save_state(Rich(x=None, value=value), tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


# ---- files


def test_the_suffix_is_added_and_the_folder_made(tmp_path):
    state = Rich(x=np.ones(2))
    assert rs.save_state(state, str(tmp_path / "a" / "b")) == tmp_path / "a" / "b.npz"
    assert rs.save_state(state, tmp_path / "v1.5") == tmp_path / "v1.5.npz"
    for path in ("a/b", "a/b.npz", "v1.5"):
        assert same(rs.load_state(tmp_path / path), state)


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = rs.save_state(Rich(x=np.ones(2)), tmp_path / "state")
    before = path.read_bytes()

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        rs.save_state(Rich(x=np.zeros(2)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def rewritten(path, change, sign=True):
    """Change the JSON of a checkpoint, with a right digest if `sign`."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    tree = json.loads(str(content["meta"]))
    change(tree)
    meta = json.dumps(tree)
    digest = hashlib.sha256(meta.encode())
    for i in range(len(content) - 2):
        array = content[f"a{i}"]
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes(order="A"))
    content["meta"] = np.array(meta)
    if sign:
        content["sha256"] = np.array(digest.hexdigest())
    np.savez(path, **content)
    return path


@pytest.fixture
def path(tmp_path):
    return rs.save_state(Rich(x=np.ones(2), value=np.random.default_rng(0), status=Status.USER), tmp_path / "state")


def fields(tree):
    return tree["state"]["fields"]


def test_rewriting_keeps_a_checkpoint_that_is_not_changed(path):
    assert rs.load_state(rewritten(path, lambda tree: None)).status is Status.USER


def test_a_changed_number_without_a_right_digest(path):
    def change(tree):
        fields(tree)["iterations"] = {"int": "7"}

    with pytest.raises(OptionError, match=r"was changed after it was written: its sha256 differs$"):
        rs.load_state(rewritten(path, change, sign=False))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(version=2), "has checkpoint version 2, expected 1"),
        (lambda tree: tree.pop("version"), "has checkpoint version None, expected 1"),
        (lambda tree: tree.pop("state"), "is of another version: KeyError: 'state'"),
        (lambda tree: fields(tree).pop("message"), "is of another version of Rich: it differs in message"),
        (lambda tree: fields(tree).update(more=1), "is of another version of Rich: it differs in more"),
        (
            lambda tree: fields(tree)["status"]["enum"].__setitem__(2, "TIRED"),
            "is of another version: KeyError: 'TIRED'",
        ),
        (lambda tree: fields(tree).update(x={"array": 99}), "is of another version: IndexError"),
        (lambda tree: fields(tree).update(x={"float": "nonsense"}), "is of another version: ValueError"),
        (lambda tree: fields(tree).update(x={"thing": 1}), "has an entry of kind 'thing', which this version does not"),
        (lambda tree: tree["state"].update(object=["os", "system"]), "names os.system, which is no class of states"),
        (
            lambda tree: tree["state"].update(object=["subprocess", "Popen"]),
            "names subprocess.Popen, which is no class",
        ),
        (
            lambda tree: tree["state"].update(object=["antigravity", "X"]),
            "names antigravity.X: import antigravity before",
        ),
        (
            lambda tree: fields(tree)["value"]["generator"]["dict"][0].__setitem__(1, "RandomState"),
            "names the bit generator 'RandomState', which NumPy does not have",
        ),
    ],
)
def test_a_checkpoint_of_another_version_or_with_foreign_names(path, change, said):
    """Even with a right digest nothing is imported, and nothing is called but classes of states."""
    with pytest.raises(OptionError, match=said):
        rs.load_state(rewritten(path, change))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"state\.npz is no complete checkpoint: \w+"):
        rs.load_state(path)


def test_a_pickle_is_never_read(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, meta=np.array([print], dtype=object), sha256=np.array(""))
    with pytest.raises(OptionError, match="is no complete checkpoint: ValueError: Object arrays cannot be loaded"):
        rs.load_state(path)


def test_missing_or_a_folder(tmp_path):
    with pytest.raises(OptionError, match=r"^there is no checkpoint .*nothing\.npz$"):
        rs.load_state(tmp_path / "nothing")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OptionError, match=r"folder\.npz is no complete checkpoint: IsADirectoryError"):
        rs.load_state(tmp_path / "folder")


def test_another_class_than_expected(path):
    with pytest.raises(OptionError, match=r"state\.npz holds a Rich, expected a ConjugateGradientState$"):
        rs.load_state(path, ConjugateGradient.state)


# ---- the callback


def solve(**options):
    system = LinearSystem(np.diag(np.arange(1.0, 21)), np.ones(20), spd=True, name="diagonal")
    return rs.solve(system, ConjugateGradient(), **options)


def test_checkpoint_saves_after_each_step_and_at_the_end(tmp_path):
    saved = []

    def look(state):
        saved.append(rs.load_state(tmp_path / "run").iterations)

    result = solve(stop=rs.Stop(rtol=0, iterations=4), callback=[rs.Checkpoint(tmp_path / "run", every=0), look])
    assert saved == [1, 2, 3, 4]
    last = rs.load_state(tmp_path / "run")
    assert last.status is result.status
    assert same(last, result.state)


def test_checkpoint_waits_between_two_files(tmp_path):
    callback = rs.Checkpoint(tmp_path / "run", every=1000)
    solve(stop=rs.Stop(rtol=0, iterations=4), callback=[callback, lambda s: (tmp_path / "run.npz").exists() or None])
    assert rs.load_state(tmp_path / "run").iterations == 4


def test_a_diverged_run_does_not_replace_the_last_good_file(tmp_path):
    plain, calls = relaxation().collision.function, [0]

    def collision(u):
        calls[0] += 1
        return tuple(part * (np.nan if calls[0] > 31 else 1) for part in plain(u))

    callback = rs.Checkpoint(tmp_path / "run", every=0)
    result = rs.solve(relaxation().replace(collision=collision), Heun(), callback=callback)
    assert result.status is Status.DIVERGED
    last = rs.load_state(tmp_path / "run")
    assert 0 < last.iterations < result.iterations
    assert all(np.isfinite(part).all() for part in last.x)
