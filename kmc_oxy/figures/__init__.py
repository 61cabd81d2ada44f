"""Figures of a run, drawn by matplotlib: trains, relaxations, sweeps, arrays, the lattice.

May import `analysis` and what lies below it.
"""

from kmc_oxy.figures.figure_files import file_type, save_figure, side_by_side
from kmc_oxy.figures.lattice import (
    column_counts,
    draw_box,
    draw_from_above,
    draw_profiles,
    shown_of,
)
from kmc_oxy.figures.panel import Panel
from kmc_oxy.figures.run_figure import draw, panels, plot
from kmc_oxy.figures.scan_labels import scanned_texts, short_names, short_quantity
from kmc_oxy.figures.style import LOG_ABOVE_RATIO, evenly_spaced

__all__ = [
    "LOG_ABOVE_RATIO",
    "Panel",
    "column_counts",
    "draw",
    "draw_box",
    "draw_from_above",
    "draw_profiles",
    "evenly_spaced",
    "file_type",
    "panels",
    "plot",
    "save_figure",
    "scanned_texts",
    "short_names",
    "short_quantity",
    "shown_of",
    "side_by_side",
]
