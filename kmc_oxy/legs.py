"""The legs of a run: which readings of an output belong to which train, relaxation or sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.output_file import OutputFile

#: Most values read at once for a table or a figure.
MAX_VALUES = 4_000_000

Kind = Literal["train", "relax", "sweep", "single"]


@dataclass(frozen=True, eq=False)
class Leg:
    """The readings of one step carried out once, at one point of the scan.

    Parameters
    ----------
    point, step, number : int
        `number` counts the steps carried out before.
    kind : str
        ``train``: the pulse number rises from reading to reading; ``sweep``: the voltage changes;
        ``relax``: only time passes; ``single``: one reading.
    readings : slice
        Which readings of the point.
    time_s, pulse, voltage_V : ndarray, shape (n,)
        Time since the reading before this leg (its first, if there is none).
    """

    point: int
    step: int
    number: int
    kind: Kind
    readings: slice
    time_s: NDArray[np.float64]
    pulse: NDArray[np.int64]
    voltage_V: NDArray[np.float64]

    def values(self, file: OutputFile, name: str, row: int = 0, column: int = 0) -> NDArray[Any]:
        """An observable during this leg, shape (members, n).

        Of a very large ensemble only the first members that fit in `MAX_VALUES`.
        """
        members = slice(max(1, MAX_VALUES // self.pulse.size))
        found: NDArray[Any] = file[name][self.point, members, row, column, self.readings]
        return found


def legs(file: OutputFile, point: int) -> Iterator[Leg]:
    """The legs of one point of the scan, in order.

    Parameters
    ----------
    file : OutputFile
    point : int

    Yields
    ------
    Leg
    """
    number = file["leg"][point]
    number = number[number >= 0]
    if not number.size:
        return
    time_s, pulse, step = (file[name][point, : number.size] for name in ("time", "pulse", "step"))
    voltage_V = file["voltage"][point, 0, 0, : number.size]
    edges = np.flatnonzero(np.diff(number)) + 1
    for start, stop in zip([0, *edges], [*edges, number.size], strict=True):
        readings = slice(int(start), int(stop))
        origin = time_s[start - 1] if start else 0.0
        yield Leg(
            point=point,
            step=int(step[start]),
            number=int(number[start]),
            kind=_kind(pulse[readings], voltage_V[readings]),
            readings=readings,
            time_s=time_s[readings] - origin,
            pulse=pulse[readings],
            voltage_V=voltage_V[readings],
        )


def _kind(pulse: NDArray[np.int64], voltage_V: NDArray[np.float64]) -> Kind:
    if pulse.size < 2:
        return "single"
    if np.all(np.diff(pulse) == 1):
        return "train"
    return "sweep" if np.any(np.diff(voltage_V)) else "relax"
