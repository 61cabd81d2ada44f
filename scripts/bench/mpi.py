"""Parallel efficiency: speed-up, load balance, start-up time, and memory of the assembly.

    python scripts/bench/mpi.py [--rounds 3] [--only members,spread,cells,overhead,memory]

Every ratio compares alternating runs, the fastest round of each, so that a slower phase of the
machine affects both. There is no speed-up on a machine with fewer free cores than ranks; the load
at the beginning is printed with the results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "mpi"))

import jobs

MEMBERS = """
device: {lattice: {nx: 16, ny: 16}}
protocol: [{train: {voltage: 2 V, duration: 1 ms, count: 10}}]
ensemble: {members: 64, seed: 1}
"""
# Trains of 1 to 100 pulses, the long ones last in the order of the input.
SPREAD = """
device: {lattice: {nx: 16, ny: 16}}
protocol: [{train: {voltage: 2 V, duration: 1 ms, count: 1}}]
scan: {protocol.0.train.count: [1, 2, 5, 10, 20, 50, 100]}
ensemble: {members: 5, seed: 1}
"""
# One array, without and with line resistance. Without it there are more pulses, so that the
# start-up time is a small part of the run.
ARRAY = """
device: {lattice: {nx: 16, ny: 16}}
crossbar: {rows: 4, columns: 3, line_resistance: LINES}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - program: {cell: [1, 1], voltage: 3 V, duration: 10 ms, count: COUNT}
  - map: {}
ensemble: {members: 1, seed: 3}
"""
CELLS = ARRAY.replace("LINES", "0 ohm").replace("COUNT", "160")
COUPLED = ARRAY.replace("LINES", "1 kohm").replace("COUNT", "40") + (
    "conductance: {patches: 10000}\n"
)
EMPTY = """
device: {lattice: {nx: 4, ny: 4}}
protocol: [{read: {}}]
ensemble: {members: 2, seed: 1}
"""
# 2000 members with 2000 readings each; their results are random numbers written by this script.
LARGE = """
device: {lattice: {nx: 4, ny: 4}}
protocol: [{train: {voltage: 1 uV, duration: 1 ns, count: 1999}}]
ensemble: {members: 2000, seed: 1}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="members,spread,cells,overhead,memory")
    parsed = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in parsed.only.split(","):
            CASES[name](parsed.rounds)


def wall_s(text: str, ranks: int) -> float:
    """Wall-clock time of a job."""
    Path("in.yaml").write_text(text)
    began = time.monotonic()
    code, _, err = jobs.run(ranks, "run", "in.yaml", "-o", "out.h5", "-q", "--fresh")
    if code:
        sys.exit(err)
    return time.monotonic() - began


def ratio(text: str, rounds: int) -> str:
    """Times on one rank and on two, and their ratio."""
    one, two = zip(*((wall_s(text, 1), wall_s(text, 2)) for _ in range(rounds)), strict=True)
    return f"{min(one):.2f} s / {min(two):.2f} s = {min(one) / min(two):.2f}"


def members(rounds: int) -> None:
    print("64 members, 1 rank / 2 ranks:       ", ratio(MEMBERS, rounds), flush=True)


def spread(rounds: int) -> None:
    print("costs spread 1:100, 1 rank / 2 ranks:", ratio(SPREAD, rounds), flush=True)


def cells(rounds: int) -> None:
    print("12 cells, 1 rank / 2 ranks:          ", ratio(CELLS, rounds), flush=True)
    print("12 cells with line resistance:       ", ratio(COUPLED, rounds), flush=True)


def overhead(rounds: int) -> None:
    best_s = min(wall_s(EMPTY, 2) for _ in range(rounds))
    print(f"start-up and shutdown of 2 ranks:     {best_s:.2f} s", flush=True)


def memory(rounds: int) -> None:
    """Peak memory of rank 0 in a job of two ranks that only assembles finished tasks."""
    Path("large.yaml").write_text(LARGE)
    code = """
import sys
from pathlib import Path
import numpy as np
from kmc_oxy import inputs
from kmc_oxy.execution import Plan
from kmc_oxy.simulation import Simulation, TaskParameters
from kmc_oxy.storage import TaskArchiver, begin_or_resume, max_single_files
plan = Plan(inputs.load("large.yaml", ["ensemble.members=2000"]))
work = begin_or_resume(Path("large.h5"), plan.identity)
archiver = TaskArchiver(work.archive, max_single_files(plan.n_tasks, 2))
parameters = TaskParameters(
    point=0, member=0, seed=1, tolerance=plan.tolerance(plan.task(0, 0))
)
record = Simulation(plan.point(0), plan.schedule(0), parameters).record
rng = np.random.default_rng(1)
for index in range(plan.n_tasks):
    # These values compress about as well as counts and occupied fractions.
    noise = {
        name: (rng.integers(1000, size=job_array.shape) / 1000).astype(array.dtype)
        for name, array in record.items()
    }
    work.save_task(index, {**noise, "wall_time": 0.0})
    archiver.add(index)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    measured = """
import resource, sys
from kmc_oxy.cli import main
from kmc_oxy.process import rank
code = main()
if rank() == 0:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code)
"""
    Path("measured.py").write_text(measured)
    arguments = ("run", "large.yaml", "-o", "large.h5", "-q", "--set", "ensemble.members=2000")
    began = time.monotonic()
    code, _, err = jobs.Job(2, *arguments, script="measured.py").end(timeout_s=600)
    if code:
        sys.exit(err)
    size_MB = Path("large.h5").stat().st_size / 1e6
    print(
        f"assembling 2000 members x 2000 readings: rank 0 peaks at {float(err):.0f} MB "
        f"({size_MB:.0f} MB in {time.monotonic() - began:.0f} s)",
        flush=True,
    )


CASES = {
    "members": members,
    "spread": spread,
    "cells": cells,
    "overhead": overhead,
    "memory": memory,
}


if __name__ == "__main__":
    main()
