"""Tables of the command line: result of a run, content of an output, cost of an input."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kmc_oxy.analysis import (
    ConductanceAverages,
    Leg,
    conductance_averages,
    crosstalk_notes,
    general_notes,
    interval_text,
    leg_notes,
    legs,
    mean_over_members,
    shortened,
    step_name,
    tolerance_notes,
    voltage_text,
)
from kmc_oxy.execution import Cost, Plan
from kmc_oxy.process import available_memory_bytes
from kmc_oxy.storage import OutputFile, StoreError, open_output, progress_of
from kmc_oxy.units import count_text, duration_text

#: Largest number of rows of a table, and of scan points that it covers.
ROWS = 20


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns, with a line under the head."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def run_table(output: Path) -> str:
    """Conductance of each leg of a finished run, as the mean over members.

    A leg is one execution of one protocol step.

    Raises
    ------
    StoreError
        If there is no finished run.
    """
    with open_output(output) as file:
        shape = file.shape()
        scan = file.scan()
        averages = conductance_averages(file)
        rows: list[list[str]] = []
        notes = general_notes(averages)
        total = hops = 0
        for point in range(shape["point"]):
            found = list(legs(file, point))
            hops += int(file["hops"][point, :, :, :, found[-1].readings.stop - 1].sum())
            total += len(found)
            for leg in found:
                if len(rows) < ROWS:
                    rows.append(_leg_row(file, leg, scan, averages))
                    notes += leg_notes(file, leg, averages)
            if point < ROWS:
                notes += crosstalk_notes(file, found, point)
                notes += tolerance_notes(file, point)
        several, head = "", ["leg", *scan, "step", "pulses", "V", "first", "last"]
        if any(row[-2] for row in rows):
            head.append("max/min - 1")
        if shape["member"] > 1:
            several = f", {averages.name} over {shape['member']} members"
        cells = shape["row"] * shape["column"]
        if cells > 1:
            several += f", cell [0, 0] of {cells} or the one programmed"
        if any(row[-1] for row in rows):
            head.append("its 95 % interval")
        text = format_table(head, [row[: len(head)] for row in rows])
        more = f"\n... and {total - len(rows)} more legs" if total > len(rows) else ""
        footer = f"{count_text(hops)}hops in all."
        return "\n".join([f"Conductance{several}:", text + more, *notes, footer])


def _leg_row(
    file: OutputFile, leg: Leg, scan: dict[str, NDArray[Any]], averages: ConductanceAverages
) -> list[str]:
    values = leg.values(file, "conductance", *(leg.cell or (0, 0)))
    mean = averages.mean(values).mean
    span = interval = ""
    if leg.kind != "single":
        found = mean_over_members(values.max(axis=1) / values.min(axis=1) - 1)
        span = f"{found.mean:.3g}"
        if found.members > 1:
            interval = interval_text(found, "{:.3g}".format)
        if found.geometric:
            interval += " (geometric mean)"
    return [
        str(leg.number),
        *(shortened(_shown(scan[key][leg.point], file, key)) for key in scan),
        step_name(leg),
        str(leg.pulse[-1]),
        voltage_text(leg),
        f"{mean[0]:.4g} S",
        f"{mean[-1]:.4g} S",
        span,
        interval,
    ]


def _shown(value: object, file: OutputFile, key: str) -> str:
    """A scanned value with its unit."""
    if not isinstance(value, float):
        return str(value)
    unit = str(file[f"scan:{key}"].attrs["units"])
    return f"{value:g}" + (f" {unit}" if unit != "1" else "")


def cost_table(plan: Plan, cost: Cost) -> str:
    """Size and cost of a run, a line a quantity."""
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
        "sites": f"{_range_text(cost.sites)} per cell",
        "oxygens": f"{_range_text(cost.oxygens)} per cell",
        "readings": f"{_range_text(cost.readings)} per member",
        "physical time": f"{_range_text(cost.duration_s, duration_text)} per member",
        "engine": engine,
        "expected hops": f"about {count_text(cost.hops)} (within a factor of "
        f"{30 if settings.algorithm == 'exact' else 4})",
        "memory": memory_text(cost.memory_bytes),
        "output": f"at most about {count_text(cost.output_bytes)}B",
        "seed": seed,
    }
    return aligned(lines)


def memory_text(needed_bytes: float) -> str:
    """Memory of a process, and whether it is more than is available.

    Parameters
    ----------
    needed_bytes : float
    """
    text, available = f"about {count_text(needed_bytes)}B per process", available_memory_bytes()
    if needed_bytes <= available:
        return text
    return f"{text}, more than the {count_text(available)}B that are available here"


def _range_text(values: tuple[float, float], shown: Callable[[float], str] = str) -> str:
    """One value, or the smallest and largest over the scan."""
    low, high = values
    return shown(low) if low == high else f"{shown(low)} to {shown(high)}"


def aligned(lines: dict[str, str]) -> str:
    """Names and values, a line each."""
    width = max(len(key) for key in lines)
    return "\n".join(f"{key.ljust(width)}  {value}" for key, value in lines.items())


def info_table(output: Path) -> str:
    """Content of an output, finished or not.

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
            aligned(
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
        listed = ", ".join(_shown(value, file, key) for value in values[:8])
        lines[f"scan {key}"] = listed + (", ..." if len(values) > 8 else "")
    rows = [
        [name, " x ".join(file.dimensions_of(name)), item.attrs["units"], item.attrs["long_name"]]
        for name, item in file.file.items()
        if not item.is_scale
    ]
    table = format_table(["dataset", "dimensions", "unit", ""], rows)
    return f"{aligned(lines)}\n\n{table}"
