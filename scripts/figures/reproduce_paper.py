"""Every experiment of the paper from one set of parameters: DIR/table.csv and a PNG a figure.

    python scripts/figures/reproduce_paper.py --quick -o paper

Outputs (DIR/*.h5) that are complete are not computed again, and a run that was interrupted goes
on, so on a cluster the long ones can be made beforehand, under MPI, by
`kmc-oxy run inputs/fig4d.yaml -o DIR/fig4d.h5`, and this script judges and draws them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import fig1
import fig2
import fig3
import fig4
import fig5
import fig_R
import fig_T
import fig_X
import figS1
import figS3

from kmc_oxy.inputs import InputError
from kmc_oxy.paper import EXPERIMENTS, SWEEP, Experiment, Verdict, write_table
from kmc_oxy.storage import StoreError

INPUTS = Path(__file__).resolve().parents[2] / "inputs"


def main(
    output: Path,
    *,
    quick: bool = False,
    settings: Sequence[str] = (),
    fresh: bool = False,
    processes: int | None = None,
) -> list[Verdict]:
    """Run, judge and draw everything.

    Parameters
    ----------
    output : Path
        Folder of the outputs, the table and the figures.
    quick : bool
        Fewer devices and shorter series.
    settings : sequence of str
        ``"a.b=c"`` for every input, e.g. ``"ensemble.members=64"``.
    fresh : bool
        Compute again what is there.
    processes : int, optional
        How many experiments at a time; as many as there are cores by default.

    Returns
    -------
    list of Verdict
        The rows of the table.
    """
    output.mkdir(parents=True, exist_ok=True)
    todo: Sequence[Experiment] = (*EXPERIMENTS, SWEEP)
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        runs = {
            pool.submit(
                each.run, INPUTS, output, (*(each.quick if quick else ()), *settings), fresh
            ): each
            for each in todo
        }
        for done in as_completed(runs):
            print(f"{done.result()} is complete", flush=True)
    verdicts = [
        verdict
        for experiment in sorted(EXPERIMENTS, key=lambda each: each.id)
        for verdict in experiment.verdicts(output / f"{experiment.name}.h5")
    ]
    write_table(output / "table.csv", verdicts)
    draw(output)
    return verdicts


def draw(folder: Path) -> None:
    """All figures, from the outputs in `folder`."""
    fig1.main(INPUTS / "fig_X.yaml", folder / "fig1.png")
    fig2.main(folder / "fig2.h5", folder / "fig2.png")
    fig3.main([folder / "fig3a.h5", folder / "fig3b.h5"], folder / "fig3.png")
    fig4.main([folder / f"fig4{panel}.h5" for panel in "acd"], folder / "fig4.png")
    fig5.main(INPUTS / "fig3b.yaml", folder / "fig5.png")
    fig_R.main(folder / "fig_R.h5", folder / "fig_R.png")
    fig_T.main(folder / "fig_T.h5", folder / "fig_T.png")
    fig_X.main(folder / "fig_X.h5", folder / "fig_X.png")
    figS1.main(folder / "figS1.h5", folder / "figS1.png")
    figS3.main(folder / "figS3.h5", folder / "figS3.png")


def summary(verdicts: Sequence[Verdict]) -> str:
    """The table as text, and for every id whether all that is judged of it is met."""
    lines = []
    for identity in dict.fromkeys(verdict.id for verdict in verdicts):
        rows = [verdict for verdict in verdicts if verdict.id == identity]
        met = all(verdict.met is not False for verdict in rows)
        lines.append(f"{identity}: {'met' if met else 'not met'}")
        for verdict in rows:
            _, quantity, published, value, low, high, judged = verdict.row()
            lines.append(f"    {judged:8} {value} [{low}, {high}]  {quantity}; {published}")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="fewer devices, shorter series")
    parser.add_argument("--fresh", action="store_true", help="compute again what is there")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="set a key of every input, e.g. ensemble.members=64; may be repeated",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, help="experiments at a time (default: cores)")
    given = parser.parse_args()
    try:
        table = main(
            given.output,
            quick=given.quick,
            settings=given.set,
            fresh=given.fresh,
            processes=given.processes,
        )
        print(summary(table))
    except (InputError, StoreError) as error:
        sys.exit(f"reproduce_paper: {error}")
