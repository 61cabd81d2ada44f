"""Snapshots of a run: sites of the oxygens of one device at some readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import Lattice
from kmc_oxy.simulation import build_lattice
from kmc_oxy.storage import OutputFile, StoreError

#: Advice if a run has no snapshots.
HOW_TO_KEEP = "run it with output.snapshots=all"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Sites of the oxygens at one reading.

    Parameters
    ----------
    reading : int
    sites : ndarray of int
    """

    reading: int
    sites: NDArray[np.int64]


def lattice_of(file: OutputFile, point: int) -> Lattice:
    """The lattice of a point of the scan."""
    return build_lattice(at_point(Input.model_validate(file.resolved), point).device)


def snapshots(
    file: OutputFile, device: tuple[int, int, int, int], ends_only: bool = False
) -> list[Snapshot]:
    """Snapshots of one device, in order.

    Parameters
    ----------
    file : OutputFile
    device : (int, int, int, int)
        Point, member, row and column.
    ends_only : bool
        Only the first and the last.

    Raises
    ------
    StoreError
        If the run stored none.
    """
    if "oxygen_site" not in file:
        raise StoreError(f"the run stored no snapshots of the oxygens: {HOW_TO_KEEP}")
    stored = [int(reading) for reading in file["snapshot_reading"][device[0]] if reading >= 0]
    chosen = sorted({0, len(stored) - 1}) if ends_only else range(len(stored))
    found = []
    for number in chosen:
        sites = file["oxygen_site"][(*device, number)]
        found.append(Snapshot(stored[number], sites[sites >= 0].astype(np.int64)))
    return found
