"""A panel of a figure, and the data of a run that panels are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from kmc_oxy.analysis import Leg
from kmc_oxy.inputs.schema import Input
from kmc_oxy.storage import OutputFile


@dataclass(frozen=True, eq=False)
class RunData:
    """An open output, and what every panel needs of it.

    Parameters
    ----------
    file : OutputFile
    inputs : Input
        The base input of the run.
    legs : tuple of Leg
        All legs of all points in order. A leg is one execution of one protocol step.
    """

    file: OutputFile
    inputs: Input
    legs: tuple[Leg, ...]

    def of_kind(self, kind: str) -> list[Leg]:
        """Legs of one kind, of all points."""
        return [leg for leg in self.legs if leg.kind == kind]

    @property
    def first_point(self) -> list[Leg]:
        """Legs of the first point of the scan that has any."""
        return [leg for leg in self.legs if leg.point == self.legs[0].point]

    @property
    def members(self) -> int:
        """Number of members of the ensemble."""
        return self.file.shape()["member"]


@dataclass(frozen=True)
class Panel:
    """One or more axes of a figure, with a caption and a description.

    Parameters
    ----------
    width : int
        Number of axes.
    draw : callable
        Takes a list of that many axes.
    title : str
    caption : str
        Quantities and units of the axes, and the meaning of marks, lines and bands.
    alt : str
        Description for readers who cannot see the figure.
    """

    width: int
    draw: Callable[[list[Axes]], None]
    title: str
    caption: str
    alt: str
