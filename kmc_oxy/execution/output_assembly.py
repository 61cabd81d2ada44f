"""Assembly of the output from the files of finished tasks.

One task is read at a time, so the memory needed does not grow with the number of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from kmc_oxy.execution.tasks import CHECK_FACTOR, Plan
from kmc_oxy.inputs import point_values, written_value
from kmc_oxy.inputs.schema import Input, dimension_of, scanned_keys
from kmc_oxy.process import Interrupted
from kmc_oxy.protocol import (
    Observable,
    Schedule,
    all_observables,
    observables,
    snapshot_readings,
)
from kmc_oxy.simulation import build_lattice
from kmc_oxy.storage import (
    DatasetSpec,
    OutputWriter,
    StoreError,
    WorkFolder,
    create_output,
    string_type,
)
from kmc_oxy.units import HELD_IN

#: Observables that are compared with those of a second run at a larger tolerance.
COMPARED = ("conductance", "magnetoresistance", "oxygen_organic", "profile")

COORDINATES = (
    DatasetSpec("time", ("point", "reading"), "s", "time since the protocol began", missing=np.nan),
    DatasetSpec(
        "leg_time",
        ("point", "reading"),
        "s",
        "time since the leg began, for intervals too short beside `time`",
        missing=np.nan,
    ),
    DatasetSpec(
        "pulse",
        ("point", "reading"),
        "1",
        "pulses of the current train so far, 0 before the first",
        np.int64,
        -1,
    ),
    DatasetSpec("step", ("point", "reading"), "1", "index of the protocol step", np.int64, -1),
    DatasetSpec(
        "leg",
        ("point", "reading"),
        "1",
        "steps carried out before, repetitions counted one by one",
        np.int64,
        -1,
    ),
    DatasetSpec(
        "voltage",
        ("point", "row", "column", "reading"),
        "V",
        "voltage of the last pulse as nominally applied, 0 before the first",
        missing=np.nan,
    ),
    DatasetSpec(
        "layer_z",
        ("point", "layer"),
        "m",
        "height of the layer's centre above LSMO",
        missing=np.nan,
    ),
    DatasetSpec(
        "snapshot_reading",
        ("point", "snapshot"),
        "1",
        "reading at which the oxygens' sites were stored",
        np.int64,
        -1,
    ),
)
WALL_TIME = DatasetSpec(
    "wall_time", ("point", "member"), "s", "wall-clock time spent", missing=np.nan
)


def assemble(
    plan: Plan,
    work: WorkFolder,
    *,
    mpi_size: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write the output of a run whose tasks are all finished, and remove the work folder.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked, of this plan.
    mpi_size : int
        Number of ranks, stored as an attribute.
    stop : callable
        Returns whether to stop; called between tasks.

    Raises
    ------
    Interrupted
        If `stop` returned True; the next session begins the assembly again.
    StoreError
        If a task is missing or damaged, or the output cannot be written. The work folder is kept.
    """
    missing = plan.n_tasks - len(work.finished())
    if missing > 0:
        raise StoreError(f"{missing} of {plan.n_tasks} tasks are not finished in {work.path}")
    shape = _shape(plan, work)
    wanted = all_observables(plan.point(point) for point in range(plan.n_points))
    with create_output(work.output, shape, folder=work.path) as output:
        _write_coordinates(output, plan, shape)
        _write_scanned_values(output, plan)
        for item in wanted:
            output.create_dataset(_dataset_spec(item))
        output.create_dataset(WALL_TIME)
        for task in plan.tasks():
            if task.coarse:
                break
            if stop():
                raise Interrupted
            record = work.load_task(task.index)
            # A quantity that this point does not record keeps its fill value.
            for item in observables(plan.point(task.point)):
                output.write(item.name, (task.point, task.member), _array(record, item, work.path))
            output.write("wall_time", (task.point, task.member), np.asarray(record["wall_time"]))
        if plan.checked_members:
            _write_tolerance_errors(output, plan, work, wanted)
        attributes = {"mpi_size": mpi_size, "name": plan.base.name}
        # The convention of CF, by which xarray.open_dataset tells them from the observables.
        attributes["coordinates"] = " ".join(_coordinate_names(plan, shape))
        output.write_attributes(work.manifest(), attributes)
    work.remove()


def _dataset_spec(item: Observable) -> DatasetSpec:
    return DatasetSpec(
        name=item.name,
        dimensions=("point", "member", *item.dimensions),
        unit=item.unit,
        long_name=item.long_name,
        dtype=item.dtype,
        missing=item.missing,
    )


def _array(record: Mapping[str, Any], item: Observable, folder: Path) -> NDArray[Any]:
    """An observable of a record; a StoreError if it is missing or has other dimensions."""
    array = record.get(item.name)
    if not isinstance(array, np.ndarray) or array.ndim != len(item.dimensions):
        raise StoreError(f"a task file in {folder} has no {item.name}: begin again with --fresh")
    return array


def _shape(plan: Plan, work: WorkFolder) -> dict[str, int]:
    """Length of every dimension: the largest of all points."""
    shape = {"point": plan.n_points, "member": plan.members}
    for point in range(plan.n_points):
        record = work.load_task(plan.task(point, 0).index)
        for item in observables(plan.point(point)):
            array = _array(record, item, work.path)
            for dimension, length in zip(item.dimensions, array.shape, strict=True):
                shape[dimension] = max(shape.get(dimension, 0), length)
        layers = build_lattice(plan.point(point).device).n_layers
        shape["layer"] = max(shape.get("layer", 0), layers)
    return shape


def _write_coordinates(output: OutputWriter, plan: Plan, shape: Mapping[str, int]) -> None:
    """Write the datasets that depend on the schedules alone."""
    specs = _coordinate_specs(shape)
    for spec in specs:
        output.create_dataset(spec)
    for point in range(plan.n_points):
        values = coordinates(plan.point(point), plan.schedule(point))
        for spec in specs:
            output.write(spec.name, (point,), values[spec.name])


def _coordinate_specs(shape: Mapping[str, int]) -> list[DatasetSpec]:
    return [spec for spec in COORDINATES if set(spec.dimensions) <= set(shape)]


def _coordinate_names(plan: Plan, shape: Mapping[str, int]) -> list[str]:
    """The coordinates of the datasets: those of the schedules, and the scanned keys."""
    return [*(spec.name for spec in _coordinate_specs(shape)), *map(scan_name, plan.base.scan)]


def scan_name(key: str) -> str:
    """Name of the dataset of a scanned key."""
    return f"scan:{key}"


def _write_scanned_values(output: OutputWriter, plan: Plan) -> None:
    """Write the value of every scanned key at each point."""
    points = [plan.point(point) for point in range(plan.n_points)]
    for key in scanned_keys(plan.base.scan):
        unit, values = scanned_values(plan.base, points, key)
        spec = DatasetSpec(
            name=scan_name(key),
            dimensions=("point",),
            unit=unit,
            long_name=f"scanned key {key}",
            dtype=np.float64 if values.dtype == np.float64 else string_type(),
            attributes={"scan_key": key},
        )
        output.create_dataset(spec, values)


def scanned_values(base: Input, points: Sequence[Input], key: str) -> tuple[str, NDArray[Any]]:
    """Values of a scanned key at every point, and their unit.

    Parameters
    ----------
    base : Input
        Before its scan is expanded.
    points : sequence of Input
        The input of each point.
    key : str

    Returns
    -------
    unit : str
        "1" for a pure number, or if it differs.
    values : ndarray, shape (points,)
        Of float64 if all are numbers, else of text as written in the input.
    """
    found = [resolved_value(inputs, key) for inputs in points]
    units = {unit for _, unit in found}
    unit = units.pop() if len(units) == 1 else "1"
    if all(isinstance(value, (bool, int, float)) for value, _ in found):
        return unit, np.array([value for value, _ in found], dtype=np.float64)
    written = (point_values(base, point)[key] for point in range(len(points)))
    return unit, np.array([written_value(value) for value in written], dtype=object)


def coordinates(inputs: Input, schedule: Schedule) -> dict[str, NDArray[Any]]:
    """The values of `COORDINATES` at one point of the scan.

    Parameters
    ----------
    inputs : Input
    schedule : Schedule

    Returns
    -------
    dict of str to ndarray
        By name, without the dimension of points.
    """
    readings = len(schedule.readings)
    return {
        "time": schedule.per_reading("time_s"),
        "leg_time": schedule.per_reading("leg_time_s"),
        "pulse": schedule.per_reading("pulse"),
        "step": schedule.per_reading("step"),
        "leg": schedule.per_reading("leg"),
        "voltage": schedule.nominal_voltages_V(inputs.crossbar),
        "layer_z": build_lattice(inputs.device).layer_z_m,
        "snapshot_reading": np.array(snapshot_readings(inputs, readings), dtype=np.int64),
    }


def resolved_value(inputs: BaseModel, key: str) -> tuple[Any, str]:
    """Return the value of a dotted key of a checked input, and its unit.

    Parameters
    ----------
    inputs : Input
        Or another model with its sections.
    key : str

    Returns
    -------
    value : object
        In the unit that the code uses.
    unit : str
        "1" for a pure number.
    """
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


def _write_tolerance_errors(
    output: OutputWriter, plan: Plan, work: WorkFolder, wanted: Sequence[Observable]
) -> None:
    """Write how the checked members differ at the larger tolerance: mean and deviation.

    Both runs of a member have the same disorder, so that its difference is that of the cap and of
    the chance of the two runs.
    """
    compared = [item for item in wanted if item.name in COMPARED]
    what = {
        "": "mean over the members checked; contains their chance as well",
        "_deviation": "standard deviation over the members checked",
    }
    for item in compared:
        for ending, text in what.items():
            output.create_dataset(
                DatasetSpec(
                    name=f"tolerance_error_{item.name}{ending}",
                    dimensions=("point", *item.dimensions),
                    unit=item.unit,
                    long_name=(
                        f"{item.long_name}: at {CHECK_FACTOR:g} times the tolerance minus at the "
                        f"tolerance, {text}"
                    ),
                    missing=np.nan,
                    attributes={"members": plan.checked_members, "factor": CHECK_FACTOR},
                )
            )
    for point in range(plan.n_points):
        for item in compared:
            found = _differences(plan, work, point, item)
            for ending, values in zip(what, found, strict=True):
                output.write(f"tolerance_error_{item.name}{ending}", (point,), values)


def _differences(
    plan: Plan, work: WorkFolder, point: int, item: Observable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over the checked members of the difference; one at a time."""
    differences: Iterator[NDArray[Any]] = (
        np.subtract(
            _array(work.load_task(plan.task(point, m, coarse=True).index), item, work.path),
            _array(work.load_task(plan.task(point, m).index), item, work.path),
            dtype=np.float64,
        )
        for m in range(plan.checked_members)
    )
    # Welford's sums: those of squares would lose small deviations to rounding.
    mean, squares = np.zeros(()), np.zeros(())
    for count, difference in enumerate(differences, start=1):
        step = difference - mean
        mean = mean + step / count
        squares = squares + step * (difference - mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean, np.sqrt(squares / (plan.checked_members - 1 or np.nan))
