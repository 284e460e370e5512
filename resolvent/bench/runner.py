"""The runner: hands tasks to workers, keeps the time, and writes one record for each task, whatever happens to it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from resolvent.bench.machine import available_cores, describe_machine
from resolvent.bench.plan import Plan, Task, choose, make_plan, to_redo
from resolvent.bench.process import JUDGING, PREPARATION, Inbox, WorkerProcess, hard_limit
from resolvent.bench.runs import Runs, load
from resolvent.bench.store import Store, read_json
from resolvent.bench.suite import Suite, find_suite
from resolvent.bench.task import DOING, blank_record
from resolvent.errors import OptionError
from resolvent.solvers.interrupt import interruptible

__all__ = ["Observer", "run"]


class Observer(Protocol):
    """Who is told of a run in progress."""

    def begin(self, plan: Plan, todo: int, done: int, jobs: int) -> None:
        """Hear of a run before its first task: how many tasks are chosen and not done, how many are done."""

    def record(self, record: Mapping[str, Any]) -> None:
        """Hear of a finished task."""

    def end(self, interrupted: bool) -> None:
        """Hear that no more tasks follow."""


def run(
    suite: Suite | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    only: Sequence[str] = (),
    seconds: float | None = None,
    memory: str | int | None = None,
    repeats: int | None = None,
    seed: int | None = None,
    threads: int = 1,
    jobs: int = 1,
    isolate: bool = False,
    redo: str | None = None,
    peers: Sequence[str] = (),
    observer: Observer | None = None,
) -> Runs:
    """Run what is not done yet of a suite, and return all that is.

    Parameters
    ----------
    suite : Suite, str or path
        See `find_suite`.
    out : path, optional
        The folder of records, default ``runs/NAME``. Tasks whose records are there are not run again.
    only : sequence of str, optional
        Patterns of problems and of solvers; the other tasks wait for another time.
    seconds, memory, repeats, seed, peers : optional
        In place of those of the suite, see `Suite.changed`.
    threads, jobs : int, optional
        Threads of kernels and BLAS in each worker, and workers at a time. The records say whether times can be
        compared: where each worker has cores of its own.
    isolate : bool, optional
        Take a new worker for each task.
    redo : str, optional
        "failed", "all", or a pattern of problems or solvers: what to run again. Records made by other code, on
        another processor or with other threads are not mixed with new ones unless this says so.
    observer : Observer, optional

    Returns
    -------
    Runs
        As `load` gives it. After Ctrl-C, which lets the tasks in hand finish, some tasks are missing.

    Raises
    ------
    OptionError
        Something in the suite or in the arguments is wrong, or `out` belongs to another run.
    """
    if not isinstance(suite, Suite):
        suite = find_suite(suite)
    suite = suite.changed(seconds=seconds, memory=memory, repeats=repeats, seed=seed, peers=peers)
    _require_positive(threads=threads, jobs=jobs)
    plan = make_plan(suite)
    chosen = choose(plan, only)
    folder = Path("runs") / suite.name if out is None else Path(out)
    machine = describe_machine(threads)
    with Store(folder) as store:
        todo = _not_done(store, plan, chosen, machine, redo)
        pool = _Pool(store, threads=threads, jobs=jobs, isolate=isolate, code=code_label(machine), observer=observer)
        if observer is not None:
            observer.begin(plan, len(todo), len(chosen) - len(todo), jobs)
        interrupted = True
        try:
            interrupted = pool.work(todo)
        finally:
            if observer is not None:
                observer.end(interrupted)
    return load(folder)


def _require_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise OptionError(f"{name} is {value!r}, expected a whole number >= 1")


def _not_done(
    store: Store, plan: Plan, chosen: Sequence[Task], machine: Mapping[str, Any], redo: str | None
) -> list[Task]:
    """Write down what is to be run, and return the tasks that have no record."""
    _require_same(store, plan, machine, redo)
    if redo is not None:
        store.withdraw(to_redo(chosen, store.records, redo))
    if redo is not None or not store.records:
        store.write("machine.json", machine)
    store.write("suite.toml", plan.suite.text)
    store.write("plan.json", plan.to_dict())
    return [task for task in chosen if task.key not in store.records]


def code_label(machine: Mapping[str, Any]) -> str:
    """Return the code of a run in words: commit, or version where there is no commit."""
    code = machine["code"]
    if code["commit"] is None:
        return f"version {code['version']}"
    return f"commit {code['commit'][:12]}" + ("" if code["clean"] else f" with changes ({code['changes']})")


def _require_same(store: Store, plan: Plan, machine: Mapping[str, Any], redo: str | None) -> None:
    """Refuse to mix what cannot be compared."""
    earlier = read_json(store.folder / "plan.json")
    if earlier is not None and earlier["suite"] != plan.suite.name:
        raise OptionError(f"{store.folder} holds the suite {earlier['suite']!r}; choose another --out")
    before = read_json(store.folder / "machine.json")
    if before is None or redo is not None or not store.records:
        return
    for old, new in (
        (code_label(before), code_label(machine)),
        (before["cpu"], machine["cpu"]),
        (f"{before['threads']} threads", f"{machine['threads']} threads"),
    ):
        if old != new:
            raise OptionError(
                f"{store.folder} holds records made with {old}, and this is {new}: choose another --out, or say what "
                "to run again with --redo (all, failed or a PATTERN)"
            )


class _Pool:
    """The workers of a run and their tasks."""

    def __init__(
        self, store: Store, *, threads: int, jobs: int, isolate: bool, code: str, observer: Observer | None
    ) -> None:
        self.store, self.threads, self.isolate, self.observer = store, threads, isolate, observer
        cores = available_cores()
        self.own_cores = jobs > 1 and jobs * threads <= len(cores)
        bound = [cores[i * threads : (i + 1) * threads] if self.own_cores else [] for i in range(jobs)]
        self.places: list[tuple[list[int], WorkerProcess | None]] = [(mine, None) for mine in bound]
        self.inbox: Inbox = SimpleQueue()
        self.log = store.folder / "worker.log"
        self.facts = {
            "threads": threads,
            "jobs": jobs,
            "comparable_times": jobs == 1 or self.own_cores,
            "code": code,
        }

    def work(self, todo: Iterable[Task]) -> bool:
        """Run the tasks; return whether Ctrl-C cut the run short."""
        waiting = deque(todo)
        self.log.write_bytes(b"")
        with interruptible() as interrupts:
            try:
                self._fill(waiting)
                while self._busy():
                    self._hear()
                    self._fill(waiting if not interrupts else deque())
                return bool(waiting)
            finally:
                for _, worker in self.places:
                    if worker is not None:
                        worker.kill()

    def _busy(self) -> list[WorkerProcess]:
        return [worker for _, worker in self.places if worker is not None and worker.task is not None]

    def _fill(self, waiting: deque[Task]) -> None:
        """Give every idle place a task."""
        for number, (cores, worker) in enumerate(self.places):
            if waiting and (worker is None or worker.task is None):
                task = waiting.popleft()
                if worker is None:
                    worker = WorkerProcess(self.inbox, self.threads, self.log, cores)
                    self.places[number] = (cores, worker)
                history = self.store.folder / "histories" / f"{task.key}.npz" if task.suite.histories else ""
                worker.send(task, task.message(str(history)))

    def _hear(self) -> None:
        """Wait for the next line of a worker, or for the next deadline."""
        first = min(self._busy(), key=lambda worker: worker.left)
        try:
            worker, line = self.inbox.get(timeout=max(0.0, first.left))
        except Empty:
            self._killed(first)
            return
        if worker.task is None:
            if line is None:
                self._dismiss(worker)
        elif line is None:
            self._crashed(worker)
        else:
            self._said(worker, json.loads(line))

    def _said(self, worker: WorkerProcess, answer: dict[str, Any]) -> None:
        if "phase" not in answer:
            # a problem of pycutest keeps state in its process
            alone = self.isolate or worker.task.problem.source == "pycutest"
            self._finish(worker, answer)
            if alone:
                self._dismiss(worker)
            return
        seconds = worker.task.suite.limits.seconds
        allowances = {"solve": hard_limit(seconds), "judge": JUDGING}
        worker.partial = answer["record"]
        worker.enter(answer["phase"], allowances.get(answer["phase"], PREPARATION))

    def _killed(self, worker: WorkerProcess) -> None:
        record = self._unfinished(worker)
        text = f"killed after {worker.allowance:g} s while {_doing(worker)}"
        if worker.phase == "solve":
            text += f", limit {worker.task.suite.limits.seconds:g} s"
        worker.kill()
        self._finish(worker, record | {"status": "KILLED", "message": text})
        self._dismiss(worker)

    def _crashed(self, worker: WorkerProcess) -> None:
        record = self._unfinished(worker)
        worker.close()
        text = f"{worker.ending()} while {_doing(worker)}; see {self.log.name}"
        self._finish(worker, record | {"status": "CRASHED", "message": text})
        self._dismiss(worker)

    def _unfinished(self, worker: WorkerProcess) -> dict[str, Any]:
        """Return what is known of a task that has no answer."""
        record = blank_record() | (worker.partial or {})
        if worker.phase in ("build", "warm_up", "solve"):
            record["seconds"][worker.phase] = worker.elapsed
        return record

    def _finish(self, worker: WorkerProcess, record: dict[str, Any]) -> None:
        task: Task = worker.task
        worker.task = None
        known = {name: value for name, value in record.items() if value is not None or name not in task.problem.facts}
        kept = self.store.append(
            {**task.heading(), **task.problem.facts, **known, **self.facts, "started_at": worker.started_at}
        )
        if self.observer is not None:
            self.observer.record(kept)

    def _dismiss(self, worker: WorkerProcess) -> None:
        """Take a worker out; its place gets a new one with the next task."""
        worker.close()
        self.places = [(cores, None if held is worker else held) for cores, held in self.places]


def _doing(worker: WorkerProcess) -> str:
    return DOING.get(worker.phase, "starting a worker")
