"""The results of a run held in memory, with the datasets that its output would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.output_assembly import COORDINATES, coordinates, scanned_values
from kmc_oxy.inputs.schema import Input, scanned_keys
from kmc_oxy.protocol import Schedule, all_observables, observables


class MemoryOutput:
    """Datasets of several points and members, as `storage.OutputFile` has them.

    Parameters
    ----------
    base : Input
        The input before its scan is expanded.
    points : sequence of (Input, Schedule)
        Of each point of the scan.
    records : sequence of sequence of mapping
        For each point, the records of its members, as `simulation.Simulation.record`.
    """

    def __init__(
        self,
        base: Input,
        points: Sequence[tuple[Input, Schedule]],
        records: Sequence[Sequence[Mapping[str, Any]]],
    ) -> None:
        self.resolved: Mapping[str, Any] = base.model_dump(mode="json")
        self._shape = {"point": len(points), "member": len(records[0])}
        self._datasets: dict[str, NDArray[Any]] = {}
        for item in all_observables(inputs for inputs, _ in points):
            arrays = [
                np.stack([np.asarray(record[item.name]) for record in members])
                for (inputs, _), members in zip(points, records, strict=True)
                if item in observables(inputs)
            ]
            present = [item in observables(inputs) for inputs, _ in points]
            self._datasets[item.name] = _joined(arrays, present, item.missing)
        self._scan = {
            key: scanned_values(base, [inputs for inputs, _ in points], key)[1]
            for key in scanned_keys(base.scan)
        }
        of_points = [coordinates(inputs, schedule) for inputs, schedule in points]
        for spec in COORDINATES:
            arrays = [values[spec.name] for values in of_points]
            self._datasets[spec.name] = _joined(arrays, [True] * len(points), spec.missing)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._datasets[name]

    def __contains__(self, name: str) -> bool:
        return name in self._datasets

    def shape(self) -> dict[str, int]:
        """Numbers of points and members."""
        return dict(self._shape)

    def scan(self) -> dict[str, NDArray[Any]]:
        """Value of each scanned key at every point."""
        return dict(self._scan)


def _joined(arrays: list[NDArray[Any]], present: list[bool], missing: Any) -> NDArray[Any]:
    """Arrays of all points as one; shorter ones are filled up, absent ones missing."""
    shape = tuple(max(lengths) for lengths in zip(*(a.shape for a in arrays), strict=True))
    joined = np.full((len(present), *shape), missing, dtype=arrays[0].dtype)
    found = iter(arrays)
    for point, is_present in enumerate(present):
        if is_present:
            array = next(found)
            filled: Any = (point, *(slice(length) for length in array.shape))
            joined[filled] = array
    return joined
