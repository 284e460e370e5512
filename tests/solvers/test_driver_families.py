"""Families that the library will get: the driver holds them without a change."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import Status
from resolvent.problems import LinearSystem
from resolvent.solvers import ConjugateGradient
from tests.cases import grid
from tests.toys.composite import CoordinateDescent, lasso
from tests.toys.evolution import Heun, relaxation
from tests.toys.inclusion import Halpern, game
from tests.toys.preconditioners import TwoGrid
from tests.toys.training import Network, Training, sines
from tests.toys.truncated_newton import TruncatedNewton, quartic

# ---- setup objects, reused through `previous`


def test_a_hierarchy_is_moved_along_a_series_of_systems_and_its_arrays_are_reused():
    solver, result, seen = ConjugateGradient(preconditioner=TwoGrid()), None, set()
    for k in range(4):
        system = grid(shift=0.1 * k)
        result = rs.solve(system, solver, result, stop=rs.Stop(rtol=1e-8))
        assert result.success
        hierarchy = result.state.kept
        assert hierarchy.system is system
        assert hierarchy.updates == k + 1
        seen.add((id(hierarchy), id(hierarchy.diagonal)))
    assert len(seen) == 1


def test_a_hierarchy_is_moved_not_shared():
    solver = ConjugateGradient(preconditioner=TwoGrid())
    first = rs.solve(grid(), solver, stop=rs.Stop(rtol=1e-8, iterations=4))
    second = rs.solve(grid(0.5), solver, first, stop=rs.Stop(rtol=1e-8))
    assert first.state.kept is None
    whole = rs.solve(grid(), solver, stop=rs.Stop(rtol=1e-8))
    rest = rs.solve(grid(), solver, resume=first.state, stop=rs.Stop(rtol=1e-8))
    assert rest.x.tobytes() == whole.x.tobytes()
    assert second.state.kept is not rest.state.kept


def test_the_state_of_a_run_that_is_over_can_still_be_stepped():
    solver, problem = ConjugateGradient(preconditioner=TwoGrid()), grid()
    run = rs.iterate(problem, solver, stop=rs.Stop(rtol=1e-4))
    list(run)
    rs.solve(grid(0.5), solver, run.result)
    stepped = solver.step(problem, run.state)
    other = solver.step(problem, rs.solve(grid(), solver, stop=rs.Stop(rtol=1e-4)).state)
    assert (stepped.x.tobytes(), stepped.p.tobytes()) == (other.x.tobytes(), other.p.tobytes())


def test_a_hierarchy_of_another_size_is_built_anew():
    solver = ConjugateGradient(preconditioner=TwoGrid())
    first = rs.solve(grid(k=8), solver)
    second = rs.solve(grid(k=5), solver, previous_point(first, 25))
    assert second.success
    assert second.state.kept.updates == 1


def previous_point(result, n):
    """Return the state of a result with x of another length."""
    state = result.state
    state.x = np.zeros(n)
    return state


# ---- composite: a gap and its certificate


def test_the_gap_bounds_the_error_of_the_objective():
    problem = lasso()
    best = rs.solve(problem, CoordinateDescent(), stop=rs.Stop(rtol=1e-13))
    rough = rs.solve(problem, CoordinateDescent(), stop=rs.Stop(rtol=1e-3))

    def objective(x):
        return 0.5 * np.sum((problem.A @ x - problem.b) ** 2) + problem.weight * np.abs(x).sum()

    assert 0 <= objective(rough.x) - objective(best.x) <= rough.residual
    assert rough.residual <= 1e-3 * 0.5 * problem.b @ problem.b
    assert problem.residual(*rough.certificate) == pytest.approx(problem.residual(rough.x), rel=1e-9)


def test_a_path_of_weights_is_cheaper_from_warm_starts():
    result, warm, cold = None, 0, 0
    for weight in np.geomspace(0.9, 0.05, 8):
        result = rs.solve(lasso(weight), CoordinateDescent(), result)
        warm += result.iterations
        cold += rs.solve(lasso(weight), CoordinateDescent()).iterations
        assert result.success
    assert warm < cold


def test_where_the_gap_is_unknown_the_history_has_nan():
    history = rs.solve(lasso(), CoordinateDescent(check_every=5)).history
    assert np.isfinite(history["residual"][::5]).all()
    assert np.isnan(history["residual"][1:5]).all()


# ---- inclusion: the residual costs a full pass


def test_components_count_one_by_one_and_passes_are_the_cost():
    problem = game()
    result = rs.solve(problem, Halpern(), stop=rs.Stop(rtol=1e-3))
    known = int(np.isfinite(result.history["residual"]).sum())
    assert result.counts["components"] == 16 * known + 2 * 4 * result.iterations
    assert result.state.run.evaluations == result.counts["components"] / 16
    assert 1 < known < result.iterations


def test_finish_pays_for_a_full_pass_where_none_was_made():
    result = rs.solve(game(), Halpern(probability=1e-9), stop=rs.Stop(rtol=1e-9, iterations=3))
    assert result.state.residual is None
    assert result.residual == pytest.approx(game().residual(result.x))


def test_a_scale_that_is_computed_late_counts_as_a_check():
    result = rs.solve(game(), Halpern(), stop=rs.Stop(rtol=1e-3, iterations=1))
    assert result.counts["check.components"] == 16


# ---- evolution: tuples, times, invariants


def test_steps_are_cut_to_the_output_times_and_the_end():
    times = rs.solve(relaxation(0.5, (0.2, 0.35)), Heun(dt=0.03)).history["t"]
    assert {0.0, 0.2, 0.35, 0.5} <= set(times)
    assert np.diff(times).max() <= 0.03 + 1e-15


def test_the_scheme_is_of_second_order():
    exact = rs.solve(relaxation(0.5, ()), Heun(dt=0.0005)).x
    errors = []
    for dt in (0.05, 0.025, 0.0125):
        x = rs.solve(relaxation(0.5, ()), Heun(dt=dt)).x
        errors.append(max(np.abs(a - b).max() for a, b in zip(x, exact, strict=True)))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (slopes > 1.8).all()
    assert (slopes < 2.3).all()


def test_invariants_are_columns_of_the_history():
    history = rs.solve(relaxation(), Heun()).history
    assert history["mass_error"].max() < 1e-14


def test_an_invariant_that_is_nan_has_diverged():
    problem = relaxation().replace(invariants=lambda u: {"mass": 1.0 if u[0].sum() > 6 else np.nan})
    result = rs.solve(problem, Heun())
    assert result.status is Status.DIVERGED
    assert result.message.startswith("mass_error is not finite at iteration ")


def test_nan_in_one_part_of_x_has_diverged():
    plain = relaxation().collision.function

    def collision(u):
        a, b = plain(u)
        return a, b * np.nan

    result = rs.solve(relaxation().replace(collision=collision), Heun())
    assert result.status is Status.DIVERGED
    assert result.message.startswith("x is not finite")


def test_resumed_with_a_later_end_the_bits_are_those_of_one_run():
    """The old end has to be an output time of the whole run: its steps are cut there."""
    whole = rs.solve(relaxation(1.0, (0.2, 0.5)), Heun())
    first = rs.solve(relaxation(0.5, (0.2,)), Heun())
    rest = rs.solve(relaxation(1.0, (0.2, 0.5)), Heun(), resume=first.state)
    assert first.status is rest.status is Status.FINISHED
    assert rest.state.t == 1.0
    assert [a.tobytes() for a in rest.x] == [a.tobytes() for a in whole.x]
    assert rest.iterations == whole.iterations


# ---- training: an opaque operator, and the best of all epochs


def test_the_answer_is_the_best_network_and_the_state_goes_on_from_the_last():
    solver = Training(rate=0.5, epochs=8)
    result = rs.solve(sines(), solver)
    errors = result.history["residual"]
    assert result.residual == np.nanmin(errors)
    assert result.residual == sines().residual(result.x)
    assert result.state.residual == errors[-1] > result.residual, "the last network should not be the best one here"


def test_a_tolerance_ends_the_training():
    result = rs.solve(sines(), Training(epochs=50), stop=rs.Stop(atol=0.3))
    assert result.status is Status.CONVERGED
    assert result.state.epoch < 50


def test_a_missed_tolerance_is_no_success():
    result = rs.solve(sines(), Training(epochs=1), stop=rs.Stop(atol=1e-3))
    assert result.status is Status.FINISHED
    assert not result.success
    assert rs.solve(sines(), Training(epochs=1)).success


def test_training_resumed_in_the_middle_of_an_epoch_ends_with_the_same_weights(tmp_path):
    whole = rs.solve(sines(), Training(), rng=2)
    checkpoint = rs.Checkpoint(tmp_path / "weights", every=0)
    rs.solve(sines(), Training(), rng=2, stop=rs.Stop(iterations=7), callback=checkpoint)
    rest = rs.solve(sines(), Training(), resume=tmp_path / "weights")
    assert rest.x.W.tobytes() == whole.x.W.tobytes()
    assert rest.x.V.tobytes() == whole.x.V.tobytes()
    assert rest.seed == 2


def test_an_operator_can_be_the_start():
    network = Network(np.ones((3, 2)), np.ones((2, 3)))
    result = rs.solve(sines(), Training(), network, stop=rs.Stop(iterations=0))
    assert result.x is not network
    assert result.x.W.tolist() == network.W.tolist()


# ---- nested solves


def test_inner_work_counts_under_its_own_name():
    problem = quartic()
    result = rs.solve(problem, TruncatedNewton())
    assert result.counts["inner.apply"] + result.counts["inner.check.apply"] == result.counts["hessp"]
    assert problem.evaluations(problem.counts) == max(result.counts["objective"], result.counts["gradient"])


def test_an_inner_system_that_cannot_be_solved_stalls_the_outer_run():
    problem = quartic().replace(hessp=lambda x, v: -v)
    result = rs.solve(problem, TruncatedNewton())
    assert result.status is Status.STALLED
    assert "A is not positive definite" in result.message


def test_a_problem_error_of_the_inner_start_becomes_a_message():
    problem = quartic().replace(hessp=lambda x, v: v * np.nan)
    result = rs.solve(problem, TruncatedNewton())
    assert result.status is Status.STALLED
    assert "apply returned nan or inf" in result.message


# ---- several machines


class Shared(LinearSystem):
    """A system with a second machine, which says what the script says: (fault, status) at each look."""

    def agree(self, code):
        self.asked = getattr(self, "asked", -1) + 1
        look, what = divmod(self.asked, 2)
        return max(code, self.script.get(look, (0, 0))[what])


def shared(script):
    system = Shared(np.diag(np.arange(1.0, 11)), np.ones(10), spd=True)
    system.script = script
    return system


def test_the_verdict_is_the_largest_of_all_machines():
    result = rs.solve(shared({3: (0, Status.SECONDS)}), ConjugateGradient())
    assert result.status is Status.SECONDS
    assert result.message == "another process says: the time limit was reached"
    assert result.iterations == 3


def test_the_own_verdict_stands_where_it_is_the_largest():
    result = rs.solve(shared({3: (0, Status.CONVERGED)}), ConjugateGradient(), stop=rs.Stop(rtol=0, iterations=3))
    assert result.status is Status.ITERATIONS
    assert result.message.startswith("limit of 3 iterations")


def test_a_fault_elsewhere_is_a_fault_here():
    result = rs.solve(shared({3: (1, 0)}), ConjugateGradient())
    assert result.status is Status.DIVERGED
    assert result.message == "a number on another process is not finite at iteration 3"


def test_without_a_word_from_elsewhere_the_run_is_the_usual_one():
    plain = LinearSystem(np.diag(np.arange(1.0, 11)), np.ones(10), spd=True)
    assert rs.solve(shared({}), ConjugateGradient()).x.tobytes() == rs.solve(plain, ConjugateGradient()).x.tobytes()
