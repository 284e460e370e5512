"""LinearSystem: residual, null spaces, and what is said about wrong data."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import resolvent as rs
from resolvent import ProblemError
from resolvent.problems import LinearSystem

A = np.array([[2.0, -1, 0], [-1, 2, -1], [0, -1, 2]])
RING = np.array([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]])


@pytest.mark.parametrize("form", [np.array, sp.csr_array, sp.csc_matrix, aslinearoperator])
def test_residual_and_scale(form):
    system, x = LinearSystem(form(A), [1, 2, 3]), np.array([1.0, 0, -1])
    assert system.residual(x) == pytest.approx(np.linalg.norm([1, 2, 3] - A @ x))
    assert system.scale() == system.scale(x) == pytest.approx(np.sqrt(14))
    assert system.counts == {"apply": 1}
    assert system.verify(x) == (system.residual(x), system.scale())
    assert system.counts == {"apply": 2, "check.apply": 1}


def test_the_scale_of_a_zero_right_hand_side_is_one():
    assert LinearSystem(A, np.zeros(3)).scale() == 1


def test_the_start_is_zero_unless_given():
    assert LinearSystem(A, np.ones(3)).x0.tolist() == [0, 0, 0]
    assert LinearSystem(A, np.ones(3), x0=[1, 2, 3]).x0.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.int64, np.int64, np.float64),
        (np.int32, np.float32, np.float64),
    ],
)
def test_the_dtype_is_the_common_one(a, b, dtype):
    system = LinearSystem(A.astype(a), np.ones(3, b))
    assert system.dtype == system.b.dtype == system.x0.dtype == system.apply(system.x0).dtype == dtype


def test_features():
    assert LinearSystem(A, np.ones(3)).features() == {"indefinite"}
    assert LinearSystem(sp.csr_array(A), np.ones(3), spd=True).features() == set()
    assert LinearSystem(aslinearoperator(A), np.ones(3), spd=True).features() == {"operator"}
    assert LinearSystem(RING, [1, 0, -1], spd=True, null_space=np.ones(3)).features() == {"singular"}


def test_identity_has_the_order():
    assert LinearSystem(A, np.ones(3), name="chain").identity() == "LinearSystem chain float64 n=3"


def test_b_is_owned():
    b = np.ones(3)
    system = LinearSystem(A, b)
    b[:] = 5
    assert system.b.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("matrix", "b", "options", "said"),
    [
        ([[1.0]], [1.0], {}, "A is a list, expected a matrix or an operator with @"),
        (A, np.ones(2), {}, r"A has shape \(3, 3\), expected \(2, 2\) to fit b"),
        (A[:, :2], np.ones(3), {}, r"A has shape \(3, 2\), expected \(3, 3\) to fit b"),
        (A, np.ones((3, 1)), {}, r"b has shape \(3, 1\), expected \(n,\)"),
        (A, [1, np.nan, 1], {}, r"b\[1\] is nan, expected finite numbers"),
        (A, np.ones(3) * 1j, {}, "b has dtype complex128, expected real numbers"),
        (A, None, {}, "b has dtype object, expected real numbers"),
        (A * 1j, np.ones(3), {}, "A has dtype complex128, expected real numbers"),
        (sp.csr_array(A * 1j), np.ones(3), {}, "A has dtype complex128, expected real numbers"),
        (np.full((3, 3), np.inf), np.ones(3), {}, "A contains nan or inf, expected finite numbers"),
        (sp.csr_array(np.diag([1, np.nan, 1])), np.ones(3), {}, "A contains nan or inf, expected finite numbers"),
        (A, np.ones(3), {"grid": (2, 2)}, r"grid \(2, 2\) has 4 cells, expected 3, the length of b"),
        (A, np.ones(3), {"x0": [1.0]}, r"x0 has shape \(1,\), expected \(3,\)"),
        (A, np.ones(3), {"null_space": [1, 1]}, r"null_space has shape \(2,\), expected finite \(3,\) or \(k, 3\)"),
        (A, np.ones(3), {"null_space": [1, np.nan, 1]}, r"null_space has shape \(3,\), expected finite .*"),
        (A, np.ones(3), {"null_space": np.zeros(3)}, "null_space has a vector that is zero or depends .*"),
        (A, np.ones(3), {"null_space": np.ones((2, 3))}, "null_space has a vector that is zero or depends .*"),
        (A, np.ones(3), {"null_space": np.eye(3)[[0, 1, 2, 2]]}, "null_space has a vector that is zero or depends .*"),
    ],
)
def test_wrong_data_are_named(matrix, b, options, said):
    with pytest.raises(ProblemError, match=rf"^{said}$"):
        LinearSystem(matrix, b, **options)


def test_an_operator_of_the_wrong_length_is_named_at_its_first_product():
    class Wrong:
        def __matmul__(self, v):
            return np.ones(4)

    with pytest.raises(ProblemError, match=r"^apply\(x\) returned shape \(4,\), expected \(3,\)$"):
        LinearSystem(Wrong(), np.ones(3)).residual(np.ones(3))


# ---- null spaces


def test_a_part_of_b_that_is_rounding_is_removed():
    b = np.array([1.0, 0, -1]) + 1e-12
    system = LinearSystem(RING, b, spd=True, null_space=np.full(3, 7.0))
    assert not system.infeasible
    assert abs(system.b.sum()) < 1e-15
    assert np.linalg.norm(system.null_space) == pytest.approx(1)


def test_a_part_of_b_that_is_not_makes_the_system_infeasible():
    system = LinearSystem(RING, [1, 0, 0], spd=True, null_space=np.ones(3))
    assert "no x solves the system: b has a part of norm 5.774e-01 along the null space" in system.infeasible
    assert "project=True" in system.infeasible
    assert system.b.tolist() == [1, 0, 0]


def test_project_removes_any_part():
    system = LinearSystem(RING, [1, 0, 0], spd=True, null_space=np.ones(3), project=True)
    assert not system.infeasible
    assert system.b == pytest.approx(np.array([2, -1, -1]) / 3)


def test_a_null_space_of_two_vectors():
    """Two components without a link: one constant each."""
    pair = np.array([[1.0, -1], [-1, 1]])
    vectors = np.array([[1.0, 1, 0, 0], [1, 1, 1, 1]])
    system = LinearSystem(np.kron(np.eye(2), pair), [3, 1, 5, 1], null_space=vectors, project=True)
    assert system.b == pytest.approx([1, -1, 2, -2])
    assert system.remove_null_space(np.array([1.0, 1, 2, 2])) == pytest.approx(np.zeros(4), abs=1e-15)


def test_without_a_null_space_nothing_is_removed():
    v = np.ones(3)
    assert LinearSystem(A, v).remove_null_space(v) is v


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_on_an_infeasible_system_says_so(resumed):
    system = LinearSystem(RING, [1, 0, 0], spd=True, null_space=np.ones(3))
    solver = rs.solvers.ConjugateGradient()
    result = rs.solve(system, solver)
    if resumed:
        result = rs.solve(system, solver, resume=result.state)
    assert result.status is rs.Status.INFEASIBLE
    assert result.message == system.infeasible
    assert result.iterations == 0
    assert not result.success


def test_linear_operators_of_scipy_apply():
    operator = LinearOperator((3, 3), matvec=lambda v: 2 * v, dtype=np.float64)
    assert LinearSystem(operator, np.ones(3)).apply(np.ones(3)).tolist() == [2, 2, 2]
