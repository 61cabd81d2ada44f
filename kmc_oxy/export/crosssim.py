"""Update curves for the lookup-table model of CrossSim 2."""

from __future__ import annotations

from pathlib import Path

from kmc_oxy.export.selection import Selection, text_file
from kmc_oxy.export.update_trains import update_trains
from kmc_oxy.storage import OutputFile


def write_crosssim(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """Lookup tables: a comment, the conductances, the levels of the CDF, then dG (CDF x G), S."""
    updates = update_trains(file, selection)
    out.mkdir(exist_ok=True)
    written = []
    for name, curve in zip(("increasing", "decreasing"), updates.curves, strict=True):
        path = out / f"dG_{name}.txt"
        with text_file(path) as text:
            text.write(
                "1st row = conductances (S), 2nd row = CDF levels, 3rd row onward = dG matrix (S; "
                "rows = CDF, columns = conductance)\n"
            )
            for line in (curve.conductance_S, curve.cdf, *curve.quantile_S):
                text.write(",".join(map(repr, line.tolist())) + "\n")
        written.append(path)
    return written
