"""What the command line prints: the result of a run, the content of an output, the cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kmc_oxy.analysis import EnsembleMean, compare, ensemble_mean, fit, verdict
from kmc_oxy.crosstalk import PUBLISHED, crosstalk
from kmc_oxy.ensemble import Plan
from kmc_oxy.estimate import Cost
from kmc_oxy.legs import Leg, legs
from kmc_oxy.output_file import OutputFile, open_output
from kmc_oxy.progress import count_text, duration_text
from kmc_oxy.safe_files import StoreError
from kmc_oxy.store import progress_of

#: Rows of a table, and points of a scan that are looked at for it.
ROWS = 20
#: A train shorter than this says nothing about laws.
SHORTEST_FITTED = 8


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first row underlined."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def run_table(output: Path) -> str:
    """Conductance of each leg of a finished run, the mean over members.

    Raises
    ------
    StoreError
        If there is no finished run.
    """
    with open_output(output) as file:
        shape = file.shape()
        scan = file.scan()
        rows: list[list[str]] = []
        notes: list[str] = []
        total = hops = 0
        for point in range(shape["point"]):
            found = list(legs(file, point))
            hops += int(file["hops"][point, :, :, :, found[-1].readings.stop - 1].sum())
            total += len(found)
            for leg in found:
                if len(rows) < ROWS:
                    rows.append(_leg_row(file, leg, scan))
                    notes += leg_notes(file, leg)
            if point < ROWS:
                notes += crosstalk_notes(file, found, point)
        several = (
            f", mean over {shape['member']} members (+- is its 95 % confidence interval)"
            if shape["member"] > 1
            else ""
        )
        cells = shape["row"] * shape["column"]
        if cells > 1:
            several += f", cell (0, 0) of {cells} or the one programmed"
        text = format_table(
            ["leg", *scan, "step", "pulses", "V", "first", "last", "max/min - 1"], rows
        )
        more = f"\n... and {total - len(rows)} more legs" if total > len(rows) else ""
        footer = f"{count_text(hops)}hops in all."
        return "\n".join([f"Conductance{several}:", text + more, *notes, footer])


def _leg_row(file: OutputFile, leg: Leg, scan: dict) -> list[str]:
    values = leg.values(file, "conductance", *(leg.cell or (0, 0)))
    ranges = ensemble_mean(values.max(axis=1) / values.min(axis=1) - 1)
    spread = ""
    if ranges.members > 1:
        spread = f" +- {ranges.high - ranges.mean:.2g}"
    mean = values.mean(axis=0)
    return [
        str(leg.number),
        *(_shown(scan[key][leg.point]) for key in scan),
        step_name(leg),
        str(leg.pulse[-1]),
        voltage_text(leg),
        f"{mean[0]:.4g} S",
        f"{mean[-1]:.4g} S",
        f"{ranges.mean:.3g}{spread}" if leg.kind != "single" else "",
    ]


def step_name(leg: Leg) -> str:
    """Number and kind of a leg's step, and the cell that it programs."""
    if leg.kind == "single":
        return str(leg.step)
    return f"{leg.step} {leg.kind}" + (f" ({leg.cell[0]}, {leg.cell[1]})" if leg.cell else "")


def voltage_text(leg: Leg) -> str:
    """Voltage (V) of a leg's last pulse, or the ends of its sweep."""
    voltages = leg.voltage_V
    if leg.kind == "sweep":
        return f"{voltages.min():+g}..{voltages.max():+g}"
    return f"{voltages[-1]:+g}"


def leg_notes(file: OutputFile, leg: Leg) -> list[str]:
    """What the numbers of a leg say: the law of a train, the end of a write-verify."""
    return _law_notes(file, leg) + _target_notes(file, leg)


def _target_notes(file: OutputFile, leg: Leg) -> list[str]:
    """How a write-verify ended."""
    if leg.target_S is None:
        return []
    last = leg.readings.stop - 1
    reached = file["target_reached"][leg.point, :, last] == 1
    pulses = file["pulses_applied"][leg.point, :, last]
    text = f"leg {leg.number}: target {leg.target_S:.4g} S reached by {reached.sum()} of "
    text += f"{reached.size} members"
    if reached.any():
        text += f", with {pulses[reached].mean():.3g} pulses on average"
    if not reached.all():
        text += f"; not reached with the {leg.pulse[-1]} pulses allowed by {(~reached).sum()}"
    return [text]


def crosstalk_notes(file: OutputFile, found: Sequence[Leg], point: int) -> list[str]:
    """Disturb of the half-selected cells over all program steps of a point."""
    programs = [leg for leg in found if leg.kind == "program"]
    if not programs:
        return []
    result = crosstalk(file, programs)
    if result.half_selected is None:
        return []
    several = f"point {point}: " if file.shape()["point"] > 1 else ""
    text = f"{several}half-selected cells changed by {_percent(result.half_selected)} on average "
    text += f"over {len(programs)} program step{'s' if len(programs) > 1 else ''}"
    if result.others is not None:
        text += f", cells on other lines by {_percent(result.others)}"
    return [f"{text} (paper: {100 * PUBLISHED:g} %)"]


def _percent(mean: EnsembleMean) -> str:
    interval = f" +- {100 * (mean.high - mean.mean):.2g}" if mean.members > 1 else ""
    return f"{100 * mean.mean:.3g}{interval} %"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _law_notes(file: OutputFile, leg: Leg) -> list[str]:
    """The logarithm against the exponential in a train: for the mean and member by member."""
    chosen = leg.pulse >= 1
    if leg.kind != "train" or np.count_nonzero(chosen) < SHORTEST_FITTED:
        return []
    number = leg.pulse[chosen]
    values = leg.values(file, "conductance")[:, chosen]
    if not np.ptp(values) > 0:
        return []
    mean = values.mean(axis=0)
    fits = compare(number, mean)
    log = fits["log"]
    better = sum(
        fit(number, one, "log").aicc < fit(number, one, "exponential").aicc for one in values
    )
    members = f" ({better} of {len(values)} members prefer log)" if len(values) > 1 else ""
    best = next(iter(fits.values()))
    return [
        f"leg {leg.number}: G = {log.parameters['a']:.4g} S "
        f"{log.parameters['b']:+.4g} S ln N; {verdict(log, fits['exponential'])}{members}; "
        f"lowest AICc: {best.law}"
        + (" (a parameter is at the edge of its range)" if best.at_bound else "")
    ]


def cost_table(plan: Plan, cost: Cost) -> str:
    """A resolved run in a few lines."""
    identity = plan.identity
    seed = "drawn at the start" if identity.seed is None else str(identity.seed)
    settings = plan.base.engine
    engine = (
        "exact"
        if settings.algorithm == "exact"
        else f"capped, tolerance {settings.tolerance:.3g}"
        + (f", checked on {plan.checked_members} members" if plan.checked_members else "")
    )
    lines = {
        "input": plan.loaded.source + (f" ({plan.base.name})" if plan.base.name else ""),
        "tasks": f"{cost.tasks} = {cost.points} points x {plan.members} members"
        + (f" + {cost.points * plan.checked_members} checks" if plan.checked_members else ""),
        "cells": f"{cost.cells} per member",
        "sites": f"{cost.sites} per cell",
        "oxygens": f"{cost.oxygens} per cell",
        "readings": f"{cost.readings} per member",
        "physical time": f"{duration_text(cost.duration_s)} per member",
        "engine": engine,
        "expected hops": f"about {count_text(cost.hops)} (within a factor of "
        f"{30 if settings.algorithm == 'exact' else 4})",
        "memory": f"about {count_text(cost.memory_bytes)}B per process",
        "seed": seed,
    }
    return _aligned(lines)


def _aligned(lines: dict[str, str]) -> str:
    width = max(len(key) for key in lines)
    return "\n".join(f"{key.ljust(width)}  {value}" for key, value in lines.items())


def info_table(output: Path) -> str:
    """What is in an output, finished or not.

    Raises
    ------
    StoreError
        If there is neither an output nor a run in progress.
    """
    unfinished = progress_of(output)
    texts = []
    if unfinished is not None:
        manifest, done = unfinished
        texts.append(
            _aligned(
                {
                    "run in progress": f"{done} of {manifest.tasks} tasks finished",
                    "complete": "no",
                    "begun": manifest.created,
                    "seed": str(manifest.seed),
                    "kmc_oxy": manifest.kmc_oxy_version,
                    "kernel source": manifest.kernel_source,
                }
            )
        )
    if output.exists():
        with open_output(output) as file:
            texts.append(_finished(output, file))
    if not texts:
        raise StoreError(f"{output} does not exist, and no run towards it was begun")
    return "\n\n".join(texts)


def _finished(output: Path, file: OutputFile) -> str:
    attributes = file.attributes
    shape = file.shape()
    versions = json.loads(attributes["versions"])
    lines = {
        "file": str(output),
        "name": str(attributes.get("name", "")),
        "complete": "yes" if attributes["complete"] else "no",
        "created": str(attributes["created"]),
        "seed": str(attributes["seed"]),
        "ranks": str(attributes["mpi_size"]),
        "kmc_oxy": f"{attributes['kmc_oxy_version']} (schema {attributes['schema_version']})",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "dimensions": ", ".join(f"{name} {length}" for name, length in shape.items()),
    }
    overrides = json.loads(attributes["overrides"])
    if overrides:
        lines["settings"] = ", ".join(overrides)
    for key, values in file.scan().items():
        listed = ", ".join(_shown(value) for value in values[:8])
        lines[f"scan {key}"] = listed + (", ..." if len(values) > 8 else "")
    rows = [
        [name, " x ".join(file.dimensions_of(name)), item.attrs["units"], item.attrs["long_name"]]
        for name, item in file.file.items()
        if not item.is_scale
    ]
    table = format_table(["dataset", "dimensions", "unit", ""], rows)
    return f"{_aligned(lines)}\n\n{table}"
