"""A fit that is killed at random moments and goes on with another number of ranks.

    python scripts/fit/kill_fits.py [--kills 20] [--seed 1]

Compares every generation and the best device with those of a fit that nobody killed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kmc_oxy.storage import read_tree

PULSE = {"voltage": "-0.1 V", "duration": "50 ms"}
CONTENT = {
    "device": {"lattice": {"nx": 8, "ny": 8}},
    "engine": {"tolerance": 0.3, "reach": 1},
    "parameters": {
        "device.site_energy.oxide_offset": {"low": -0.55, "high": -0.4},
        "conductance.density_floor": {"low": 0.002, "high": 0.1, "scale": "log"},
    },
    "experiments": {
        "train": {
            "protocol": [
                {"pulse": {"voltage": "-4 V", "duration": "1 s", "read": False}},
                {"train": {"voltage": "+3 V", "duration": "10 ms", "count": 10, "rest": PULSE}},
            ],
            "data": {
                "file": "data.csv",
                "x": {"quantity": "pulse"},
                "y": {"quantity": "conductance"},
                "scale": "free",
            },
        }
    },
    "search": {"evaluations": 18, "screen": 1, "members": 3, "most_members": 4, "seed": 3},
}


def start(folder: Path, output: str, ranks: int) -> subprocess.Popen[bytes]:
    """Start ``kmc-oxy fit`` in a process group of its own."""
    line = [sys.executable, "-m", "kmc_oxy", "fit", "fit.yaml", "-o", output, "-q"]
    return subprocess.Popen(
        [*line, "-j", str(ranks)], cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def differing(one: Path, other: Path) -> list[str]:
    """Names of the results that differ between two folders of a fit."""
    found = []
    names = sorted(path.name for path in one.glob("generation-*.npz"))
    if names != sorted(path.name for path in other.glob("generation-*.npz")):
        found.append("the number of generations")
    for name in names:
        first, second = (read_tree(folder / name) for folder in (one, other))
        for key in first:
            if key != "run_id" and not _same(first[key], second[key]):
                found.append(f"{name}: {key}")
    if (one / "best.yaml").read_bytes() != (other / "best.yaml").read_bytes():
        found.append("best.yaml")
    return found


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray):
        is_number = one.dtype.kind in "fc"
        return bool(np.array_equal(one, np.asarray(other), equal_nan=is_number))
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fit.yaml").write_text(json.dumps(CONTENT))
        with open(folder / "data.csv", "w", newline="") as file:
            rows = [(number, f"{1e-9 * (1 + 0.1 * np.log(number)):.4g}") for number in range(1, 11)]
            csv.writer(file).writerows([("pulse", "conductance (S)"), *rows])
        began_s = time.monotonic()
        process = start(folder, "whole", 2)
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(errors.decode())
        whole_s = time.monotonic() - began_s
        kills, ends = 0, 0
        while True:
            process = start(folder, "killed", 1 + (kills + ends) % 2)
            try:
                # Long enough for some progress, short enough for many kills.
                limit_s = choose.uniform(0.5, 0.3 * whole_s) if kills < arguments.kills else None
                _, errors = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                number = choose.choice((signal.SIGKILL, signal.SIGTERM))
                os.killpg(process.pid, number)
                process.communicate()
                kills += 1
                continue
            if process.returncode:
                raise SystemExit(f"exit code {process.returncode}: {errors.decode()}")
            if kills >= arguments.kills:
                break
            # It ended before its kill: begin anew and compare what there is.
            ends += 1
            if faults := differing(folder / "whole", folder / "killed"):
                raise SystemExit(f"differs: {', '.join(faults)}")
            for path in (folder / "killed").iterdir():
                path.unlink()
            (folder / "killed").rmdir()
        faults = differing(folder / "whole", folder / "killed")
        if faults:
            raise SystemExit(f"differs: {', '.join(faults)}")
    print(f"{kills} kills, {ends + 1} fits completed, all results equal")


if __name__ == "__main__":
    main()
