"""The result of a complete fit, read from its ``evaluations.h5``.

Tables, figure and report of a fit are made from this and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kmc_oxy.fit.fit_folder import FitFolder
from kmc_oxy.fit.parameters import place_in_range
from kmc_oxy.storage import StoreError, wrap_os_errors

Array = NDArray[np.float64]

EVALUATIONS = "evaluations.h5"
BEST = "best.yaml"
#: Stages of a fit, in their order.
STAGES = ("search", "slopes", "check")


@dataclass(frozen=True)
class FittedParameter:
    """A free parameter and what the fit found.

    Parameters
    ----------
    key, unit : str
        Dotted key; unit of all values, "1" for a pure number.
    low, high, start, best : float
        Range, value at the start, value of the best set.
    is_log : bool
        Whether its scale is logarithmic.
    interval : (float, float) or None
        The 95 % interval; None if none was computed.
    is_fixed : bool
        Whether the data fix it; True without an interval.
    """

    key: str
    unit: str
    low: float
    high: float
    start: float
    best: float
    is_log: bool
    interval: tuple[float, float] | None
    is_fixed: bool

    @property
    def unit_text(self) -> str:
        """The unit; empty for a pure number."""
        return "" if self.unit == "1" else self.unit

    def place(self, value: float) -> float:
        """Place of a value in the range, 0 to 1, linear or in the logarithm as the scale is."""
        return place_in_range(value, self.low, self.high, self.is_log)


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A measured curve, and the same on the devices of the check.

    Parameters
    ----------
    experiment, label : str
    x_quantity, y_quantity : str
        As in `measured.MeasuredCurve`.
    scale : float
        Factor from simulated to measured values; 1 without a free scale.
    has_free_scale : bool
    x, measured, error : ndarray, shape (n,)
        As measured, SI.
    simulated : ndarray, shape (members, n)
        Without the factor, SI.
    """

    experiment: str
    label: str
    x_quantity: str
    y_quantity: str
    scale: float
    has_free_scale: bool
    x: Array
    measured: Array
    error: Array
    simulated: Array


@dataclass(frozen=True, eq=False)
class FittedTarget:
    """A target, and the quantity on the devices of the check.

    Parameters
    ----------
    experiment, quantity : str
    low, high : float
        The range; infinite for none.
    unit : float
        Distance from the range that counts as one standard error, of the logarithm if `is_log`.
    is_log : bool
    value_unit : str
        Unit of the quantity; "1" for a pure number.
    values : ndarray, shape (members,) or fewer
        One a member, or those of the whole ensemble.
    """

    experiment: str
    quantity: str
    low: float
    high: float
    unit: float
    is_log: bool
    value_unit: str
    values: Array


@dataclass(frozen=True, eq=False)
class FitResult:
    """The result of a complete fit.

    Parameters
    ----------
    name, version, library : str
        Title of the fit, version of the package, library of the search.
    fit_file, best_input : str
        Texts of the fit file and of ``best.yaml``.
    overrides : tuple of str
        Settings made on the command line.
    parameters : tuple of FittedParameter
    curves : tuple of FittedCurve
    targets : tuple of FittedTarget
    chi_square : dict of str to float
        Experiment -> mean square distance on the devices of the check, in standard errors of
        measurement and simulation together.
    chi_square_measurement : dict of str to float
        The same in standard errors of the measurement alone.
    stage : tuple of str
        Of each parameter set, one of `STAGES`.
    generation, members : ndarray of int, shape (sets,)
        Number of the generation of each set, and of its devices.
    cost, cost_error : ndarray, shape (sets,)
        The cost is infinite for a set without a device.
    correlation : ndarray, shape (d, d) or None
        Of the parameters' estimates; None without intervals.
    singular_values : ndarray, shape (d,) or None
    directions : ndarray, shape (d, d) or None
        Combinations of the parameters in the unit cube, one a row.
    direction_is_fixed : ndarray of bool, shape (d,) or None
        Whether the data fix them.
    """

    name: str
    version: str
    library: str
    fit_file: str
    best_input: str
    overrides: tuple[str, ...]
    parameters: tuple[FittedParameter, ...]
    curves: tuple[FittedCurve, ...]
    targets: tuple[FittedTarget, ...]
    chi_square: dict[str, float]
    chi_square_measurement: dict[str, float]
    stage: tuple[str, ...]
    generation: NDArray[np.int64]
    members: NDArray[np.int64]
    cost: Array
    cost_error: Array
    correlation: Array | None
    singular_values: Array | None
    directions: Array | None
    direction_is_fixed: NDArray[np.bool_] | None

    @property
    def is_search(self) -> NDArray[np.bool_]:
        """Which sets belong to the search, shape (sets,)."""
        return np.array([stage == "search" for stage in self.stage])

    @property
    def ensemble(self) -> NDArray[np.int64]:
        """Devices of those sets of each generation that were not left out, shape (sets,)."""
        return np.array([self.members[self.generation == own].max() for own in self.generation])


def read_fit_result(folder: Path) -> FitResult:
    """Read the result of a complete fit.

    Parameters
    ----------
    folder : Path
        The folder of the fit.

    Returns
    -------
    FitResult

    Raises
    ------
    StoreError
        If there is no complete fit, or its files are damaged.
    """
    path = folder / EVALUATIONS
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder of a fit")
    if not path.is_file():
        if FitFolder(folder).exists():
            raise StoreError(f"the fit in {folder} is not complete: go on with `kmc-oxy fit`")
        raise StoreError(f"{folder} is no folder of a fit: it has no {EVALUATIONS}")
    with wrap_os_errors(f"read {folder / BEST}"):
        best_input = (folder / BEST).read_text(encoding="utf-8", errors="replace")
    try:
        with h5py.File(path) as file:
            return _read(file, best_input)
    except PermissionError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())
        raise StoreError(
            f"{path} is damaged or was not written by this version ({detail}): remove it, and "
            "`kmc-oxy fit` writes it again"
        ) from error


def _read(file: h5py.File, best_input: str) -> FitResult:
    attributes = file.attrs
    curves, targets = _comparisons(file)
    has_intervals = "interval_low" in file
    experiments = _texts(file["experiment"])
    return FitResult(
        name=str(attributes["name"]),
        version=str(attributes["kmc_oxy_version"]),
        library=str(attributes["library"]),
        fit_file=str(attributes["fit_file"]),
        best_input=best_input,
        overrides=tuple(map(str, attributes["overrides"])),
        parameters=_parameters(file),
        curves=tuple(curves),
        targets=tuple(targets),
        chi_square=dict(zip(experiments, file["chi_square"][()].tolist(), strict=True)),
        chi_square_measurement=dict(
            zip(experiments, file["chi_square_measurement"][()].tolist(), strict=True)
        ),
        stage=tuple(_texts(file["stage"])),
        generation=file["generation"][()],
        members=file["members"][()],
        cost=file["cost"][()],
        cost_error=file["cost_error"][()],
        correlation=file["correlation"][()] if has_intervals else None,
        singular_values=file["singular_value"][()] if has_intervals else None,
        directions=file["direction"][()] if has_intervals else None,
        direction_is_fixed=file["direction_is_fixed"][()] if has_intervals else None,
    )


def _texts(dataset: h5py.Dataset) -> list[str]:
    return [str(text) for text in dataset.asstr()[()]]


def _parameters(file: h5py.File) -> tuple[FittedParameter, ...]:
    found = []
    units = _texts(file["parameter_unit"])
    for index, key in enumerate(_texts(file["parameter"])):
        low, high = file["range"][index].tolist()
        interval, is_fixed = None, True
        if "interval_low" in file:
            interval = float(file["interval_low"][index]), float(file["interval_high"][index])
            is_fixed = bool(file["is_fixed"][index])
        start, best = float(file["start"][index]), float(file["best"][index])
        is_log = bool(file["is_logarithmic"][index])
        found.append(
            FittedParameter(key, units[index], low, high, start, best, is_log, interval, is_fixed)
        )
    return tuple(found)


def _comparisons(file: h5py.File) -> tuple[list[FittedCurve], list[FittedTarget]]:
    curves: list[FittedCurve] = []
    targets: list[FittedTarget] = []
    for experiment in _texts(file["experiment"]):
        parent = file[f"simulated/{experiment}"]
        for number in sorted(filter(str.isdecimal, parent), key=int):
            group = parent[number]
            attributes: dict[str, Any] = dict(group.attrs)
            if "quantity" in attributes:
                targets.append(
                    FittedTarget(
                        experiment,
                        str(attributes["quantity"]),
                        float(attributes["low"]),
                        float(attributes["high"]),
                        float(attributes["unit"]),
                        bool(attributes["is_logarithmic"]),
                        str(attributes["value_unit"]),
                        group["simulated"][()],
                    )
                )
            else:
                curves.append(
                    FittedCurve(
                        experiment,
                        str(attributes["label"]),
                        str(attributes["x_quantity"]),
                        str(attributes["y_quantity"]),
                        float(attributes["scale"]),
                        bool(attributes["has_free_scale"]),
                        group["x"][()],
                        group["measured"][()],
                        group["error"][()],
                        group["simulated"][()],
                    )
                )
    return curves, targets
