"""Fits of devices with hidden parameters: how often the stated intervals contain the truth.

    python scripts/fit/recover_hidden.py [--devices 10] [--first 0] [--jobs 2] -o FOLDER

For each device five parameters are drawn at random in their ranges. Eight members of that device
give the data, the mean of a potentiating and of a depressing train with its standard error. The
fit starts in the middle of the ranges and uses other members. The script prints a Markdown table
and goes on with what an earlier call has left in the folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

#: Key, lowest and highest value, whether the scale is logarithmic.
PARAMETERS = (
    ("device.site_energy.oxide_offset", -0.54, -0.48, False),
    ("device.site_energy.first_layer_binding", 0.35, 0.41, False),
    ("device.barriers.first_layer_exit.high", 0.3, 0.45, False),
    ("conductance.density_floor", 0.02, 0.1, True),
    ("conductance.level_width", 0.05, 0.09, False),
)
DATA_MEMBERS = 8
REST = {"voltage": "-0.1 V", "duration": "1 s"}
BETWEEN = {"voltage": "-0.1 V", "duration": "50 ms"}


def pulse(voltage: str) -> dict:
    """A strong pulse of 1 s, not read."""
    return {"pulse": {"voltage": voltage, "duration": "1 s", "rest": REST, "read": False}}


def train(voltage: str) -> dict:
    """A train of 20 pulses of 10 ms."""
    return {"train": {"voltage": voltage, "duration": "10 ms", "count": 20, "rest": BETWEEN}}


CONDITIONING = [pulse("-4 V"), pulse("+4 V")]
EXPERIMENTS = {
    "potentiation": [pulse("-4 V"), train("+2 V")],
    "depression": [pulse("+4 V"), train("-2.8 V")],
}
DEVICE = {
    "device": {
        "lattice": {"nx": 12, "ny": 12},
        "oxygen": {"filling": 0.14},
        "barriers": {
            "first_layer_exit": {"low": "0 eV", "high": "0.375 eV"},
            "first_layer_lateral": {"low": "0.5 eV", "high": "1 eV"},
            "oxide": {"low": "0.5 eV", "high": "0.6 eV"},
            "interface": {"low": "0 eV", "high": "0.6 eV"},
            "slow_share": 0.645,
        },
        "site_energy": {
            "oxide_offset": -0.51, "first_layer_binding": 0.38, "disorder": "0.01 eV",
        },
        "field": {"oxide_share": 0.5},
    },
    "conductance": {"level_width": 0.07, "slab": "0.6 nm", "density_floor": 0.045},
    "engine": {"tolerance": 0.3, "reach": 1},
}  # fmt: skip


def hidden(device: int) -> dict[str, float]:
    """The parameters of a device, by key."""
    random = np.random.default_rng([2026, device])
    found = {}
    for key, low, high, is_log in PARAMETERS:
        place = random.random()
        value = low * (high / low) ** place if is_log else low + place * (high - low)
        found[key] = float(f"{value:.6g}")
    return found


def command(*arguments: str) -> None:
    """Run ``kmc-oxy`` in one process; its errors are shown."""
    subprocess.run(
        [sys.executable, "-m", "kmc_oxy", *arguments], check=True, stdout=subprocess.DEVNULL
    )


def make_data(folder: Path, device: int) -> None:
    """Write a CSV for each experiment."""
    steps = [*CONDITIONING, *(step for each in EXPERIMENTS.values() for step in each)]
    content = {
        **DEVICE,
        "protocol": steps,
        "ensemble": {"members": DATA_MEMBERS, "seed": 1000 + device},
        "output": {"profile": False, "snapshots": "none"},
    }
    path = folder / "hidden.yaml"
    path.write_text(json.dumps(content, indent=1))
    settings = [f"--set={key}={value!r}" for key, value in hidden(device).items()]
    command("run", str(path), "-q", "-o", str(folder / "hidden.h5"), *settings)
    with h5py.File(folder / "hidden.h5") as file:
        conductance_S, step = file["conductance"][0, :, 0, 0, :], file["step"][0]
        number = file["pulse"][0]
    for position, name in zip(np.unique(step), EXPERIMENTS, strict=True):
        values = conductance_S[:, step == position]
        error = values.std(axis=0, ddof=1) / np.sqrt(DATA_MEMBERS)
        with open(folder / f"{name}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("pulse", "conductance (S)", "error"))
            rows = zip(number[step == position], values.mean(axis=0), error, strict=True)
            table.writerows((n, f"{value:.6g}", f"{spread:.4g}") for n, value, spread in rows)


def fit(folder: Path, device: int, arguments: argparse.Namespace) -> Path:
    """Fit one device; returns the table of its evaluations."""
    own = folder / f"device-{device:02d}"
    own.mkdir(parents=True, exist_ok=True)
    found = own / "fit" / "evaluations.h5"
    if found.exists():
        return found
    make_data(own, device)
    data = {
        "x": {"quantity": "pulse"}, "y": {"quantity": "conductance"}, "error": {"column": "error"},
    }  # fmt: skip
    content = {
        **DEVICE,
        "conditioning": CONDITIONING,
        "parameters": {
            key: {"low": low, "high": high, "scale": "log" if is_log else "linear"}
            for key, low, high, is_log in PARAMETERS
        },
        "experiments": {
            name: {"protocol": steps, "data": {"file": f"{name}.csv", **data}}
            for name, steps in EXPERIMENTS.items()
        },
        "search": {
            "evaluations": arguments.evaluations, "members": 8, "most_members": 16,
            "seed": 1 + device,
        },
    }  # fmt: skip
    (own / "fit.yaml").write_text(json.dumps(content, indent=1))
    command("fit", str(own / "fit.yaml"), "-o", str(own / "fit"), "-j", "1", "-q")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first device")
    parser.add_argument("--evaluations", type=int, default=96)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time")
    arguments = parser.parse_args()
    devices = range(arguments.first, arguments.first + arguments.devices)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        tables = list(pool.map(lambda k: fit(arguments.output, k, arguments), devices))
    names = [key.split(".", 1)[1] for key, *_ in PARAMETERS]
    print("| device | " + " | ".join(names) + " | chi-square | cost |")
    print("|---|" + (len(names) + 2) * "---|")
    inside, fixed, total = 0, 0, 0
    for device, table in zip(devices, tables, strict=True):
        with h5py.File(table) as file:
            low, high, is_fixed = (
                file[n][()] for n in ("interval_low", "interval_high", "is_fixed")
            )
            quality = ", ".join(f"{value:.2f}" for value in file["chi_square"])
            checks = file["stage"].asstr()[()] == "check"
            cost = float(file["cost"][()][checks].min())
        cells = []
        for k, value in enumerate(hidden(device).values()):
            is_inside = low[k] <= value <= high[k]
            inside, total, fixed = inside + is_inside, total + 1, fixed + bool(is_fixed[k])
            mark = "" if is_inside else " **outside**"
            free = "" if is_fixed[k] else " (not fixed)"
            cells.append(f"{value:.4g} in [{low[k]:.4g}, {high[k]:.4g}]{free}{mark}")
        print(f"| {device} | " + " | ".join(cells) + f" | {quality} | {cost:.3g} |")
    print(
        f"\n{inside} of {total} inside ({inside / total:.0%}); {fixed} of {total} fixed by the data"
    )


if __name__ == "__main__":
    main()
