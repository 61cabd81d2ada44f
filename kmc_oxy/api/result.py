"""The result of a run: its file, as a dataset, a figure, a page."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from kmc_oxy.analysis import legs, step_name
from kmc_oxy.api.labelled_dataset import dataset_of, of_leg
from kmc_oxy.inputs.schema import Input
from kmc_oxy.measured import ColumnChoice
from kmc_oxy.storage import open_output

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

#: Largest number of legs that a message lists.
MOST_LISTED = 12


class Result:
    """A finished run. A notebook shows its summary and its natural figure.

    Parameters
    ----------
    path : Path
        Output of the run.
    folder : TemporaryDirectory, optional
        Folder of an output without a name of its own, removed with this object.

    Attributes
    ----------
    path : Path
        Output of the run.
    """

    def __init__(self, path: Path, folder: TemporaryDirectory[str] | None = None) -> None:
        self.path = path
        self._folder = folder
        with open_output(path) as file:
            self._resolved = file.resolved
            self._shape = file.shape()

    @cached_property
    def input(self) -> Input:
        """The input with every key, before its scan is expanded."""
        return Input.model_validate(self._resolved)

    @cached_property
    def dataset(self) -> xarray.Dataset:
        """Everything in the file, in memory, with a dimension for each scanned key.

        The dimension has the last part of the key as its name (``temperature``; of a step
        ``train_voltage``) and the values in SI units or eV, so that ``sel(temperature=100)`` takes
        one. Without a scan there is no dimension of points. Every variable has ``units``. A file
        that is too large is read in parts by ``xarray.open_dataset(result.path)``.

        Raises
        ------
        ImportError
            If xarray is not installed.
        """
        return dataset_of(self.path)

    def leg(self, which: int | str, nth: int | None = None) -> xarray.Dataset:
        """Select the readings of one leg, one execution of one protocol step.

        Parameters
        ----------
        which : int or str
            Number of the leg as ``kmc-oxy run`` prints it, counted from the end if negative; or the
            kind of its step as in the input, such as ``"train"``.
        nth : int, optional
            Which of several legs of that kind, from 0 on.

        Returns
        -------
        xarray.Dataset
            As `dataset`, with the readings of the leg alone, from 0 on. Where points of the scan
            have fewer of them, the rest is missing as in the file.

        Raises
        ------
        ValueError
            If there is no such leg, or several; with those that there are.
        """
        return of_leg(self.dataset, self._number_of_leg(which, nth))

    def _number_of_leg(self, which: int | str, nth: int | None) -> int:
        with open_output(self.path) as file:
            found = list(legs(file, 0))
        if isinstance(which, int):
            matching, place = found, which
        else:
            matching = [leg for leg in found if leg.step_kind == which]
            place = 0 if nth is None else nth
        is_one = len(matching) == 1 or isinstance(which, int) or nth is not None
        if is_one and -len(matching) <= place < len(matching):
            return matching[place].number
        known = ", ".join(f"{leg.number} ({step_name(leg)})" for leg in found[:MOST_LISTED])
        more = ", ..." if len(found) > MOST_LISTED else ""
        asked = repr(which) + ("" if nth is None else f", {nth}")
        if matching and not is_one:
            fault = f"{len(matching)} legs are {asked}: say which by number, or from 0 on as `nth`"
        else:
            fault = f"there is no leg {asked}"
        raise ValueError(f"{fault}; there are {known}{more}")

    def plot(
        self,
        data: str | PathLike[str] | None = None,
        *,
        data_x: str = "",
        data_y: str = "",
        data_curves: str = "",
        data_scale: Literal["absolute", "free"] = "absolute",
    ) -> Figure:
        """Draw the natural figure of the run, that of ``kmc-oxy plot``.

        Parameters
        ----------
        data : str or path, optional
            CSV file of measured values, drawn over the panels with the same quantity.
        data_x, data_y : str
            Columns of measured values, ``QUANTITY[:COLUMN[:UNIT]]``; default: by the header.
        data_curves : str
            Column that tells the curves of a file apart.
        data_scale : {"absolute", "free"}
            free: multiplied by the factor that fits best.

        Returns
        -------
        matplotlib.figure.Figure
            Not of pyplot: shown by a notebook, saved by ``savefig``.

        Raises
        ------
        CurveError
            If the measured values cannot be read, or belong to no panel.
        """
        from kmc_oxy.figures import draw

        measured = None
        if data is not None:
            measured = ColumnChoice(Path(data), data_x, data_y, data_curves, data_scale)
        with open_output(self.path) as file:
            return draw(file, measured)

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the page of the run, that of ``kmc-oxy report``.

        Parameters
        ----------
        path : str or path
            The page; its name ends in .html.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        from kmc_oxy.report import report

        report(self.path, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {length}" for name, length in self._shape.items())
        return f"<kmc_oxy.Result {self.path}: {sizes}>"

    def _repr_html_(self) -> str:
        from kmc_oxy.report import run_card

        return run_card(self.path)


def open_result(path: str | PathLike[str]) -> Result:
    """Open the output of a finished run.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Result

    Raises
    ------
    StoreError
        If there is no finished run, or the file is damaged.
    """
    return Result(Path(path))
