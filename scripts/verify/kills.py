"""Kill jobs with SIGKILL at random moments and resume them: no result may be lost or damaged.

    python scripts/verify/kills.py [--kills 100]

Each round starts the same run with one to four ranks and, at a random time after the start, kills
one rank, all ranks, or mpiexec. After each kill all tasks that were finished before must still be
there, and every file must be readable. When a run completes, its datasets are compared with those
of a serial run, and a new run begins. The exit code is 1 if anything is lost, unreadable or
different.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "mpi"))

import jobs

from kmc_oxy.storage import StoreError, WorkFolder, read_tree

VICTIMS = ("one rank", "all ranks", "mpiexec")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    wanted = parser.parse_args().kills
    if reason := jobs.why_unavailable():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("in.yaml").write_text(jobs.TEXT)
        code, _, err = jobs.run(0, "run", "in.yaml", "-o", "serial.h5", "-q")
        if code:
            sys.exit(err)
        return kill_and_resume(wanted)


def kill_and_resume(wanted: int) -> int:
    """Kill and resume until there were enough kills; print the counts and return the exit code."""
    reference = jobs.datasets("serial.h5")
    output = Path("out.h5")
    found: collections.Counter[str] = collections.Counter()
    before: set[int] = set()
    duration_s = session_s()
    while found["kills"] < wanted or not output.exists():
        last = found["kills"] >= wanted
        ranks, victim = random.randint(1, 4), random.choice(VICTIMS)
        job = jobs.Job(ranks, "run", "in.yaml", "-o", output, "-q")
        if not last:
            time.sleep(random.uniform(0, duration_s))
            pids = job.ranks()
            if job.process.poll() is None:
                found["kills"] += 1
                found[f"kills of {victim}"] += 1
            jobs.kill(
                {"one rank": pids[-1:], "all ranks": pids, "mpiexec": [job.process.pid]}[victim]
            )
        code, _, err = job.end()
        if last and code:
            print(err, file=sys.stderr)
            return 1
        if output.exists():
            # The kill came after the final rename, or while the work folder was removed.
            found["completed runs"] += 1
            found["different datasets"] += jobs.datasets(output) != reference
            code, _, err = jobs.run(2, "run", "in.yaml", "-o", output, "-q")
            found["completed runs not recognised"] += (
                code != 0 or output.with_name("out.h5.work").exists()
            )
            before = set()
            if not last:
                output.unlink()
            continue
        now = check_files(output, found)
        found["lost tasks"] += len(before - now)
        before = now
    for name, count in sorted(found.items()):
        print(f"{count:6d} {name}")
    bad = ("lost tasks", "unreadable files", "different datasets", "completed runs not recognised")
    return int(any(found[name] for name in bad))


def session_s() -> float:
    """Wall-clock time of an uninterrupted job of two ranks."""
    began = time.monotonic()
    code, _, err = jobs.run(2, "run", "in.yaml", "-o", "timed.h5", "-q")
    if code:
        sys.exit(err)
    return time.monotonic() - began


def check_files(output: Path, found: collections.Counter[str]) -> set[int]:
    """Read all finished tasks and checkpoints; returns the indices of the tasks."""
    work = WorkFolder(output)
    if not work.exists():
        return set()
    finished = work.finished()
    for index in finished:
        try:
            work.load_task(index)
        except StoreError as error:
            print(error)
            found["unreadable files"] += 1
    for index in work.started():
        path = work.path / "checkpoints" / f"{index:07d}.npz"
        try:
            read_tree(path)
        except StoreError as error:
            # A rank that survived a killed mpiexec may finish the task at this moment.
            found["unreadable files"] += path.exists()
            print(error)
    return finished


if __name__ == "__main__":
    sys.exit(main())
