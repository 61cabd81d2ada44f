"""Every reading of a run as one row of a CSV table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from kmc_oxy.export.selection import READING, Selection, text_file
from kmc_oxy.storage import (
    OutputFile,
)

#: Columns of the table that come first, in this order.
FIRST_COLUMNS = ("time", "pulse", "step", "leg", "voltage", "conductance")


def write_csv(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """One row a reading, all quantities in SI units, one header line with the datasets' names."""
    shape = file.shape()
    dimensions = {
        name: file.dimensions_of(name) for name, item in file.file.items() if not item.is_scale
    }
    names = [
        name
        for name, found in dimensions.items()
        if {"point", "reading"} <= set(found) <= set(READING)
    ]
    names.sort(key=lambda name: FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else 99)
    scan = file.scan()
    with text_file(out) as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*READING, *scan, *names])
        for point in selection.some("point", shape["point"]):
            readings = int(np.count_nonzero(file["leg"][point] >= 0))
            scanned = [values[point] for values in scan.values()]
            for member in selection.some("member", shape["member"]):
                blocks = {
                    name: file[name][(point, member) if "member" in dimensions[name] else point]
                    for name in names
                }
                for row in selection.some("row", shape["row"]):
                    for column in selection.some("column", shape["column"]):
                        cell = {"row": row, "column": column}
                        values = []
                        for name, block in blocks.items():
                            at = [cell[item] for item in dimensions[name] if item in cell]
                            values.append(block[(*at, slice(readings))].tolist())
                        table.writerows(
                            [point, member, row, column, reading, *scanned, *found]
                            for reading, found in enumerate(zip(*values, strict=True))
                        )
    return [out]
