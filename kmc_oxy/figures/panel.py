"""A panel of a figure, and the data of a run that panels are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kmc_oxy.analysis import ConductanceAverages, Leg, mean_name
from kmc_oxy.figures.scan_labels import point_texts
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
    averages : ConductanceAverages
    legs : tuple of Leg
        All legs of all points in order. A leg is one execution of one protocol step.
    """

    file: OutputFile
    inputs: Input
    averages: ConductanceAverages
    legs: tuple[Leg, ...]

    def of_kind(self, kind: str) -> list[Leg]:
        """Legs of one kind, of all points."""
        return [leg for leg in self.legs if leg.kind == kind]

    def at_one_point(self, kind: str) -> tuple[list[Leg], str]:
        """Legs of the first point of the scan that has any of one kind, and a note on the others.

        Returns
        -------
        list of Leg
            All legs of that point; empty if no point has any of the kind.
        str
            ``"temperature 76 K, 1 of 9 points"``; empty without other points.
        """
        having = self.of_kind(kind)
        if not having:
            return [], ""
        point, points = having[0].point, self.file.shape()["point"]
        note = f"{point_texts(self.file)[point]}, 1 of {points} points" if points > 1 else ""
        return [leg for leg in self.legs if leg.point == point], note

    @property
    def members(self) -> int:
        """Number of members of the ensemble."""
        return self.file.shape()["member"]

    def members_label(self, geometric: bool, has_bands: bool = True) -> str:
        """What the curves of a panel are, for the label of its axis."""
        if self.members < 2:
            return ""
        spread = " and spread" if has_bands else ""
        return f"\n{mean_name(geometric)}{spread} of {self.members} members"

    @property
    def cell_note(self) -> str:
        """The cell that panels of one cell show; empty for a single cross-point."""
        shape = self.file.shape()
        cells = shape["row"] * shape["column"]
        return f"cell [0, 0] of {cells}" if cells > 1 else ""


def joined(*notes: str) -> str:
    """Notes that are not empty, as one."""
    return ", ".join(note for note in notes if note)


@dataclass(frozen=True, eq=False)
class PanelCurve:
    """A curve that a panel draws.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Number of the pulse, time (s) or voltage (V).
    y : ndarray of float64, shape (n,)
        Conductance (S), or magnitude of the current (A); nan where nothing is drawn.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]


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
    note : str
        What of the run is not drawn, such as ``"16 of 40"``; empty if nothing is left out.
    kinds : frozenset of str
        Kinds of legs whose readings it shows.
    x_quantity : str
        ``pulse``, ``time``, ``voltage`` or ``field``, if measured values of it can be drawn over
        the panel; empty otherwise.
    curves : tuple of PanelCurve
        What such values are compared with.
    """

    width: int
    draw: Callable[[list[Axes]], None]
    title: str
    caption: str
    alt: str
    note: str = ""
    kinds: frozenset[str] = frozenset()
    x_quantity: str = ""
    curves: tuple[PanelCurve, ...] = ()

    def draw_titled(self, axes: list[Axes]) -> None:
        """Draw, and give the first axes a title with the note."""
        self.draw(axes)
        title = axes[0].get_title() or self.title
        axes[0].set_title(f"{title} ({self.note})" if self.note else title, fontsize="medium")
