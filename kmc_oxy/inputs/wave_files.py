"""Wave forms from CSV files, for the step `waveform`."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from kmc_oxy.inputs.schema import Inconsistency, ReadWave, raise_inconsistencies
from kmc_oxy.inputs.tables import (
    CurveError,
    FaultCollector,
    NumberCells,
    TextTable,
    first_ones,
    full_rows,
    of_quantity,
    refusal,
)

Points = list[tuple[float, float]]


def wave_reader(folder: Path) -> ReadWave:
    """A reader of the wave forms of one input, which reads each file once.

    Parameters
    ----------
    folder : Path
        Folder of the input, which names of files are relative to.

    Returns
    -------
    callable
        Names of file, time column and voltage column -> points: time (s), voltage (V). Raises a
        PydanticCustomError with every fault of the file at the key `file`.
    """
    known: dict[tuple[str, str | None, str | None], Points | CurveError] = {}

    def read(file: str, time: str | None, voltage: str | None) -> Points:
        key = (file, time, voltage)
        if key not in known:
            try:
                known[key] = _read(folder / file, time, voltage)
            except CurveError as error:
                known[key] = error
        found = known[key]
        if isinstance(found, CurveError):
            lines = str(found).split("\n")
            raise_inconsistencies([Inconsistency(("file",), line, ()) for line in lines])
        assert not isinstance(found, CurveError)
        return found

    return read


def _read(path: Path, time: str | None, voltage: str | None) -> Points:
    """The points of a file.

    Raises
    ------
    CurveError
        With its faults, each with its line and column.
    """
    with TextTable(path) as table:
        header = table.header
        columns = (
            of_quantity(header, "time", time, None),
            of_quantity(header, "voltage", voltage, None),
        )
        faults = FaultCollector(header.source)
        cells = NumberCells(header, faults)
        numbers, lines = (array("d"), array("d")), array("q")
        for line, row in full_rows(table, faults):
            values = [cells.number(line, column, row[column.place]) for column in columns]
            for column, value, kept in zip(columns, values, numbers, strict=True):
                if value is None:
                    if not row[column.place].strip():
                        message = "is empty: a wave form has no missing values"
                        faults.add(line, message, column.name, column.place, "missing")
                    value = float("nan")
                kept.append(value)
            lines.append(line)
        cells.check_decimal_signs()
    times, voltages = (np.array(kept) * c.factor for kept, c in zip(numbers, columns, strict=True))
    for late, count in first_ones(np.concatenate([[False], np.diff(times) <= 0])):
        message = f"must rise from row to row ({times[late]:.10g} s after {times[late - 1]:.10g} s)"
        column = columns[0]
        faults.add(int(lines[late]), message, column.name, column.place, "rise", count)
    faults.check()
    if times.size < 2:
        raise refusal(header.source, "has fewer than 2 rows with values after its header")
    return list(zip(times.tolist(), voltages.tolist(), strict=True))
