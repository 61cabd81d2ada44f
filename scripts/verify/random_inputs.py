"""Run random inputs: each is refused with a place, or gives a complete file.

Every key of the schema is set to values at its limits, beyond them and between; every step, every
distribution and every kind of scan occurs, on tiny lattices. An input counts as

- *refused*, if ``kmc-oxy run`` exits with 2 and every line of the message names a place,
- *complete*, if it exits with 0 and the file has every dataset of every point,
- *stopped*, if it ran longer than ``--seconds``, and exited with 75 soon after SIGTERM,
- *failed*, if it exited with 1 and one line about a state that no check can foresee,
- *wrong*, in all other cases: a traceback, the text of a raw exception, a hang, a missing dataset.

    python scripts/verify/random_inputs.py --count 2000 --seed 1 -o wrong_inputs/

writes every wrong input with its output into a folder, and exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import math
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import h5py
import yaml

from kmc_oxy.cli import main
from kmc_oxy.inputs import at_point, loads, n_points
from kmc_oxy.inputs.schema import (
    MAGNITUDES,
    BarrierDistribution,
    Input,
    Section,
    Step,
    dimension_of,
    parts,
    sections_in,
)
from kmc_oxy.protocol import observables

PLACE = re.compile(r"in\.yaml(:\d+:\d+: .+|: .+)|\.\.\. and \d+ more|kmc-oxy: warning: .*")
#: Errors of states that depend on the course of a run.
NAMED = ("thermal runaway", "needs about", "did not converge")
#: Seconds within which a run must end after SIGTERM.
PATIENCE_S = 20.0


def random_input(rng: random.Random) -> dict[str, Any]:
    """A random input: mostly small and valid, with a few keys at or beyond their limits."""
    nx, ny, layers = rng.randint(3, 5), rng.randint(3, 5), rng.randint(2, 5)
    lattice: dict[str, Any] = {"nx": nx, "ny": ny, "organic_thickness": f"{0.8 * layers:.3g} nm"}
    if rng.random() < 0.5:
        lattice["organic_layers"] = layers
    data: dict[str, Any] = {
        "device": {
            "lattice": lattice,
            "field": {"lsmo_width": f"{0.3 * layers:.3g} nm", "oxide_margin": "0.1 nm"},
            "barriers": {"slow_layers": min(2, layers - 1)},
            "oxygen": {"filling": rng.choice([0.1, "20 %", 0.5])},
        },
        "protocol": [random_step(rng) for _ in range(rng.randint(1, 4))],
        "ensemble": {"members": rng.randint(1, 3), "seed": rng.randint(0, 99)},
        "engine": {
            "tolerance": 0.3,
            "algorithm": rng.choice(["capped"] * 5 + ["exact"]),
            "reach": rng.randint(1, 2),
        },
    }
    if rng.random() < 0.35:
        rows, columns = rng.randint(1, 3), rng.randint(1, 3)
        data["crossbar"] = {
            "rows": rows,
            "columns": columns,
            "line_resistance": rng.choice([0, "5 ohm", "1 Mohm"]),
            "scheme": rng.choice(["V/2", "V/3", "grounded", "floating"]),
        }
    if rng.random() < 0.2:
        data["device"]["feedback"] = rng.choice(
            [{"potential": "network"}, {"screening_length": "1 nm"}, {"thermal_resistance": 1e9}]
        )
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        set_random_key(rng, data)
    if rng.random() < 0.5:
        data["scan"] = random_scan(rng)
    return data


def random_step(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """A random step of the protocol; some do not fit the array."""
    voltage = rng.choice(["2 V", "-4 V", 0, "0.1 V", "1 mV", 20])
    duration = rng.choice(["1 ms", "10 ps", "1 us", 1e-15, "2 s", "1e5 s"])
    cell = [rng.randint(0, 1), rng.randint(0, 1)]
    rest = rng.choice([None, {}, {"voltage": "0.2 V", "duration": "1 ns"}])
    bodies: dict[str, dict[str, Any]] = {
        "pulse": {"voltage": voltage, "duration": duration, "rest": rest},
        "train": {"voltage": voltage, "duration": duration, "count": rng.randint(1, 6)},
        "read": {"duration": duration},
        "relax": {"duration": duration, "first": "1 ps", "points_per_decade": rng.randint(1, 3)},
        "sweep": rng.choice([{"amplitude": 1}, {"to": [1, -1, 0.25]}, {"to": [0]}]) | {"step": 0.5},
        "field_sweep": {"amplitude": "20 mT", "step": "9 mT"},
        "program": {"cell": cell, "voltage": voltage, "count": 2, "duration": "1 us"},
        "map": {},
        "vector_matrix": {"inputs": [0.1] * rng.randint(1, 3)},
        "repeat": {"count": rng.randint(1, 3)},
    }
    if rng.random() < 0.3:
        bodies["program"] |= {"target": rng.choice(["1 nS", "1 fS"]), "max_pulses": 3}
    kind = rng.choice(list(bodies))
    if kind == "repeat":
        inner = [random_step(rng, depth + 1) for _ in range(rng.randint(1, 2))]
        if depth > 2:
            inner = [{"read": {}}]
        bodies[kind]["steps"] = inner
    return {kind: bodies[kind]}


def all_keys(model: type[Section], prefix: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key outside protocol and scan: its path and its field."""
    for name, field in model.model_fields.items():
        inner = sections_in(field.annotation)
        if inner and issubclass(inner[0], BarrierDistribution):
            for distribution in inner:
                for own, of in distribution.model_fields.items():
                    yield (*prefix, name), own, of, distribution
        elif len(inner) == 1 and inner[0] is not Step:
            yield from all_keys(inner[0], (*prefix, name))
        elif name not in ("protocol", "scan"):
            yield prefix, name, field, None


KEYS = list(all_keys(Input))


def random_value(rng: random.Random, field: Any) -> Any:
    """A value at a limit of a field, just beyond it, between, or of another type."""
    if rng.random() < 0.05:
        return rng.choice([None, "x", [1], {}, True, "1 parsec", math.inf, -1, 1e400])
    options = [p for part in parts(field.annotation) if get_origin(part) for p in get_args(part)]
    literals = [option for option in options if isinstance(option, str)]
    if literals:
        return rng.choice(literals)
    limits = [
        getattr(item, name)
        for item in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(item, name, None) is not None
    ]
    dimension = dimension_of(field)
    found = list(parts(field.annotation))
    if bool in found:
        return rng.random() < 0.5
    if int in found:
        near = [value + step for value in limits for step in (-1, 0, 1) if abs(value) < 1e6]
        return rng.choice([*near, 1, 2, 3, 2**63, 10**30])
    if str in found:
        return rng.choice(["", "a name", "n" * 201, "\N{GREEK SMALL LETTER MU}"])
    least, most = MAGNITUDES[dimension or "number"]
    near = [math.nextafter(v, v + s) for v in [*limits, least, most] for s in (-1, 1)]
    wide = [10 ** rng.uniform(math.log10(least), math.log10(most)) for _ in range(3)]
    value = rng.choice([*limits, least, most, *near, *wide, 0.0, 1e300, 1.7e308, 5e-324])
    return rng.choice([1, 1, 1, -1]) * value


def set_random_key(rng: random.Random, data: dict[str, Any]) -> None:
    """Set one random key of the schema."""
    prefix, name, field, distribution = rng.choice(KEYS)
    section = data
    for part in prefix:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            return
    if distribution is not None:
        section["distribution"] = distribution.model_fields["distribution"].default
        for other, of in distribution.model_fields.items():
            if of.is_required():
                section.setdefault(other, 0.3)
        if name == "distribution":
            return
    if name not in ("members", "rows", "columns", "nx", "ny"):
        section[name] = random_value(rng, field)


def random_scan(rng: random.Random) -> dict[str, list[Any]]:
    """A random scan: of keys at their limits, of steps, of distributions, of whole protocols."""
    kind = rng.choice(["key", "key", "key", "step", "protocol", "value", "both"])
    scan: dict[str, list[Any]] = {}
    if kind in ("key", "both"):
        prefix, name, field, distribution = rng.choice(KEYS)
        if distribution is None:
            values = [random_value(rng, field) for _ in range(rng.randint(1, 3))]
            scan[".".join((*prefix, name))] = values
        else:
            scan[".".join(prefix)] = [{"distribution": "constant", "value": 0.1}, {"high": 0.4}]
    if kind == "step":
        scan[f"protocol.{rng.randint(0, 2)}"] = [random_step(rng) for _ in range(2)]
    if kind == "protocol":
        scan["protocol"] = [[random_step(rng) for _ in range(rng.randint(1, 3))] for _ in range(3)]
    if kind in ("value", "both"):
        scan["device.temperature"] = [76, "100 K", rng.choice([0, 2000, 1e-3, "60 K"])]
    return scan


def outcome_of(data: dict[str, Any], folder: Path, seconds: float) -> tuple[str, str]:
    """Run an input.

    Parameters
    ----------
    data : dict
    folder : Path
        An empty folder.
    seconds : float
        After which the run is stopped by a signal.

    Returns
    -------
    outcome : str
        "refused", "complete", "stopped", "failed" or "wrong".
    text : str
        What was printed, and for a wrong outcome why it is.
    """
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    (folder / "in.yaml").write_text(text, encoding="utf-8")
    output = folder / "out.h5"
    printed = io.StringIO()
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    began = time.monotonic()
    here = Path.cwd()
    os.chdir(folder)
    try:
        with (
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            previous = signal.signal(signal.SIGTERM, lambda *_: None)
            timer.start()
            code = main(["run", "in.yaml", "-o", "out.h5"])
            timer.cancel()
            signal.signal(signal.SIGTERM, previous)
            took_s = time.monotonic() - began
            if code == 0:
                for arguments in (
                    ["info", "out.h5"],
                    ["export", "out.h5", "--to", "csv", "-o", "o.csv"],
                ):
                    if main(arguments) != 0:
                        return "wrong", f"{arguments[0]} failed\n{printed.getvalue()}"
    except BaseException:
        return "wrong", f"{printed.getvalue()}\n{traceback.format_exc()}"
    finally:
        timer.cancel()
        os.chdir(here)
    said = printed.getvalue()
    if took_s > seconds + PATIENCE_S:
        return "wrong", f"{said}\nstopped {took_s - seconds:.0f} s after the signal"
    return _judged(code, said, text, output)


def _judged(code: int, said: str, text: str, output: Path) -> tuple[str, str]:
    lines = said.strip().splitlines()
    if "Traceback" in said or "--debug" in said or "Warning" in said:
        return "wrong", f"{said}\nraw exception or warning"
    if code == 2:
        is_placed = lines and all(PLACE.fullmatch(line) for line in lines)
        return ("refused" if is_placed else "wrong"), said
    if code == 75:
        return "stopped", said
    if code == 1 and any(word in lines[-1] for word in NAMED):
        return "failed", said
    if code != 0:
        return "wrong", f"{said}\nexit code {code}"
    missing = _missing_datasets(text, output)
    return ("wrong", f"missing or empty: {missing}") if missing else ("complete", said)


def _missing_datasets(text: str, output: Path) -> list[str]:
    """Quantities of a point that the file does not have."""
    model = loads(text).model
    with h5py.File(output) as file:
        return [
            f"{item.name} at point {point}"
            for point in range(n_points(model))
            for item in observables(at_point(model, point))
            if item.name not in file or file[item.name][point].size == 0
        ]


def main_script() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="number of inputs")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the next have the next")
    parser.add_argument("--seconds", type=float, default=3.0, help="after which a run is stopped")
    parser.add_argument("-o", "--output", type=Path, help="folder for wrong inputs")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        data = random_input(random.Random(seed))
        with tempfile.TemporaryDirectory() as folder:
            outcome, text = outcome_of(data, Path(folder), arguments.seconds)
        counts[outcome] += 1
        if outcome == "wrong":
            print(f"seed {seed}: {text.strip().splitlines()[-1]}", flush=True)
            if arguments.output:
                arguments.output.mkdir(parents=True, exist_ok=True)
                report = yaml.safe_dump(data, sort_keys=False) + "\n# " + text.replace("\n", "\n# ")
                (arguments.output / f"{seed}.yaml").write_text(report, encoding="utf-8")
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())))
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main_script())
