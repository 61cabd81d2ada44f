"""Figures as files: panels side by side, file types, atomic writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kmc_oxy.figures.panel import Panel
from kmc_oxy.storage import StoreError, atomic_write, check_no_run, wrap_os_errors

#: Largest number of panels in a row.
MAX_COLUMNS = 3
#: Endings of the name of a figure, where matplotlib can write them.
FILE_TYPES = ("png", "pdf", "svg", "eps", "jpg", "jpeg", "tif", "tiff", "webp")


class ShownFigure(Figure):
    """A figure that a notebook shows, though pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def file_type(out: Path) -> str:
    """The file type of an image by the ending of its name; png without one.

    Parameters
    ----------
    out : Path

    Raises
    ------
    StoreError
        If matplotlib cannot write it, or there is the output of a run.
    """
    known = FigureCanvasAgg.get_supported_filetypes()
    kinds = [kind for kind in FILE_TYPES if kind in known]
    kind = out.suffix.lstrip(".").lower() or "png"
    if kind not in kinds:
        raise StoreError(f"cannot draw a {kind!r} file: the name may end in {', '.join(kinds)}")
    check_no_run(out)
    return kind


def side_by_side(drawn: Sequence[Panel], title: str, most: int = MAX_COLUMNS) -> Figure:
    """A figure of panels.

    Parameters
    ----------
    drawn : sequence of Panel
    title : str
        Of the figure; empty for none.
    most : int
        Largest number of panels in a row.
    """
    count = sum(panel.width for panel in drawn)
    columns = min(count, most)
    rows = -(-count // columns)
    figure = ShownFigure(figsize=(6.4 * columns, 4.8 * rows), layout="constrained")
    place = 1
    for panel in drawn:
        axes = [figure.add_subplot(rows, columns, place + shift) for shift in range(panel.width)]
        panel.draw_titled(axes)
        place += panel.width
    if title:
        # A dollar sign in the user's text begins no formula.
        figure.suptitle(title, parse_math=False)
    return figure


def save_figure(figure: Figure, out: Path, kind: str) -> None:
    """Write a figure; the file appears whole or not at all.

    Parameters
    ----------
    figure : Figure
    out : Path
    kind : str
        As `file_type` gave it.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    with wrap_os_errors(f"write {out}"), atomic_write(out) as target:
        figure.savefig(target, format=kind, dpi=150)
