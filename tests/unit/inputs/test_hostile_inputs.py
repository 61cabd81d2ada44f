"""Inputs made to take long: each is answered within seconds and bounded memory."""

import json
import subprocess
import sys

import pytest

#: Seconds of a processor and bytes, both of the whole process; a busy machine needs more of it.
MOST_S, MOST_BYTES = 12, 1e9
READ = "protocol: [read: ]\n"
PROGRAM = """
import json, resource, sys
from kmc_oxy.cli import main
code = main(["validate", sys.argv[1]])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def grid(first, second, count=100):
    return "scan: {" + ", ".join(f"{key}: [{', '.join([v] * count)}]" for key, v in (first, second))


def steps(step, count):
    return "protocol:\n" + f"- {step}\n" * count


def nested(depth, count):
    pulses = [f"pulse: {{voltage: {v}, duration: 1e-9}}" for v in (1, 2)]
    opening = f"[{pulses[0]}, repeat: {{count: {count}, steps: "
    return "protocol: " + opening * depth + f"[{pulses[1]}]" + "}]" * depth


TEMPERATURES = f"scan: {{device.temperature: [{', '.join(map(str, range(1, 1901)))}]}}\n"
#: What each has too much of, and whether it is accepted.
CASES = {
    "brackets": ("protocol: " + "[" * 200_000, False),
    "repeats in repeats": (nested(22, 2), False),
    "repeats in repeats, few": (nested(13, 2), True),
    "aliases": ("a: &a [x, x]\n" + "b: [*a, *a]\n" * 9000 + READ, False),
    "long text": (READ + f"name: {'x' * 240_000}\n", False),
    "long number": (READ + f"device: {{temperature: {'1' * 240_000}}}\n", False),
    "keys": (READ + "".join(f"k{i}: 1\n" for i in range(25_000)), False),
    "keys like others": (
        READ + "device:\n" + "".join(f" temperatur{i}: 1\n" for i in range(12_000)),
        False,
    ),
    "equal keys": (READ + "name: a\n" * 25_000, False),
    "nodes": (steps("map:", 34_000), False),
    "steps": (steps("map:", 14_000), True),
    "wrong steps": (steps("mop:", 19_000), False),
    "wrong values": (steps("read: {voltage: 1 s}", 9000), False),
    "trains": (steps("train: {voltage: 1, duration: 1e-6, count: 60000}", 100), True),
    "stairs": (steps("sweep: {amplitude: 60, step: 4e-3}", 100), False),
    "a field sweep": ("protocol: [field_sweep: {amplitude: 1, step: 140e-6}]\n", True),
    "field sweeps of a scan": (
        "protocol: [field_sweep: {amplitude: 1, step: 140e-6}]\n" + TEMPERATURES,
        True,
    ),
    "stairs of a slow device": (
        "protocol: [sweep: {amplitude: 1, step: 140e-6}]\ndevice: {temperature: 1 mK}\n",
        True,
    ),
    "repetitions": ("protocol: [repeat: {count: 9999999, steps: [read: ]}]\n", True),
    "members": (READ + "ensemble: {members: 100000000}\n", True),
    "sites": (READ + "device: {lattice: {nx: 100000, ny: 3, organic_thickness: 100 nm}}\n", True),
    "cells": (READ + "crossbar: {rows: 1000, columns: 1000, line_resistance: 1}\n", True),
    "points": (READ + TEMPERATURES, True),
    "points of a grid": (
        READ + grid(("device.temperature", "76"), ("device.oxygen.filling", "0.1")) + "}\n",
        True,
    ),
    "wrong points of a grid": (
        READ + grid(("conductance.slab", "20 nm"), ("device.oxygen.filling", "0.1")) + "}\n",
        False,
    ),
    "too many points": (
        READ + grid(("device.temperature", "76"), ("conductance.slab", "1 nm"), 1000) + "}\n",
        False,
    ),
    "points of a long protocol": (
        steps("map:", 10_000) + f"scan: {{protocol.0: [{', '.join(['map: '] * 60)}]}}\n",
        False,
    ),
    "points beside a long protocol": (steps("map:", 10_000) + TEMPERATURES, False),
    "points of many steps": (
        steps("map:", 2000) + f"scan: {{protocol.0: [{', '.join(['map: '] * 85)}]}}\n",
        True,
    ),
    "protocols": (READ + "scan:\n  protocol:\n" + "  - [read: ]\n" * 9000, True),
    "inputs of a product": (
        f"crossbar: {{columns: 50000}}\nprotocol: [vector_matrix: {{inputs: [{'1,' * 50_000}]}}]\n",
        True,
    ),
    "bytes": ("#\n" * 1_000_000 + READ, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_input_is_answered_in_bounded_time(case, tmp_path):
    text, accepted = CASES[case]
    (tmp_path / "in.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "in.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    code, took_s, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    assert code == (0 if accepted else 2), done.stderr[:300]
    assert accepted or all(line.startswith(("in.yaml", "...")) for line in done.stderr.splitlines())
    assert took_s < MOST_S and peak_bytes < MOST_BYTES
