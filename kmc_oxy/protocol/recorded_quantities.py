"""The quantities that a simulation records: names, dimensions and units of their datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kmc_oxy.inputs.schema import Input, all_steps

#: In `Observable.needs`, beside the kinds of steps: an array of more than one cell.
ARRAY = "array"


@dataclass(frozen=True)
class Observable:
    """A recorded quantity.

    Parameters
    ----------
    name : str
        Name of the dataset.
    dimensions : tuple of str
        Dimensions besides point and member.
    unit : str
        Unit in the dataset's attribute; "1" for a pure number.
    long_name : str
    dtype : type
    needs : frozenset of str
        The quantity is recorded if the run has a step of one of these kinds, or an `ARRAY`;
        if empty, always.
    """

    name: str
    dimensions: tuple[str, ...]
    unit: str
    long_name: str
    dtype: type = np.float64
    needs: frozenset[str] = frozenset()

    @property
    def missing(self) -> float | int:
        """The value where there is no reading: NaN, or -1 for integers."""
        return np.nan if self.dtype is np.float64 else -1


#: Steps whose readings have a current.
STEPS_WITH_CURRENT = frozenset({"sweep", "waveform"})

CELL_READING = ("row", "column", "reading")
ROW_READING = ("row", "reading")

OBSERVABLES = (
    Observable("conductance", CELL_READING, "S", "low-bias conductance, parallel magnetisations"),
    Observable("magnetoresistance", CELL_READING, "1", "(G_P - G_AP)/G_AP, signed"),
    Observable("oxygen_organic", CELL_READING, "1", "number of oxygens in Gaq3", np.int64),
    Observable("profile", (*CELL_READING, "layer"), "1", "occupied fraction of the layer"),
    Observable("hops", CELL_READING, "1", "hops since the protocol began", np.int64),
    Observable(
        "oxygen_site",
        ("row", "column", "snapshot", "oxygen"),
        "1",
        "sites of the oxygens, site = (layer*ny + y)*nx + x",
        np.int32,
    ),
    Observable(
        "cell_voltage",
        CELL_READING,
        "V",
        "voltage across the cell at the end of the last pulse, as the circuit gave it",
        needs=frozenset({ARRAY, "program"}),
    ),
    Observable(
        "pulses_applied",
        ("reading",),
        "1",
        "pulses of the program step so far; unlike `pulse`, a slot left empty is not counted",
        np.int64,
        needs=frozenset({"program"}),
    ),
    Observable(
        "target_reached",
        ("reading",),
        "1",
        "1 once a write-verify has reached its target, 0 before; -1 without a target",
        np.int64,
        needs=frozenset({"program"}),
    ),
    Observable(
        "sweep_current",
        CELL_READING,
        "A",
        "of a sweep or wave form: current at the cell's voltage, G V0 sinh(V/V0) or ohmic",
        needs=STEPS_WITH_CURRENT,
    ),
    Observable(
        "apparent_conductance",
        CELL_READING,
        "S",
        "of a map: current of the neuron over the reading voltage, lines and V0 included",
        needs=frozenset({"map"}),
    ),
    Observable(
        "field", ("reading",), "T", "magnetic field applied", needs=frozenset({"field_sweep"})
    ),
    Observable(
        "field_conductance",
        CELL_READING,
        "S",
        "low-bias conductance in the magnetic field applied",
        needs=frozenset({"field_sweep"}),
    ),
    Observable(
        "output_current",
        ROW_READING,
        "A",
        "of a vector-matrix product: current out of the neuron",
        needs=frozenset({"vector_matrix"}),
    ),
    Observable(
        "ideal_current",
        ROW_READING,
        "A",
        "of a vector-matrix product: conductances times inputs",
        needs=frozenset({"vector_matrix"}),
    ),
    Observable(
        "product_error",
        ("reading",),
        "1",
        "of a vector-matrix product: norm of (output - ideal) over norm of ideal",
        needs=frozenset({"vector_matrix"}),
    ),
)


def observables(inputs: Input) -> tuple[Observable, ...]:
    """Select the quantities that a run records.

    Parameters
    ----------
    inputs : Input

    Returns
    -------
    tuple of Observable
        Those entries of `OBSERVABLES`, in their order.
    """
    unwanted = set()
    if not inputs.output.profile:
        unwanted.add("profile")
    if inputs.output.snapshots == "none":
        unwanted.add("oxygen_site")
    found = {step.kind for _, step in all_steps(inputs.protocol)}
    if inputs.crossbar.rows * inputs.crossbar.columns > 1:
        found.add(ARRAY)
    return tuple(
        item
        for item in OBSERVABLES
        if item.name not in unwanted and (not item.needs or item.needs & found)
    )


def all_observables(points: Iterable[Input]) -> tuple[Observable, ...]:
    """Select the quantities that a run records at any point of its scan.

    Parameters
    ----------
    points : iterable of Input
        The inputs of all points.

    Returns
    -------
    tuple of Observable
        Those entries of `OBSERVABLES`, in their order.
    """
    found = {item for point in points for item in observables(point)}
    return tuple(item for item in OBSERVABLES if item in found)


def snapshot_readings(inputs: Input, readings: int) -> list[int]:
    """Readings at which the positions of all oxygens are stored.

    Parameters
    ----------
    inputs : Input
    readings : int
        Number of readings of the protocol.

    Returns
    -------
    list of int
        Their indices.
    """
    if inputs.output.snapshots == "none":
        return []
    if inputs.output.snapshots == "ends":
        return sorted({0, readings - 1})
    return list(range(readings))
