"""Runs handed on to other programs: tables, pictures of the oxygens, neural-network simulators.

======== ==================================================== ===============================
name     what is written                                      opens in
======== ==================================================== ===============================
csv      every reading as one row                             anything
xyz      oxygens at the stored snapshots, extended XYZ, in Å  OVITO, ASE
vtkhdf   occupied sites at the snapshots, ImageData with time ParaView
aihwkit  mean up and down train as two columns, and beside it aihwkit: its fit tool,
         ready parameters of two devices (JSON)               PiecewiseStepDevice, PowStepDevice
crosssim dG_increasing.txt and dG_decreasing.txt in a folder  CrossSim 2, lookup-table model
======== ==================================================== ===============================

Everything is written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kmc_oxy.export.oxygen_files import write_vtkhdf, write_xyz
from kmc_oxy.export.readings_table import write_csv
from kmc_oxy.export.selection import Selection
from kmc_oxy.export.simulators import write_aihwkit, write_crosssim
from kmc_oxy.storage import (
    OutputFile,
    StoreError,
    open_output,
    wrap_os_errors,
)


def export(source: Path, to: str, out: Path, selection: Selection | None = None) -> list[Path]:
    """Write a finished run in another program's format.

    Parameters
    ----------
    source : Path
        Output of a run.
    to : str
        Key of `FORMATS`.
    out : Path
        File to be written; a folder for crosssim. The JSON of aihwkit lies beside it.
    selection : Selection, optional

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    StoreError
        If there is no finished run, it lacks what the format needs, or the place cannot be
        written.
    ValueError
        If there is no such format.
    """
    if to not in FORMATS:
        raise ValueError(
            f"The 'to' parameter must be one of {', '.join(FORMATS)}. Got {to!r} instead."
        )
    chosen = selection or Selection()
    with open_output(source) as file:
        if out.exists() and out.resolve() == source.resolve():
            raise StoreError(f"{out} is the run itself: choose another place")
        chosen.check(file)
        with wrap_os_errors(f"write {out}"):
            return FORMATS[to](file, out, chosen)


Writer = Callable[[OutputFile, Path, Selection], list[Path]]

FORMATS: Mapping[str, Writer] = {
    "csv": write_csv,
    "xyz": write_xyz,
    "vtkhdf": write_vtkhdf,
    "aihwkit": write_aihwkit,
    "crosssim": write_crosssim,
}
