"""The formats of `kmc-oxy export`, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kmc_oxy.export.aihwkit import write_aihwkit
from kmc_oxy.export.crosssim import write_crosssim
from kmc_oxy.export.oxygen_files import write_vtkhdf, write_xyz
from kmc_oxy.export.readings_table import write_csv
from kmc_oxy.export.selection import Selection
from kmc_oxy.storage import OutputFile, check_no_run, open_output, wrap_os_errors

Writer = Callable[[OutputFile, Path, Selection], list[Path]]


@dataclass(frozen=True)
class Format:
    """A format of another program.

    Parameters
    ----------
    write : callable
        Writes an open output to a path, whole or not at all, and returns the files written.
    summary : str
        What is written and what opens it: its part of ``kmc-oxy export --help``.
    scope : str
        What is written of a run unless it is told otherwise: a further part of the help.
    is_folder : bool
        Whether a folder is written.
    """

    write: Writer
    summary: str
    scope: str = "the first member, point and cell"
    is_folder: bool = False


FORMATS: Mapping[str, Format] = {
    "csv": Format(write_csv, "every reading as one row", "everything"),
    "xyz": Format(write_xyz, "oxygens at the snapshots, extended XYZ in angstrom (OVITO, ASE)"),
    "vtkhdf": Format(write_vtkhdf, "occupied sites at the snapshots (ParaView)"),
    "aihwkit": Format(
        write_aihwkit,
        "update curve as CSV for aihwkit's fit tool, and beside it a JSON with parameters of "
        "PiecewiseStepDevice and PowStepDevice",
        "all members of the first point and cell",
    ),
    "crosssim": Format(
        write_crosssim,
        "update curve for the lookup-table model of CrossSim 2: a folder with dG_increasing.txt "
        "and dG_decreasing.txt",
        "all members of the first point and cell",
        is_folder=True,
    ),
}


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
        Part of the run to export.

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
        if not (out.is_dir() and FORMATS[to].is_folder):
            check_no_run(out)
        chosen.check(file)
        with wrap_os_errors(f"write {out}"):
            return FORMATS[to].write(file, out, chosen)
