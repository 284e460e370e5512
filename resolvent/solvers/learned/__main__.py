"""Train a network again: ``python -m resolvent.solvers.learned NAME [--out FOLDER]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time
from typing import Any

import resolvent as rs
from resolvent.solvers.learned.library import load_torch
from resolvent.solvers.learned.recipes import RECIPES
from resolvent.solvers.linear.networks import save_network


def main(arguments: list[str] | None = None) -> Path:
    """Train the network that the arguments name and return the path of its weights."""
    parser = argparse.ArgumentParser(prog="python -m resolvent.solvers.learned", description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for NAME.safetensors and NAME.json")
    parser.add_argument("--checkpoint", type=Path, help="file to save the run to, and to go on from if it exists")
    chosen = parser.parse_args(arguments)
    torch = load_torch()
    torch.set_num_threads(1)  # the same bits every time
    problem, solver = RECIPES[chosen.name]()
    callbacks: list[Any] = [rs.Progress(every=5.0)]
    resume = None
    if chosen.checkpoint is not None:
        callbacks.append(rs.Checkpoint(chosen.checkpoint, every=30.0))
        resume = chosen.checkpoint if chosen.checkpoint.with_suffix(".npz").exists() else None
    start = process_time()
    result = rs.solve(problem, solver, stop=rs.Stop(atol=0, rtol=0), resume=resume, callback=callbacks)
    notes = {
        "recipe": chosen.name,
        "steps": result.iterations,
        "cpu_seconds": round(process_time() - start),
        "held_out_contraction": round(float(result.residual or 0.0), 4),
        "torch": torch.__version__,
    }
    return save_network(result.x, chosen.out / chosen.name, notes)


if __name__ == "__main__":
    main()
