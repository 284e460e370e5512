"""The command: what it prints and how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from resolvent import bench
from resolvent.bench import warmup
from resolvent.cli import main
from resolvent.kernels.reference.sketches import EXAMPLES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "run", "quik"], "resolvent: there is no suite 'quik'; did you mean 'quick'"),
        (["bench", "run", "quick", "--only", "HS99"], "resolvent: only is 'HS99', which matches no problem"),
        (["bench", "run", "quick", "--seconds", "-1"], "resolvent: seconds is -1.0, expected a finite number > 0"),
        (["bench", "show", "nowhere"], "resolvent: nowhere holds no benchmark run"),
        (["bench", "report", "nowhere"], "resolvent: nowhere holds no benchmark run"),
        (["problems", "list", "--class", "nlp"], "resolvent: class is 'nlp'; did you mean 'NLP'?"),
    ],
)
def test_mistakes_end_with_2_and_one_sentence(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, errors = capsys.readouterr()
    assert not out
    assert errors.startswith(message)
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_module_beside_the_suite_is_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "my_own_problems.py").write_text(
        "from resolvent.problems import library\ndef mine():\n    return library.load('HS6')\n"
    )
    suite = tmp_path / "mine.toml"
    suite.write_text(
        'name = "mine"\n[[problems]]\nuse = "my_own_problems:mine"\nname = "mine"\n'
        '[[solvers]]\nlabel = "newton"\nuse = "resolvent.solvers:SketchedNewton"\n'
    )
    assert main(["bench", "run", str(suite), "--out", str(tmp_path / "run")]) == 0
    assert bench.load(tmp_path / "run").records[0]["verdict"] == "verified"


def test_list_of_problems(capsys):
    assert main(["problems", "list", "--class", "LinearSystem"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "class", "constraints", "n", "m", "best", "source"]
    assert all("LinearSystem" in row for row in rows)
    assert ["POISSON", "LinearSystem", "none", "1024", "0"] in [row.split()[:5] for row in rows]
    assert main(["problems", "list", "--from", "cutest", "--constraints", "equality", "--max-n", "2"]) == 0
    assert "HS6 " in capsys.readouterr().out
    assert main(["problems", "list", "--from", "cutest", "--constraints", "equalty"]) == 2
    assert "did you mean 'equality'" in capsys.readouterr().err


def test_warm_up_runs_every_kernel(capsys, monkeypatch):
    called = set()

    def twin(family, name, place):
        assert place == "cpu"
        return lambda *arguments: called.add((family, name, str(getattr([*arguments, None][1], "dtype", ""))))

    monkeypatch.setattr(warmup, "twin", twin)
    assert main(["warmup"]) == 0
    assert {name for family, name, _ in called if family == "sketches"} == set(EXAMPLES)
    # the second argument of a CSR kernel is its indices
    assert {("sketches", "row_steps_csr", "int32"), ("sketches", "row_steps_csr", "int64")} <= called
    out = capsys.readouterr().out
    assert f"sketches: {len(EXAMPLES)} kernels in" in out
    assert out.splitlines()[-1].startswith("done in")


def test_import_is_cheap():
    heavy = "[name for name in ('numpy', 'scipy', 'numba', 'rich') if name in sys.modules]"
    for module in ("resolvent.cli", "resolvent.bench", "resolvent.bench.worker"):
        code = f"import sys, {module}; print({heavy})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", module


def test_names_of_the_package():
    assert all(callable(getattr(bench, name)) for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(bench, "nothing")  # noqa: B009 (a statement, not an expression)
