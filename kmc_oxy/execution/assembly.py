"""Finished tasks -> the final file, one task at a time.

Memory stays bounded by one task, however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from kmc_oxy.execution.tasks import CHECK_FACTOR, Plan
from kmc_oxy.inputs.schema import Input, dimension_of
from kmc_oxy.process import Interrupted
from kmc_oxy.protocol import Observable, Schedule, observables, snapshot_readings
from kmc_oxy.simulation import build_lattice
from kmc_oxy.storage import Dataset, FinalFile, StoreError, WorkFolder, final_file, string_type
from kmc_oxy.units import HELD_IN

#: Observables that a second run at a coarser tolerance can be compared in.
COMPARED = ("conductance", "magnetoresistance", "oxygen_organic", "profile")

COORDINATES = (
    Dataset("time", ("point", "reading"), "s", "time since the protocol began", missing=np.nan),
    Dataset(
        "pulse",
        ("point", "reading"),
        "1",
        "pulses of the current train so far, 0 before the first",
        np.int64,
        -1,
    ),
    Dataset("step", ("point", "reading"), "1", "index of the protocol step", np.int64, -1),
    Dataset(
        "leg",
        ("point", "reading"),
        "1",
        "steps carried out before, repetitions counted one by one",
        np.int64,
        -1,
    ),
    Dataset(
        "voltage",
        ("point", "row", "column", "reading"),
        "V",
        "voltage of the last pulse as nominally applied, 0 before the first",
        missing=np.nan,
    ),
    Dataset("layer_z", ("point", "layer"), "m", "height of the layer's centre above LSMO"),
    Dataset(
        "snapshot_reading",
        ("point", "snapshot"),
        "1",
        "reading at which the oxygens' sites were stored",
        np.int64,
        -1,
    ),
)
WALL_TIME = Dataset(
    "wall_time", ("point", "member"), "s", "wall-clock time spent", missing=np.nan
)


def assemble(
    plan: Plan,
    work: WorkFolder,
    *,
    mpi_size: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write the final file of a run whose tasks are all finished, and remove the work folder.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked.
    mpi_size : int
        Number of ranks, for the record.
    stop : callable
        Whether to stop; asked between tasks.

    Raises
    ------
    Interrupted
        If `stop` says so; the next session assembles from the beginning.
    StoreError
        If a task is missing or damaged, or the file cannot be written. No result is lost.
    """
    missing = plan.n_tasks - len(work.finished())
    if missing > 0:
        raise StoreError(f"{missing} of {plan.n_tasks} tasks are not finished in {work.path}")
    shape = _shape(plan, work)
    wanted = observables(plan.base)
    with final_file(work.output, shape) as file:
        _write_coordinates(file, plan, shape)
        for item in wanted:
            file.create(_dataset(item))
        file.create(WALL_TIME)
        for task in plan.tasks():
            if task.coarse:
                break
            if stop():
                raise Interrupted
            record = work.load_task(task.index)
            for item in wanted:
                file.put(item.name, (task.point, task.member), _array(record, item, work.path))
            file.put("wall_time", (task.point, task.member), np.asarray(record["wall_time"]))
        if plan.checked_members:
            _write_tolerance_errors(file, plan, work)
        file.describe(work.manifest(), {"mpi_size": mpi_size, "name": plan.base.name})
    work.remove()


def _dataset(item: Observable) -> Dataset:
    return Dataset(
        name=item.name,
        dimensions=("point", "member", *item.dimensions),
        unit=item.unit,
        long_name=item.long_name,
        dtype=item.dtype,
        missing=item.missing,
    )


def _array(record: Mapping[str, Any], item: Observable, where: Any) -> NDArray[Any]:
    """An observable of a record, checked to be what it should be."""
    array = record.get(item.name)
    if not isinstance(array, np.ndarray) or array.ndim != len(item.dimensions):
        raise StoreError(f"a task file in {where} has no {item.name}: begin again with --fresh")
    return array


def _shape(plan: Plan, work: WorkFolder) -> dict[str, int]:
    """Length of every dimension: the largest of any point."""
    shape = {"point": plan.n_points, "member": plan.members}
    wanted = observables(plan.base)
    for point in range(plan.n_points):
        record = work.load_task(plan.task(point, 0).index)
        for item in wanted:
            array = _array(record, item, work.path)
            for dimension, length in zip(item.dimensions, array.shape, strict=True):
                shape[dimension] = max(shape.get(dimension, 0), length)
        layers = build_lattice(plan.point(point).device).n_layers
        shape["layer"] = max(shape.get("layer", 0), layers)
    return shape


def _write_coordinates(file: FinalFile, plan: Plan, shape: Mapping[str, int]) -> None:
    """What is known of every reading before anything runs, and the scanned values."""
    items = [item for item in COORDINATES if set(item.dimensions) <= set(shape)]
    for item in items:
        file.create(item)
    for point in range(plan.n_points):
        values = _coordinates(plan.point(point), plan.schedule(point), shape)
        for item in items:
            file.put(item.name, (point,), values[item.name])
    for key in plan.base.scan:
        found = [resolved_value(plan.point(point), key) for point in range(plan.n_points)]
        units = {unit for _, unit in found}
        numeric = all(isinstance(value, (bool, int, float)) for value, _ in found)
        item = Dataset(
            name=f"scan:{key}",
            dimensions=("point",),
            unit=units.pop() if len(units) == 1 else "1",
            long_name=f"scanned key {key}",
            dtype=np.float64 if numeric else string_type(),
            attributes={"scan_key": key},
        )
        column = [value if numeric else _as_text(value) for value, _ in found]
        file.create(item, np.array(column, dtype=np.float64 if numeric else object))


def _coordinates(
    inputs: Input, schedule: Schedule, shape: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    readings = len(schedule.readings)
    return {
        "time": schedule.per_reading("time_s"),
        "pulse": schedule.per_reading("pulse"),
        "step": schedule.per_reading("step"),
        "leg": schedule.per_reading("leg"),
        "voltage": schedule.nominal_voltages_V(inputs.crossbar),
        "layer_z": build_lattice(inputs.device).layer_z_m,
        "snapshot_reading": np.array(snapshot_readings(inputs, readings), dtype=np.int64),
    }


def resolved_value(inputs: Input, key: str) -> tuple[Any, str]:
    """Value of a dotted key in checked inputs, in the unit the code holds, and that unit."""
    node: Any = inputs
    unit = "1"
    for part in key.split("."):
        if isinstance(node, BaseModel):
            dimension = dimension_of(type(node).model_fields[part])
            unit = (HELD_IN[dimension] or "1") if dimension else "1"
            node = getattr(node, part)
        elif isinstance(node, Mapping):
            node = node[part]
        else:
            node = node[int(part)]
    return node, unit


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, default=str)


def _write_tolerance_errors(file: FinalFile, plan: Plan, work: WorkFolder) -> None:
    """Mean over the checked members of (value at the coarser tolerance - value)."""
    compared = [item for item in observables(plan.base) if item.name in COMPARED]
    for item in compared:
        file.create(
            Dataset(
                name=f"tolerance_error_{item.name}",
                dimensions=("point", *item.dimensions),
                unit=item.unit,
                long_name=(
                    f"{item.long_name}: at {CHECK_FACTOR:g} times the tolerance minus at the "
                    "tolerance, mean over the members checked; contains their chance as well"
                ),
                missing=np.nan,
                attributes={"members": plan.checked_members, "factor": CHECK_FACTOR},
            )
        )
    for point in range(plan.n_points):
        for item in compared:
            difference = _mean_difference(plan, work, point, item)
            file.put(f"tolerance_error_{item.name}", (point,), difference)


def _mean_difference(
    plan: Plan, work: WorkFolder, point: int, item: Observable
) -> NDArray[np.float64]:
    differences: Iterator[NDArray[Any]] = (
        np.subtract(
            _array(work.load_task(plan.task(point, m, coarse=True).index), item, work.path),
            _array(work.load_task(plan.task(point, m).index), item, work.path),
            dtype=np.float64,
        )
        for m in range(plan.checked_members)
    )
    total = sum(differences, start=np.zeros(()))
    return total / plan.checked_members
