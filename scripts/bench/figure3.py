"""Time of a whole figure 3 of one member on the default device, by part.

    taskset -c 0 python scripts/bench/figure3.py [--rounds 3] [--record [--note TEXT]]

Two protocols: "figure 3" is 10 resets (sets, before depression), each with a train of 50 pulses
after it and a reading after every pulse, on one device, at three settings of the engine; "shipped"
is inputs/fig3a.yaml and inputs/fig3b.yaml with one member, which condition the device anew before
every train (35 strong pulses instead of 12). Both run in this process by the functions that
`kmc-oxy run` calls, and write an output. The functions of a run are timed where they are called
here; parts of the engine, the readings and the work folder are timed by wrapping methods of the
package. Times are processor times, and a part does not include other parts that it calls. The
wall-clock time of the whole is printed too.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import rounds
from rounds import Figure

from kmc_oxy.execution import Plan, assemble, run_serial
from kmc_oxy.inputs import load
from kmc_oxy.physics import engine, filament_network, spin_valve
from kmc_oxy.simulation import device, readings
from kmc_oxy.storage import WorkFolder, begin_or_resume

INPUTS = Path(__file__).resolve().parents[2] / "inputs"
REST = "rest: {voltage: -0.1 V, duration: 1 s}, read: false"
LENGTHS_MS = (1, 2, 5, 10, 50)


class Stopwatch:
    """Processor time by part; while one part calls another, only the inner one is counted."""

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._running = ["rest"]
        self._since_s = time.process_time()

    def _switch(self) -> None:
        now_s = time.process_time()
        self.spent_s[self._running[-1]] += now_s - self._since_s
        self._since_s = now_s

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted for a part."""

        @wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._running.append(part)
            self.calls[part] += 1
            try:
                return function(*arguments, **named)
            finally:
                self._switch()
                self._running.pop()

        return wrapper

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count the time of a method of a class for a part from now on."""
        held = owner.__dict__[name]
        if isinstance(held, classmethod):
            setattr(owner, name, classmethod(self.timed(part, held.__func__)))
        else:
            setattr(owner, name, self.timed(part, held))

    def watch_compiled(self, module: Any, name: str, **parts: str) -> None:
        """Replace a compiled class of a module by a subclass with some methods timed."""
        held = getattr(module, name)
        methods = {
            method: self.timed(part, getattr(held, method)) for method, part in parts.items()
        }
        setattr(module, name, type(name, (held,), methods))

    def stop(self) -> dict[str, float]:
        """Return the seconds of every part so far."""
        self._switch()
        return dict(self.spent_s)

    def clear(self) -> None:
        """Reset all times and numbers of calls."""
        self._switch()
        self.spent_s.clear()
        self.calls.clear()


def watch_package() -> Stopwatch:
    """Return a stopwatch that times methods of the package."""
    watch = Stopwatch()
    watch.watch_compiled(
        engine, "Kernel", run="hops", lower_gamma="windows: lower_gamma",
        use="edges: Kernel.use",
    )  # fmt: skip
    watch.watch_compiled(
        filament_network, "FilamentKernel", assemble="reading: assembly",
        conductance="reading: solve for charge", transmission="reading: solve for spin",
    )  # fmt: skip
    engine_class = engine.Engine
    watch.watch(engine_class, "set_potential", "edges: rate tables")
    watch.watch(engine_class, "step", "engine: Python around the kernel")
    watch.watch(engine_class, "begin", "engine: Python around the kernel")
    watch.watch(spin_valve.SpinValve, "conductances", "reading: Python around the solves")
    for method in ("read_cell", "read_array"):
        watch.watch(readings.Recorder, method, "reading: Python around the solves")
    watch.watch(device.CrossPoint, "build", "devices")
    watch.watch(engine_class, "__init__", "devices")
    for method in ("save_task", "save_checkpoint", "load_task", "archive", "begin", "finished"):
        watch.watch(WorkFolder, method, "input and output")
    return watch


def one_device(folder: Path) -> list[Path]:
    """The input of "figure 3"."""
    steps = [f"  - pulse: {{voltage: {sign}4 V, duration: 1 s, {REST}}}" for sign in "-+"]
    for reset, voltage in (("-4 V", "+2 V"), ("+4 V", "-2.8 V")):
        for length_ms in LENGTHS_MS:
            steps += [
                f"  - pulse: {{voltage: {reset}, duration: 1 s, {REST}}}",
                f"  - train: {{voltage: {voltage}, duration: {length_ms} ms, count: 50, "
                "rest: {voltage: -0.1 V, duration: 50 ms}}",
            ]
    path = folder / "figure3.yaml"
    path.write_text("protocol:\n" + "\n".join(steps) + "\nensemble: {members: 1, seed: 3}\n")
    return [path]


def as_shipped(folder: Path) -> list[Path]:
    """The inputs in the repository."""
    return [INPUTS / "fig3a.yaml", INPUTS / "fig3b.yaml"]


def run(paths: list[Path], folder: Path, overrides: list[str], watch: Stopwatch) -> float:
    """Run inputs one after the other; returns the wall-clock seconds."""
    start = time.perf_counter()
    for path in paths:
        plan = Plan(watch.timed("input and output", load)(path, overrides))
        work = watch.timed("input and output", begin_or_resume)(
            folder / f"{path.stem}.h5", plan.identity, fresh=True
        )
        run_serial(plan, work)
        watch.timed("input and output", assemble)(plan, work)
    return time.perf_counter() - start


@dataclass(frozen=True)
class Case:
    """A protocol at some settings of the engine."""

    protocol: Callable[[Path], list[Path]]
    tolerance: float
    reach: int
    asked_s: float | None = 6.0

    @property
    def name(self) -> str:
        """Name as printed."""
        what = "figure 3" if self.protocol is one_device else "shipped"
        return f"{what}, tolerance {self.tolerance:.3g}, reach {self.reach}"

    @property
    def overrides(self) -> list[str]:
        """Settings of the engine and one member."""
        return [
            "ensemble.members=1", f"engine.tolerance={self.tolerance!r}",
            f"engine.reach={self.reach}",
        ]  # fmt: skip


#: The first and the last are at the settings of the shipped inputs.
CASES = (
    Case(one_device, 0.1, 1), Case(one_device, 1 / 30, 1), Case(one_device, 1 / 30, 2),
    Case(as_shipped, 0.1, 1, None),
)  # fmt: skip
COUNTS = ("Mhop", "edges", "windows entered", "new occupations read")
Parts = defaultdict[str, list[float]]


def measure(case: Case, folder: Path, watch: Stopwatch, found: Parts) -> None:
    """Run a case once and append the times of its parts."""
    paths = case.protocol(folder)
    watch.clear()
    wall_s = run(paths, folder, case.overrides, watch)
    spent_s = watch.stop()
    for part, seconds in spent_s.items():
        found[part].append(seconds)
    found["whole"].append(sum(spent_s.values()))
    found["whole, wall clock"].append(wall_s)
    hops = 0
    for path in paths:
        with h5py.File(folder / f"{path.stem}.h5") as file:
            hops += int(file["hops"][..., -1].sum())
    found["Mhop"].append(hops / 1e6)
    found["new occupations read"].append(watch.calls["reading: assembly"])
    found["windows entered"].append(watch.calls["windows: lower_gamma"])
    found["edges"].append(watch.calls["edges: Kernel.use"])


def print_parts(parts: list[Parts]) -> None:
    """Print medians, one column per case: seconds and fraction of every part, and counts."""
    print("\n| part | " + " | ".join(case.name for case in CASES) + " |")
    print("|---|" + len(CASES) * "---|")
    seconds = [part for part in parts[0] if part not in COUNTS]
    for part in (*sorted(seconds, key=lambda part: -median(parts[0][part])), *COUNTS):
        cells = []
        for found in parts:
            value = median(found[part])
            if part in COUNTS:
                cells.append(f"{value:.4g}")
            else:
                cells.append(f"{value:.3f} s, {100 * value / median(found['whole']):.1f} %")
        print(f"| {part} | " + " | ".join(cells) + " |")


def main() -> None:
    arguments = rounds.parser(__doc__, rounds=3).parse_args()
    rounds.print_circumstances()
    watch = watch_package()
    parts: list[Parts] = [defaultdict(list) for _ in CASES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = folder / "tiny.yaml"
        tiny.write_text("device: {lattice: {nx: 4, ny: 4}}\nprotocol: [{read: {}}]\n")
        run([tiny], folder, [], watch)  # imports are not part of the figure
        for turn in range(arguments.rounds):
            for case, found in zip(CASES, parts, strict=True):
                if turn == 0 or case.tolerance == 0.1:
                    measure(case, folder, watch, found)
    values: rounds.Values = {
        Figure(case.name, "s", case.asked_s, True): found["whole"]
        for case, found in zip(CASES, parts, strict=True)
    }
    rounds.print_table("one member, default device", values)
    print_parts(parts)
    if arguments.record:
        rounds.record(values, arguments.note)
    rounds.print_circumstances()


if __name__ == "__main__":
    main()
