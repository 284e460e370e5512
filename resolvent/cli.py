"""The command `resolvent`: benchmark runs, the list of problems, and compilation ahead of time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resolvent.errors import ResolventError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for a mistake of the user, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except ResolventError as error:
        print(f"resolvent: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("resolvent: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resolvent", description="Scientific solvers, measured.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bench = commands.add_parser("bench", help="benchmark runs").add_subparsers(required=True, metavar="ACTION")
    _add_run(bench.add_parser("run", help="run a suite, or go on with it where it stopped"))
    show = bench.add_parser("show", help="print the tables of a run")
    show.add_argument("out", help="the folder of the run")
    show.add_argument("--problems", action="store_true", help="one row for each problem")
    show.set_defaults(command=_show)
    report = bench.add_parser("report", help="write report.md and figures")
    report.add_argument("out", help="the folder of the run")
    report.set_defaults(command=_report)
    problems = commands.add_parser("problems", help="the problems that are known")
    listing = problems.add_subparsers(required=True, metavar="ACTION").add_parser("list", help="print them")
    listing.add_argument("--from", dest="source", choices=("library", "cutest"), default="library")
    listing.add_argument("--class", dest="kind", metavar="CLASS", help="NLP, SmoothProblem or LinearSystem")
    listing.add_argument("--constraints", metavar="KIND", help="such as equality")
    listing.add_argument("--max-n", type=int, metavar="N", help="at most so many variables")
    listing.set_defaults(command=_list_problems)
    warmup = commands.add_parser("warmup", help="compile all kernels of the CPU, so that no later run does it")
    warmup.set_defaults(command=_warm_up)
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("suite", help="the name of a suite that ships, or a path (with a slash or .toml)")
    run.add_argument("--out", metavar="FOLDER", help="for the records; default runs/SUITE")
    run.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="problems or solvers; can be given again"
    )
    run.add_argument("--seconds", type=float, metavar="S", help="time limit of a task")
    run.add_argument("--memory", metavar="SIZE", help="memory limit of a task, such as '4 GiB'")
    run.add_argument("--repeats", type=int, metavar="N", help="runs of each solver on each problem")
    run.add_argument("--seed", type=int, metavar="N", help="repeat r uses seed + r")
    run.add_argument("--threads", type=int, default=1, metavar="N", help="for BLAS and kernels; default 1")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="workers at a time; default 1")
    run.add_argument("--isolate", action="store_true", help="a new worker for each task")
    run.add_argument("--redo", metavar="WHAT", help="run again: failed, all, or a PATTERN of problems or solvers")
    run.add_argument(
        "--peers", action="append", default=[], metavar="WHICH", help="none, all, or one to add, such as scipy.SLSQP"
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from resolvent import bench
    from resolvent.bench.screen import Screen, show

    if Path(options.suite).is_file():  # as Python does with the folder of a script
        sys.path.insert(0, str(Path(options.suite).resolve().parent))
    screen = Screen()
    runs = bench.run(
        options.suite,
        options.out,
        only=options.only,
        seconds=options.seconds,
        memory=options.memory,
        repeats=options.repeats,
        seed=options.seed,
        threads=options.threads,
        jobs=options.jobs,
        isolate=options.isolate,
        redo=options.redo,
        peers=options.peers,
        observer=screen,
    )
    print()
    show(runs)
    print(f"\nrecords in {runs.folder}; resolvent bench report {runs.folder} writes a report")
    return 130 if screen.interrupted else 0


def _show(options: argparse.Namespace) -> int:
    from resolvent import bench
    from resolvent.bench.screen import show

    show(bench.load(options.out), options.problems)
    return 0


def _report(options: argparse.Namespace) -> int:
    from resolvent import bench

    print(bench.write_report(options.out))
    return 0


def _list_problems(options: argparse.Namespace) -> int:
    from resolvent.bench.listing import list_problems

    print(list_problems(options.source, options.kind, options.constraints, options.max_n))
    return 0


def _warm_up(options: argparse.Namespace) -> int:
    from resolvent.bench.warmup import warm_up_kernels

    total = 0.0
    for family, kernels, seconds in warm_up_kernels():
        total += seconds
        print(f"{family}: {kernels} kernels in {seconds:.1f} s", flush=True)
    print(f"done in {total:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
