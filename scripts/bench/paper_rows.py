"""Time of the ten experiments of the paper, one member each, by experiment and by part.

    taskset -c 0 python scripts/bench/paper_rows.py [--quick] [--rounds 1] [--set KEY=VALUE ...]

Each `--set` is one more case, in which that key is set in every input, for instance
`--set engine.reach=1`; several keys of one case are joined by a space in quotes. Times are
processor times of one process, by the functions that `kmc-oxy run` calls.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import h5py
import rounds
from figure3 import INPUTS, run, watch_package

from kmc_oxy.paper import EXPERIMENTS


def main() -> None:
    parser = rounds.parser(__doc__, rounds=1)
    parser.add_argument("--quick", action="store_true", help="the quick forms of `make paper`")
    parser.add_argument("--set", action="append", default=[], metavar="'KEY=VALUE ...'")
    parser.add_argument("--rows", nargs="*", help="identifiers of the experiments, by default all")
    arguments = parser.parse_args()
    rounds.print_circumstances()
    cases = ["as shipped", *arguments.set]
    watch = watch_package()
    spent_s: dict[tuple[str, str], list[float]] = defaultdict(list)
    parts_s: dict[tuple[str, str], float] = defaultdict(float)
    megahops: dict[tuple[str, str], float] = {}
    experiments = [row for row in EXPERIMENTS if not arguments.rows or row.id in arguments.rows]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = folder / "tiny.yaml"
        tiny.write_text("device: {lattice: {nx: 4, ny: 4}}\nprotocol: [{read: {}}]\n")
        run([tiny], folder, [], watch)  # imports are not part of an experiment
        for _ in range(arguments.rounds):
            for experiment in experiments:
                for case in cases:
                    settings = list(experiment.quick) if arguments.quick else []
                    settings += ["ensemble.members=1"]
                    settings += case.split() if case != cases[0] else []
                    watch.clear()
                    run([INPUTS / f"{experiment.name}.yaml"], folder, settings, watch)
                    parts = watch.stop()
                    spent_s[experiment.id, case].append(sum(parts.values()))
                    for part, seconds in parts.items():
                        parts_s[part, case] += seconds / arguments.rounds
                    with h5py.File(folder / f"{experiment.name}.h5") as file:
                        megahops[experiment.id, case] = file["hops"][..., -1].sum() / 1e6

    def print_row(name: str, cells: list[str]) -> None:
        print(f"| {name} | " + " | ".join(cells) + " |")

    print()
    print_row("s a member (Mhop)", cases)
    print("|---|" + len(cases) * "---|")
    for experiment in experiments:
        print_row(
            experiment.id,
            [
                f"{median(spent_s[experiment.id, case]):.2f} ({megahops[experiment.id, case]:.2f})"
                for case in cases
            ],
        )
    total_s = {
        case: sum(median(spent_s[experiment.id, case]) for experiment in experiments)
        for case in cases
    }
    print_row("all", [f"{total_s[case]:.2f}" for case in cases])
    print_row("all, over the first", [f"{total_s[case] / total_s[cases[0]]:.3f}" for case in cases])
    print()
    print_row("part, s", cases)
    print("|---|" + len(cases) * "---|")
    names = {part for part, _ in parts_s}
    for part in sorted(names, key=lambda part: -parts_s[part, cases[0]]):
        print_row(part, [f"{parts_s[part, case]:.2f}" for case in cases])
    rounds.print_circumstances()


if __name__ == "__main__":
    main()
