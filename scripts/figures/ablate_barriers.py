"""What a flat distribution of barriers explains that others do not.

Runs figures 3a, 3b and 4a with `device.barriers.distribution` changed, which keeps the mean and,
where the shape has one, the width of every class of bonds, and writes DIR/ablation.csv: the
columns of the paper's table after one that names the distribution.

    python scripts/figures/ablate_barriers.py --quick -o ablation
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from kmc_oxy.inputs import InputError
from kmc_oxy.paper import COLUMNS, EXPERIMENTS, Verdict
from kmc_oxy.storage import StoreError

INPUTS = Path(__file__).resolve().parents[2] / "inputs"
#: null keeps the flat classes of the default device.
DISTRIBUTIONS = {
    "flat": "null",
    "gaussian": "gaussian",
    "constant": "constant",
    "exponential": "exponential",
}
ROWS = ("3a", "3b", "4a")


def main(
    output: Path,
    *,
    quick: bool = False,
    settings: Sequence[str] = (),
    processes: int | None = None,
) -> list[tuple[str, Verdict]]:
    """Run and judge the three experiments with each distribution; arguments of `reproduce_paper`.

    Returns
    -------
    list of (str, Verdict)
        Distribution and row of the table.
    """
    output.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in EXPERIMENTS if each.id in ROWS]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        runs = []
        for name, value in DISTRIBUTIONS.items():
            folder = output / name
            folder.mkdir(exist_ok=True)
            for each in chosen:
                changed = (f"device.barriers.distribution={value}", *settings)
                changed = (*(each.quick if quick else ()), *changed)
                runs.append((name, each, pool.submit(each.run, INPUTS, folder, changed)))
        found = [
            (name, verdict) for name, each, run in runs for verdict in each.verdicts(run.result())
        ]
    with open(output / "ablation.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("distribution", *COLUMNS))
        table.writerows((name, *verdict.row()) for name, verdict in found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="fewer devices, shorter series")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--processes", type=int, help="experiments at a time (default: cores)")
    given = parser.parse_args()
    try:
        rows = main(given.output, quick=given.quick, settings=given.set, processes=given.processes)
    except (InputError, StoreError) as error:
        sys.exit(f"ablate_barriers: {error}")
    for name, verdict in rows:
        identity, quantity, _, value, low, high, met = verdict.row()
        print(f"{name:12}{identity:4}{met:9}{value} [{low}, {high}]  {quantity}")
