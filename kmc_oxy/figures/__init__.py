"""Figures of a run, drawn by matplotlib: trains, relaxations, sweeps, arrays, the lattice.

May import `analysis` and what lies below it.
"""

from kmc_oxy.figures.lattice import (
    column_counts,
    draw_box,
    draw_from_above,
    draw_profiles,
    shown_of,
)
from kmc_oxy.figures.style import Panel, thin
from kmc_oxy.figures.trains_and_sweeps import panels, plot, scanned_texts, short_name, siemens_text

__all__ = [
    "Panel",
    "column_counts",
    "draw_box",
    "draw_from_above",
    "draw_profiles",
    "panels",
    "plot",
    "scanned_texts",
    "short_name",
    "shown_of",
    "siemens_text",
    "thin",
]
