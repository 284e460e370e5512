"""Suites: what they mean, and what is said where something in them is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolvent.bench import problems
from resolvent.bench.peers import PEERS
from resolvent.bench.plan import choose, make_plan, to_redo
from resolvent.bench.reading import condition, memory_size
from resolvent.bench.suite import SHIPPED, find_suite, read_suite
from resolvent.errors import OptionError
from resolvent.problems.nlp import NLP

SUITE = """\
name = "small"
tolerance = { atol = 1e-8, rtol = 1e-6 }
limits = { seconds = 5, memory = "1 GiB" }
repeats = 2
seed = 7

[[problems]]
from = "library"
names = ["HS6", "POISSON[k=4]"]

[[problems]]
from = "library"
names = ["HS71", "HS28"]
skip = { HS28 = "too easy" }

[[solvers]]
label = "newton"
use = "resolvent.solvers:SketchedNewton"

[solvers.options]
accuracy = { use = "resolvent.solvers:Accuracy.computable", largest = 0.5 }
sketch = { use = "resolvent.solvers:Sketch.gaussian", columns = 2 }

[[solvers]]
label = "cg"
use = "resolvent.solvers:ConjugateGradient"

[[solvers]]
peer = "scipy.SLSQP"
only = ["HS7*"]

[[tables]]
title = "square"
where = "m <= n"
"""


@pytest.fixture
def suite():
    return read_suite(SUITE, "small.toml")


def keys(text):
    return {
        (task.problem.name, task.solver.label, task.repeat): task.key for task in make_plan(read_suite(text, "")).tasks
    }


# ---- what a suite means


def test_tasks_come_problem_by_problem(suite):
    found = [(task.problem.name, task.repeat, task.solver.label) for task in make_plan(suite).tasks]
    assert found == [
        ("HS6", 0, "newton"),
        ("HS6", 1, "newton"),
        ("POISSON[k=4]", 0, "cg"),
        ("POISSON[k=4]", 1, "cg"),
        ("HS71", 0, "scipy.SLSQP"),
        ("HS71", 1, "scipy.SLSQP"),
    ]
    assert make_plan(suite).left_out == (("HS28", "too easy"),)


def test_a_repeat_has_its_own_seed(suite):
    assert [task.message()["seed"] for task in make_plan(suite).tasks[:2]] == [7, 8]


def test_tables_with_use_are_built(suite):
    newton = suite.solvers[0].method
    assert (newton.accuracy.largest, newton.sketch.columns) == (0.5, 2)


def test_the_plan_is_json(suite):
    plan = make_plan(suite).to_dict()
    assert json.loads(json.dumps(plan, allow_nan=False)) == plan
    assert "gtol" not in plan["solvers"][2]["settings"]
    assert "ftol" in plan["solvers"][2]["settings"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("atol = 1e-8", "atol = 1e-7"),
        ("rtol = 1e-6", "rtol = 1e-5"),
        ("seconds = 5", "seconds = 6"),
        ('"1 GiB"', '"2 GiB"'),
        ("seconds = 5", "seconds = 5, iterations = 100"),
        ("seconds = 5", "seconds = 5, evaluations = 100"),
        ("seed = 7", "seed = 8"),
        ("largest = 0.5", "largest = 0.4"),
        ("columns = 2", "columns = 3"),
        (", columns = 2", ""),
        ("Sketch.gaussian", "Sketch.count"),
    ],
)
def test_the_key_changes_with_every_option(old, new):
    assert old in SUITE
    before, after = keys(SUITE), keys(SUITE.replace(old, new))
    task = ("HS6", "newton", 0)
    assert before[task] != after[task]
    assert before[task] != before["HS6", "newton", 1]


def test_the_key_changes_with_the_problem_and_not_with_the_label():
    before, after = keys(SUITE), keys(SUITE.replace("k=4", "k=5").replace('"newton"', '"another"'))
    assert before["POISSON[k=4]", "cg", 0] != after["POISSON[k=5]", "cg", 0]
    assert before["HS6", "newton", 0] == after["HS6", "another", 0]
    assert len(set(before.values())) == len(before)


def test_changed(suite):
    other = suite.changed(seconds=1.5, memory="2 GiB", repeats=1, seed=0)
    assert (other.limits.seconds, other.limits.memory, other.repeats, other.seed) == (1.5, 2**31, 1, 0)
    assert suite.changed(peers=["none"]).solvers == suite.solvers[:2]
    assert [entry.label for entry in suite.changed(peers=["scipy.cg"]).solvers][-1] == "scipy.cg"
    assert {entry.description.get("peer") for entry in suite.changed(peers=["all"]).solvers} == {None, *PEERS}
    for wrong in ({"seconds": 0}, {"memory": "much"}, {"repeats": 0}, {"seed": -1}, {"peers": ["scipy.SLSPQ"]}):
        with pytest.raises(OptionError):
            suite.changed(**wrong)


def test_only(suite):
    plan = make_plan(suite)
    assert {task.problem.name for task in choose(plan, ["hs*"])} == {"HS6", "HS71"}
    assert [task.solver.label for task in choose(plan, ["HS*", "newton"])] == ["newton", "newton"]
    assert len(choose(plan, ["POISSON[k=4]"])) == 2
    with pytest.raises(OptionError, match="'HS99', which matches no problem and no solver"):
        choose(plan, ["HS99"])


def test_redo(suite):
    tasks = make_plan(suite).tasks
    verdicts = ["verified", "failed", "claimed only", "verified infeasible", None]
    records = {task.key: {"verdict": verdict} for task, verdict in zip(tasks, verdicts, strict=False)}
    done = [task.key for task in tasks]
    assert to_redo(tasks, records, "failed") == [done[1], done[2], done[4]]
    assert to_redo(tasks, records, "all") == done[:5]
    assert to_redo(tasks, records, "cg") == done[2:4]
    assert to_redo(tasks, records, "HS6") == done[:2]
    with pytest.raises(OptionError, match="redo is 'faild', expected all, failed"):
        to_redo(tasks, records, "faild")


def test_a_solver_without_problems_is_left_out():
    plan = make_plan(read_suite(SUITE.replace('"HS7*"', '"HS77"'), ""))
    assert plan.left_out[-1] == ("scipy.SLSQP", "takes none of the problems")


def test_names_of_two_sources_are_told_apart(monkeypatch):
    monkeypatch.setattr(problems, "_missing", lambda: "")
    text = SUITE.replace('names = ["HS71", "HS28"]', 'names = ["HS28"]').replace("skip", "# skip")
    text += '[[problems]]\nfrom = "cutest"\nnames = ["HS28", "LUKVLE1[N=20]"]\n'
    plan = make_plan(read_suite(text, ""))
    both = ["HS28 (library)", "HS28 (cutest)"]
    assert [problem.name for problem in plan.problems] == ["HS6", "POISSON[k=4]", *both, "LUKVLE1[N=20]"]
    assert sorted({task.problem.name for task in choose(plan, ["hs28"])}) == sorted(both)
    assert {task.problem.name for task in choose(plan, ["HS28 (cutest)"])} == {"HS28 (cutest)"}


# ---- what is not there


def test_missing_cutest_leaves_its_part_out(monkeypatch):
    monkeypatch.setattr(problems, "_missing", lambda: "install it")
    text = SUITE + '[[problems]]\nfrom = "cutest"\nset = "paper"\n'
    plan = make_plan(read_suite(text, ""))
    assert len(plan.tasks) == 6
    assert plan.left_out[-1] == ("41 problems of CUTEst", "install it")


def test_a_missing_package_leaves_its_peer_out(suite, monkeypatch):
    monkeypatch.setattr("resolvent.bench.peers.importlib.util.find_spec", lambda name: None)
    plan = make_plan(suite)
    assert len(plan.tasks) == 4
    assert plan.left_out[-1] == ("scipy.SLSQP", "scipy.SLSQP needs scipy: pip install scipy")


# ---- what is wrong


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tolerance", "tolerence", r"small.toml, line 2: a suite has no key 'tolerence'; did you mean 'tolerance'\?"),
        ("atol", "atoll", "line 2: tolerance has no key 'atoll'; did you mean 'atol'"),
        ("1e-8", "-1.0", r"line 2: Stop\(atol=-1.0\): atol is -1.0"),
        ("seconds = 5", "seconds = 0", "line 3: seconds is 0.0, expected a finite number > 0"),
        ("seconds = 5", 'seconds = "5"', "line 3: seconds is '5', expected a number"),
        ("1 GiB", "1 Gib of it", "line 3: memory is '1 Gib of it', expected a size such as '4 GiB'"),
        ("repeats = 2", "repeats = 0", "line 4: repeats is 0, expected a whole number >= 1"),
        ("repeats = 2", "repeats = true", "line 4: repeats is True, expected a whole number"),
        ('"library"\nnames = ["HS6"', '"libary"\nnames = ["HS6"', "line 7: from is 'libary', expected 'library'"),
        ('"HS6"', '"HS66"', "line 7: the library has no problem 'HS66'; did you mean 'HS6'"),
        ("k=4", "kk=4", "line 7: POISSON has no parameter 'kk'; did you mean 'k'"),
        ("k=4", "k", r"line 7: 'POISSON\[k\]': 'k' is no parameter"),
        ("HS28 =", "HS29 =", "line 11: skip names 'HS29', which is none of the problems; did you mean 'HS28'"),
        ("too easy", " ", "line 14: skip of HS28 needs its reason"),
        ("solvers:SketchedNewton", "solvers:SketchedNewtn", "line 18: use is .* did you mean 'SketchedNewton'"),
        ("resolvent.solvers:Sketched", "resolvent.solver:Sketched", "line 18: .*'resolvent.solver' cannot be imported"),
        ("solvers:ConjugateGradient", "solvers:Sketch.kaczmarz", "line 26: .* which gives a Rows and no solver"),
        ("accuracy =", "acuracy =", "line 21: .*SketchedNewton has no option 'acuracy'; did you mean 'accuracy'"),
        ("largest", "lagest", "line 21: .*computable has no option 'lagest'; did you mean 'largest'"),
        ("columns", "colums", "line 22: .*gaussian has no option 'colums'; did you mean 'columns'"),
        ("largest = 0.5", "largest = 2", "line 20: .*largest is 2, expected a number in"),
        ('"cg"', '"newton"', "line 24: two solvers have the label 'newton'"),
        ("scipy.SLSQP", "scipy.SLSPQ", "line 29: peer is 'scipy.SLSPQ'; did you mean 'scipy.SLSQP'"),
        ('only = ["HS7*"]', "options = { ftol = 1 }", "line 30: a peer takes no options"),
        ('only = ["HS7*"]', "only = [7]", "line 30: only holds 7, expected text"),
        ("m <= n", "m <= __import__", "line 34: where is 'm <= __import__', expected a comparison"),
        ('title = "square"', "", "line 32: title is missing"),
        ("seed = 7", "seed = ", "small.toml is no TOML file: .*line 5"),
    ],
)
def test_mistakes_are_told_with_line_and_key(old, new, message):
    assert old in SUITE
    with pytest.raises(OptionError, match=message):
        read_suite(SUITE.replace(old, new, 1), "small.toml")


def test_more_mistakes(monkeypatch):
    monkeypatch.setattr(problems, "_missing", lambda: "")
    for table, message in (
        ('from = "library"\nclass = "LP"', "no problem meets these conditions"),
        ('from = "cutest"', "need one of select, names and set"),
        ('from = "cutest"\nset = "papers"', "set is 'papers', expected 'paper'"),
        ('from = "cutest"\nselect = { constrains = "equality" }', "did you mean 'constraints'"),
        ('from = "cutest"\nselect = { constraints = "equalty" }', "did you mean 'equality'"),
        ('from = "cutest"\nnames = ["LUKVLE1[M=20]"]', "LUKVLE1 has no parameter 'M'"),
        ('use = "resolvent.problems.library.poisson:poisson"\noptions = { kk = 1 }', "has no option 'kk'"),
    ):
        with pytest.raises(OptionError, match=message):
            read_suite(f'name = "x"\n[[problems]]\n{table}\n[[solvers]]\npeer = "scipy.cg"\n', "x.toml")
    with pytest.raises(OptionError, match="are the same: give one of them options"):
        make_plan(read_suite(SUITE + '[[solvers]]\nlabel = "cg 2"\nuse = "resolvent.solvers:ConjugateGradient"\n', ""))


def test_small_languages():
    assert [memory_size(text) for text in ("4 GiB", "1.5MiB", "2 kb", 10)] == [2**32, 3 * 2**19, 2000, 10]
    assert condition("m <= n")(3, 3)
    assert not condition("n > 100")(100, 5)
    assert condition("")(None, None)
    assert not condition("m > n")(5, None)


# ---- those that ship


def test_a_typo_in_the_name_of_a_suite():
    with pytest.raises(OptionError, match="there is no suite 'quik'; did you mean 'quick'"):
        find_suite("quik")
    with pytest.raises(OptionError, match="there is no suite file suites/quick"):
        find_suite("suites/quick")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_suites_that_ship(path: Path, monkeypatch):
    monkeypatch.setattr(problems, "_missing", lambda: "")
    plan = make_plan(find_suite(path.stem))
    assert plan.suite.name == path.stem
    assert all(entry in [task.solver for task in plan.tasks] for entry in plan.suite.solvers)
    sizes = {"published": 47, "paper": 47, "equality": 237, "large": 17}
    assert len(plan.problems) == sizes.get(path.stem, len(plan.problems))
    assert all(problem.kind == "NLP" and not problem.features for problem in plan.problems) or path.stem == "quick"
    assert issubclass(NLP, PEERS["scipy.trust-constr"].solves)
