"""Calibration: one set of device parameters for all rows of the paper's table.

    python scripts/calibration/calibrate.py -o calibration --start START.yaml --jobs 4

In calibration_table.py `OBSERVATIONS` says what is compared and which parameters each observation
fixes; `PARAMETERS` the free ones, with the ranges that physics leaves them. A residual is the
distance of a quantity, as kmc_oxy.paper measures it, from the range in which its criterion is
met: 0 inside. The cost is the sum over rows of the mean square residual. A deterministic pattern
search, one parameter at a time, lowers it; steps are halved when no parameter helps.

The search is cheap on purpose, and says so: patches of 20 x 20, four members of its own seed, a
cap three times as coarse as that of the figures, the protocols of `REDUCED`. What it finds is
verified by scripts/figures/reproduce_paper.py, which knows nothing of it. DIR/evaluations.csv
holds every evaluation and makes the search resumable; DIR/best.yaml is the best set, as an
overlay of the default device; DIR/scan.csv (`--scan`) the cost when one parameter at a time leaves
it, and so what the data constrain.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import yaml
from calibration_table import CHEAP, OBSERVATIONS, PARAMETERS, REDUCED

from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.schema import Input
from kmc_oxy.paper import EXPERIMENTS, Verdict

INPUTS = Path(__file__).resolve().parents[2] / "inputs"
#: A parameter's step is halved so many times before the search ends.
HALVINGS = 3

Point = dict[str, float]


def run_row(row: str, settings: Sequence[str]) -> list[Verdict]:
    """Run one row's reduced protocol on a set of parameters, in a folder that does not stay."""
    reduced = next(each for each in REDUCED if each.row == row)
    experiment = next(each for each in EXPERIMENTS if each.id == row)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = yaml.safe_load((INPUTS / f"{experiment.name}.yaml").read_text(encoding="utf-8"))
        given["protocol"] = given["protocol"][: reduced.steps]
        (folder / f"{experiment.name}.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
        output = experiment.run(folder, folder, (*CHEAP, *reduced.settings, *settings))
        return experiment.verdicts(output)


def row_residuals(row: str, settings: Sequence[str]) -> dict[str, float]:
    """Residuals of one row, by the name of what is observed; the worst of several quantities."""
    verdicts = run_row(row, settings)
    found: dict[str, float] = {}
    for seen in (each for each in OBSERVATIONS if each.row == row):
        found[f"{row}: {seen.part}"] = max(
            seen.residual(each.estimate.value) for each in verdicts if seen.part in each.quantity
        )
    return found


def cost_of(residuals: Mapping[str, float]) -> float:
    """Sum over rows of the mean square residual."""
    rows: dict[str, list[float]] = {}
    for name, value in residuals.items():
        rows.setdefault(name.split(":")[0], []).append(value * value)
    return sum(sum(squares) / len(squares) for squares in rows.values())


class Ledger:
    """Every evaluation, on disk as soon as it is made.

    Parameters
    ----------
    path : Path
        The CSV: parameters, cost, whether all rows were run, residuals.
    fixed : sequence of str
        Settings that are the same in all evaluations.
    pool : Executor
    width : int
        Rows that run at a time.
    """

    def __init__(self, path: Path, fixed: Sequence[str], pool: Executor, width: int) -> None:
        self.path, self.fixed, self.pool, self.width = path, tuple(fixed), pool, width
        self.names = [f"{each.row}: {each.part}" for each in OBSERVATIONS]
        self.keys = [each.key for each in PARAMETERS]
        self.seen: dict[tuple[float, ...], tuple[float, bool]] = {}
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    place = tuple(float(row[key]) for key in self.keys)
                    self.seen[place] = float(row["cost"]), row["complete"] == "yes"
        else:
            with open(path, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([*self.keys, "cost", "complete", *self.names])

    def cost(self, point: Point, best: float = math.inf) -> float:
        """Cost of a set; once it exceeds `best` no more rows are run, and it is a lower bound."""
        place = tuple(point[key] for key in self.keys)
        known = self.seen.get(place)
        if known is not None and (known[1] or known[0] > best):
            return known[0]
        settings = (*self.fixed, *(f"{key}={value!r}" for key, value in point.items()))
        residuals: dict[str, float] = {}
        todo = [each.row for each in REDUCED]
        try:
            while todo and cost_of(residuals) <= best:
                batch, todo = todo[: self.width], todo[self.width :]
                runs = [self.pool.submit(row_residuals, row, settings) for row in batch]
                for run in runs:
                    residuals |= run.result()
            cost = cost_of(residuals)
        except InputError:
            cost, todo = math.inf, []  # parameters that contradict each other
        self.seen[place] = cost, not todo
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            cells = [f"{residuals[name]:.4g}" if name in residuals else "" for name in self.names]
            csv.writer(file).writerow([*place, f"{cost:.6g}", "no" if todo else "yes", *cells])
        return cost


def search(ledger: Ledger, start: Point, evaluations: int) -> tuple[Point, float]:
    """Pattern search from `start`, at most so many evaluations, known ones not counted."""
    best, lowest = dict(start), ledger.cost(start)
    direction = {each.key: 1 for each in PARAMETERS}
    first = len(ledger.seen)
    for halvings in range(HALVINGS + 1):
        improved = True
        while improved:
            improved = False
            for each in PARAMETERS:
                for sign in (direction[each.key], -direction[each.key]):
                    value = each.moved(best[each.key], sign, halvings)
                    if value is None:
                        continue
                    if len(ledger.seen) - first >= evaluations:
                        return best, lowest
                    trial = {**best, each.key: value}
                    cost = ledger.cost(trial, lowest)
                    if cost < lowest:
                        print(f"{cost:8.3f}  {each.key} = {value:g}", flush=True)
                        best, lowest, improved = trial, cost, True
                        direction[each.key] = sign
                        break
    return best, lowest


def scan(ledger: Ledger, centre: Point, path: Path) -> None:
    """Cost when one parameter at a time is a step away from `centre`, all rows run."""
    base = ledger.cost(centre)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("parameter", "value", "cost", "cost at the centre"))
        for each in PARAMETERS:
            for sign in (-1, 1):
                value = each.moved(centre[each.key], sign, 0)
                if value is not None:
                    cost = ledger.cost({**centre, each.key: value})
                    table.writerow((each.key, value, f"{cost:.4g}", f"{base:.4g}"))
                    file.flush()


def point_of(overlay: Mapping[str, object]) -> Point:
    """The free parameters of the default device, or of one with other sections of the input."""
    given = {key: overlay[key] for key in ("device", "conductance", "spin") if key in overlay}
    dumped = Input(**given, protocol=[{"read": {}}]).model_dump(mode="json")
    return {each.key: float(_at(dumped, each.key)) for each in PARAMETERS}


def _at(data: Mapping, key: str):
    for part in key.split("."):
        data = data[part]
    return data


def write_overlay(path: Path, point: Point, cost: float) -> None:
    """The set as YAML to be laid over an input."""
    tree: dict = {}
    for key, value in point.items():
        *parents, last = key.split(".")
        branch = tree
        for part in parents:
            branch = branch.setdefault(part, {})
        branch[last] = value
    text = f"# scripts/calibration/calibrate.py: cost {cost:.4g}; lengths in m, energies in eV.\n"
    path.write_text(text + yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def main(
    output: Path,
    *,
    start: Path | None = None,
    settings: Sequence[str] = (),
    evaluations: int = 200,
    jobs: int = 1,
    scanning: bool = False,
) -> tuple[Point, float]:
    """Search, or go on searching, and write what was found.

    Parameters
    ----------
    output : Path
        Folder of evaluations.csv, best.yaml and scan.csv.
    start : Path, optional
        An input or overlay whose device to start from; the default device without.
    settings : sequence of str
        ``"a.b=c"`` for all evaluations, e.g. a switch of the model.
    evaluations : int
        New ones at most.
    jobs : int
        Rows of the table that run at a time. The path of the search does not depend on it.
    scanning : bool
        Scan about the start instead of searching.

    Returns
    -------
    dict, float
        The best set and its cost.
    """
    output.mkdir(parents=True, exist_ok=True)
    point = point_of(yaml.safe_load(start.read_text(encoding="utf-8")) if start else {})
    with ProcessPoolExecutor(jobs) as pool:
        ledger = Ledger(output / "evaluations.csv", settings, pool, jobs)
        if scanning:
            scan(ledger, point, output / "scan.csv")
            return point, ledger.cost(point)
        best, lowest = search(ledger, point, evaluations)
    write_overlay(output / "best.yaml", best, lowest)
    return best, lowest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)
    parser.add_argument("--start", metavar="YAML", type=Path, help="input with the first set")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--evaluations", type=int, default=200, help="new ones at most")
    parser.add_argument("--jobs", type=int, default=1, help="rows of the table at a time")
    parser.add_argument("--scan", action="store_true", help="scan about the start; no search")
    given = parser.parse_args()
    found, value = main(
        given.output, start=given.start, settings=given.set,
        evaluations=given.evaluations, jobs=given.jobs, scanning=given.scan,
    )  # fmt: skip
    print(f"cost {value:.4g}")
    for name, number in found.items():
        print(f"  {name} = {number:g}")
