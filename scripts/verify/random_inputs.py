"""Run random inputs: each is refused with a place, or gives a complete file.

Every key of the schema is set to values at its limits, beyond them and between; every step, every
distribution and every kind of scan occurs, on tiny lattices. An input counts as

- *refused*, if ``kmc-oxy validate`` exits with 2 and every line of the message names a place,
- *complete*, if ``kmc-oxy run`` exits with 0 and the file has every dataset of every point,
- *stopped*, if it used a processor for ``--seconds``, and exited with 75 soon after SIGTERM,
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
    Rest,
    Section,
    Step,
    dimension_of,
    parts,
    preset_names,
    sections_in,
)
from kmc_oxy.protocol import flatten, observables

PLACE = re.compile(r"in\.yaml(:\d+:\d+: .+|: .+)|\.\.\. and \d+ more|kmc-oxy: warning: .*")
#: Errors of states that depend on the course of a run.
NAMED = ("thermal runaway", "needs about")
#: Seconds of a processor within which a run must end after SIGTERM.
PATIENCE_S = 5.0
#: The same for each site: the set-up of a device hears a signal when it is done.
PATIENCE_PER_SITE_S = 5e-6
#: Seconds of a processor within which an input must be checked and its cost estimated.
VALIDATION_S = 10.0
#: Share of values that are beyond their limits, and of steps that may not fit the array.
BEYOND = 0.15
#: Sections that are exchanged as a whole by a scan.
SECTIONS = ("device", "conductance", "spin", "engine")


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
        "ensemble": {"members": rng.randint(1, 3), "seed": rng.randint(0, 99)},
        "engine": {
            "tolerance": 0.3,
            "algorithm": rng.choice(["capped"] * 5 + ["exact"]),
            "reach": rng.randint(1, 2),
        },
    }
    array = (1, 1)
    if rng.random() < 0.35:
        array = (rng.randint(1, 3), rng.randint(1, 3))
        data["crossbar"] = {
            "rows": array[0],
            "columns": array[1],
            "line_resistance": rng.choice([0, "5 ohm", "1 Mohm"]),
            "scheme": rng.choice(["V/2", "V/3", "grounded", "floating"]),
        }
    if rng.random() < 0.2:
        data["device"]["feedback"] = rng.choice(
            [{"potential": "network"}, {"screening_length": "1 nm"}, {"thermal_resistance": 1e9}]
        )
    if rng.random() < 0.1:
        shares = [{"share": rng.choice([0.1, "5 %", 1, 2])}, {"high": 0.3}, {"share": 0.2}]
        data["device"]["barriers"]["interface"] = shares[: rng.randint(1, 3)]
    data["protocol"] = [random_step(rng, array) for _ in range(rng.randint(1, 4))]
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5])):
        set_random_key(rng, data)
    if rng.random() < 0.5:
        data["scan"] = random_scan(rng, array, len(data["protocol"]))
    return data


def random_step(rng: random.Random, array: tuple[int, int], depth: int = 0) -> dict[str, Any]:
    """A random step of the protocol for an array of so many rows and columns."""
    if rng.random() < BEYOND:
        array = (2, 2)
    voltage = rng.choice(["2 V", "-4 V", 0.5, "0.1 V", "1 mV", 20])
    duration = rng.choice(["1 ms", "10 ps", "1 us", 1e-15, "2 s", "1e5 s"])
    rest = rng.choice([None, {}, {"voltage": "0.2 V", "duration": "1 ns"}])
    bodies: dict[str, dict[str, Any]] = {
        "pulse": {"voltage": voltage, "duration": duration, "rest": rest},
        "train": {"voltage": voltage, "duration": duration, "count": rng.randint(1, 6)},
        "read": {"duration": duration},
        "relax": {"duration": duration, "first": "1 ps", "points_per_decade": rng.randint(1, 3)},
        "sweep": rng.choice([{"amplitude": 1}, {"to": [1, -1, 0.25]}, {"to": [0]}]) | {"step": 0.5},
        "field_sweep": {"amplitude": "20 mT", "step": "9 mT"},
        "program": {
            "cell": [rng.randrange(length) for length in array],
            "voltage": voltage,
            "count": 2,
            "duration": "1 us",
        },
        "map": {},
        "vector_matrix": {"inputs": [0.1] * array[1]},
        "waveform": {"points": [[0, voltage], ["1 us", "-1 V"], ["2 us", 0]]},
        "repeat": {"count": rng.randint(1, 3)},
    }
    if duration == 1e-15 or rng.random() < 0.3:
        bodies["relax"]["first"] = 1e-15
        bodies["relax"]["duration"] = rng.choice([1e-9, "1 s", "1e5 s"])
    if rng.random() < 0.5:
        bodies["program"] |= {"target": rng.choice(["1 nS", 1e-15]), "max_pulses": 3}
    kind = rng.choice(list(bodies))
    body = bodies[kind]
    if kind == "repeat":
        inner = [random_step(rng, array, depth + 1) for _ in range(rng.randint(1, 2))]
        body["steps"] = [{"read": {}}] if depth > 2 else inner
    elif rng.random() < 0.3:
        set_key_of_step(rng, kind, body)
    return {kind: body}


def set_key_of_step(rng: random.Random, kind: str, body: dict[str, Any]) -> None:
    """Set one random key of a step, or of its rest."""
    model = sections_in(Step.model_fields[kind].annotation)[0]
    name, field = rng.choice(list(model.model_fields.items()))
    if sections_in(field.annotation):
        inner, of = rng.choice(list(Rest.model_fields.items()))
        body[name] = {inner: random_value(rng, of)}
        return
    if kind == "sweep" and name in ("amplitude", "to"):
        body.pop("to" if name == "amplitude" else "amplitude", None)
    value = random_value(rng, field)
    given = body.get(name)
    if isinstance(given, list) and isinstance(value, list) and len(value) > 0:
        # Lists of the array have its size.
        length = len(given)
        value = (value * length)[:length]
    body[name] = value


def all_keys(model: type[Section], prefix: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key outside protocol and scan: its path and its field."""
    for name, field in model.model_fields.items():
        inner = sections_in(field.annotation)
        if inner and issubclass(inner[0], BarrierDistribution):
            for distribution in (each for each in inner if "share" not in each.model_fields):
                for own, of in distribution.model_fields.items():
                    yield (*prefix, name), own, of, distribution
        elif len(inner) == 1 and inner[0] is not Step:
            yield from all_keys(inner[0], (*prefix, name))
        elif name not in ("protocol", "scan"):
            yield prefix, name, field, None


KEYS = list(all_keys(Input))


def random_value(rng: random.Random, field: Any) -> Any:
    """A value at a limit of a field or between; in a share `BEYOND`, beyond or of another type."""
    is_beyond = rng.random() < BEYOND
    if is_beyond and rng.random() < 0.2:
        return rng.choice([None, "x", [1], {}, True, "1 parsec", math.inf, -1, 1e400])
    found = list(parts(field.annotation))
    if any(get_origin(part) is tuple for part in found):
        whole = [0, 1, 0.0] if int in found else [0, "0.1 V", -1e-9, 1000]
        return [rng.choice(whole) for _ in range(rng.randint(0 if is_beyond else 1, 3))]
    options = [p for part in found if get_origin(part) for p in get_args(part)]
    literals = [option for option in options if isinstance(option, str)]
    if literals:
        return rng.choice(literals)
    if bool in found:
        return rng.random() < 0.5
    if str in found:
        return rng.choice(["n" * 201] if is_beyond else ["", "a name", "n" * 200, "\u03bc"])
    limits = {
        name: getattr(item, name)
        for item in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(item, name, None) is not None
    }
    if int in found:
        return _random_whole(rng, limits, is_beyond)
    return _random_number(rng, limits, *MAGNITUDES[dimension_of(field) or "number"], is_beyond)


def _random_whole(rng: random.Random, limits: dict[str, Any], is_beyond: bool) -> Any:
    least, most = limits.get("ge", 0), limits.get("le", 2**63 - 1)
    if is_beyond:
        return rng.choice([least - 1, most + 1, 2**63, 10**30, 1.5])
    # Between small numbers: a run with the largest number of sites or members never ends.
    inside = [least, least + 1, most if most < 1e6 else least + 2, float(least)]
    if most == 2**63 - 1:
        inside.append(most)
    return min(rng.choice(inside), most)


def _random_number(
    rng: random.Random, limits: dict[str, float], least: float, most: float, is_beyond: bool
) -> float:
    low = limits.get("ge", limits.get("gt", -math.inf))
    high = min(most, limits.get("le", limits.get("lt", math.inf)))
    if is_beyond:
        outside = [math.nextafter(high, math.inf), math.nextafter(least, 0), 1.7e308, 5e-324]
        if low > -math.inf:
            outside += [math.nextafter(low, -math.inf), -least, -most]
        return rng.choice([*outside, *(limits[name] for name in ("gt", "lt") if name in limits)])
    smallest = max(least, low)
    inside = [smallest, math.nextafter(smallest, math.inf), high, math.nextafter(high, 0)]
    inside += [10 ** rng.uniform(math.log10(smallest), math.log10(high)) for _ in range(6)]
    inside = [value for value in inside if "lt" not in limits or value < high]
    if "gt" in limits:
        inside = [value for value in inside if value > low]
    elif low <= 0:
        inside.append(0.0)
    return rng.choice([1, -1] if low == -math.inf else [1]) * rng.choice(inside)


def set_random_key(rng: random.Random, data: dict[str, Any]) -> None:
    """Set one random key of the schema."""
    prefix, name, field, distribution = rng.choice(KEYS)
    section = data
    for part in prefix:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            return
    if distribution is not None:
        kind = distribution.model_fields["distribution"].default
        if section.get("distribution", kind) != kind:
            section.clear()
        section["distribution"] = kind
        for other, of in distribution.model_fields.items():
            if of.is_required():
                section.setdefault(other, 0.3)
        if name == "distribution":
            return
    if name == "preset":
        section[name] = rng.choice([*preset_names(), "x", None])
        return
    # The size of the array is that for which the steps were drawn.
    if name not in ("rows", "columns") or rng.random() < BEYOND:
        section[name] = random_value(rng, field)


def random_scan(rng: random.Random, array: tuple[int, int], steps: int) -> dict[str, list[Any]]:
    """A random scan: of keys at their limits, of sections, of steps, of whole protocols."""
    kind = rng.choice(["key", "key", "key", "section", "step", "protocol", "both"])
    scan: dict[str, list[Any]] = {}
    if kind in ("key", "both"):
        prefix, name, field, distribution = rng.choice(KEYS)
        if distribution is None:
            values = [random_value(rng, field) for _ in range(rng.randint(1, 3))]
            scan[".".join((*prefix, name))] = values
        else:
            scan[".".join(prefix)] = [{"distribution": "constant", "value": 0.1}, {"high": 0.4}]
    if kind == "section":
        prefix = rng.choice([key[0] for key in KEYS if key[0] and key[0][0] in SECTIONS])
        scan[".".join(prefix)] = [random_section(rng, prefix) for _ in range(2)]
    if kind == "step":
        scan[f"protocol.{rng.randrange(steps)}"] = [random_step(rng, array) for _ in range(2)]
    if kind == "protocol":
        scan["protocol"] = [
            [random_step(rng, array) for _ in range(rng.randint(1, 3))] for _ in range(3)
        ]
    if kind == "both":
        scan["device.temperature"] = [76, "100 K", rng.choice([2000, 1e-3, "60 K"])]
    return scan


def random_section(rng: random.Random, prefix: tuple[str, ...]) -> dict[str, Any]:
    """A section of the input with one random key, or empty."""
    keys = [key for key in KEYS if key[0] == prefix]
    _, name, field, distribution = rng.choice(keys)
    if distribution is not None:
        return {"distribution": "constant", "value": random_value(rng, field)}
    return rng.choice([{}, {name: random_value(rng, field)}])


def drawn(data: dict[str, Any]) -> Iterator[str]:
    """What an input covers: its keys, distributions, steps and kinds of scan, as dotted names."""
    for key, value in _leaves({k: v for k, v in data.items() if k not in ("protocol", "scan")}):
        yield key
        if key.endswith(".distribution"):
            yield f"{key}: {value}"
    protocol = data["protocol"]
    while protocol:
        kinds = [(kind, body) for step in protocol for kind, body in step.items()]
        for kind, body in kinds:
            yield f"{kind}"
            yield from (f"{kind}.{key}" for key, _ in _leaves(body) if kind != "repeat")
        protocol = [step for kind, body in kinds if kind == "repeat" for step in body["steps"]]
    for key, values in data.get("scan", {}).items():
        whole = "protocol" if key == "protocol" else "step" if key[:9] == "protocol." else None
        inner = "section" if isinstance(values[0], dict) else "key"
        yield f"scan of a {whole or inner}"
        if whole is None:
            yield f"scan of {key}"


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def all_to_draw() -> set[str]:
    """Everything that `drawn` must give over many inputs."""
    names = {".".join((*prefix, name)) for prefix, name, _, _ in KEYS}
    names |= {
        f"{'.'.join(prefix)}.distribution: {name.model_fields['distribution'].default}"
        for prefix, _, _, name in KEYS
        if name is not None
    }
    for kind, field in Step.model_fields.items():
        names.add(kind)
        if kind != "repeat":
            for name, of in sections_in(field.annotation)[0].model_fields.items():
                inner = sections_in(of.annotation)
                keys = [f"{name}.{key}" for key in inner[0].model_fields] if inner else [name]
                names |= {f"{kind}.{key}" for key in keys}
    names |= {f"scan of a {kind}" for kind in ("key", "section", "step", "protocol")}
    return names | {f"scan of {'.'.join((*p, n))}" for p, n, _, d in KEYS if d is None}


def outcome_of(data: dict[str, Any], folder: Path, seconds: float) -> tuple[str, str]:
    """Run an input.

    Parameters
    ----------
    data : dict
    folder : Path
        An empty folder.
    seconds : float
        Time of a processor after which the run is stopped by a signal.

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
    began_s = time.process_time()
    here = Path.cwd()
    os.chdir(folder)
    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: None),
        signal.SIGPROF: signal.signal(
            signal.SIGPROF, lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        ),
    }
    try:
        with (
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            code = main(["validate", "in.yaml"])
            took_s = time.process_time() - began_s
            if took_s > VALIDATION_S:
                return "wrong", f"validate took {took_s:.0f} s"
            if code == 0:
                began_s = time.process_time()
                signal.setitimer(signal.ITIMER_PROF, seconds)
                code = main(["run", "in.yaml", "-o", "out.h5"])
                signal.setitimer(signal.ITIMER_PROF, 0)
                took_s = time.process_time() - began_s
                if code == 2:
                    return "wrong", f"{printed.getvalue()}\nrefused by run only"
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
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.chdir(here)
    said = printed.getvalue()
    lattice = data["device"]["lattice"]
    sites = 10 * lattice["nx"] * lattice["ny"] if code != 2 else 0
    if took_s > seconds + PATIENCE_S + PATIENCE_PER_SITE_S * sites:
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
    """Quantities of a point that the file does not have, or not at every reading."""
    model = loads(text).model
    found = []
    with h5py.File(output) as file:
        for point in range(n_points(model)):
            inputs = at_point(model, point)
            found += [
                f"{item.name} at point {point}"
                for item in observables(inputs)
                if item.name not in file or file[item.name][point].size == 0
            ]
            readings = len(flatten(inputs.protocol).readings)
            if not (file["conductance"][point][..., :readings] >= 0).all():
                found.append(f"readings of point {point}")
    return found


def main_script() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="number of inputs")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the next have the next")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of a processor, until a run is stopped"
    )
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
