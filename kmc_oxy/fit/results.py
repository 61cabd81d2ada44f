"""What a fit leaves behind: the best device as an input, and the table of all evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from kmc_oxy._version import __version__
from kmc_oxy.fit.comparison import DataComparison, absolute_errors
from kmc_oxy.fit.evaluation import sizes_of
from kmc_oxy.fit.fit_folder import FinishedGeneration
from kmc_oxy.fit.fit_result import BEST, EVALUATIONS, read_fit_result
from kmc_oxy.fit.fit_session import FitSession, counting
from kmc_oxy.fit.intervals import estimated
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import Parameter, values_at
from kmc_oxy.fit.uncertainty import ParameterEstimate
from kmc_oxy.storage import StoreError, atomic_rename, atomic_write, wrap_os_errors

Array = NDArray[np.float64]


def write_results(session: FitSession) -> None:
    """Write ``best.yaml`` and ``evaluations.h5`` of a fit whose generations are all finished.

    Parameters
    ----------
    session : FitSession

    Raises
    ------
    StoreError
        If no set was feasible, or a file cannot be written.
    """
    path = session.folder.path
    checks = session.of_stage("check")
    if not checks:
        raise StoreError(
            f"none of the {sum(len(each.points) for each in session.generations)} parameter sets "
            "gives a device: change the ranges or the start of the fit"
        )
    if not np.isfinite(checks[-1].costs).any():
        raise StoreError(
            "the best set has no result on the devices of the check: choose another search.seed, "
            "or narrower ranges"
        )
    best = checks[-1].points[int(np.argmin(checks[-1].costs))]
    fit = session.fit
    intervals = None
    if session.of_stage("slopes"):
        intervals = estimated(fit.parameters, counting(session.generations), fit.model.search.seed)
    with wrap_os_errors(f"write in {path}"):
        with atomic_write(path / BEST) as file:
            file.write(best_input(session.fit, best).encode())
        with atomic_rename(path / EVALUATIONS) as temporary, h5py.File(temporary, "w") as output:
            _write_table(output, session, best, intervals)


def best_input(fit: LoadedFit, point: Array) -> str:
    """An input of the device at a point of the cube, with the first run of the fit, as YAML.

    Parameters
    ----------
    fit : LoadedFit
    point : ndarray, shape (d,)
    """
    run = fit.runs[0]
    model = run.at(values_at(fit.parameters, point), fit.model.search.most_members)
    content = model.model_dump(mode="json", exclude_defaults=True)
    for section in ("device", "conductance", "spin", "crossbar"):
        full = getattr(model, section).model_dump(mode="json")
        if section in ("device", "conductance") or section in content:
            content[section] = full
    names = ", ".join(part.experiment for part in run.parts)
    text = (
        f"# The device that `kmc-oxy fit` found, with the experiments {names}.\n"
        "# Values are in SI units; energies are in eV.\n"
    )
    return text + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _write_table(
    output: h5py.File, session: FitSession, best: Array, intervals: ParameterEstimate | None
) -> None:
    fit, generations = session.fit, session.generations
    parameters = fit.parameters
    output.attrs["kmc_oxy_version"] = __version__
    output.attrs["fit_file"] = fit.text
    output.attrs["resolved"] = fit.resolved
    output.attrs["name"] = fit.model.name
    output.attrs["library"] = generations[0].library
    output.attrs["overrides"] = np.array(fit.overrides, dtype=h5py.string_dtype())
    text = h5py.string_dtype()
    sets = [(each, index) for each in generations for index in range(len(each.points))]
    theta = np.array([_values(parameters, each.points[index]) for each, index in sets])

    def dataset(name: str, values: Any, unit: str, meaning: str, dtype: Any = None) -> None:
        item = output.create_dataset(name, data=values, dtype=dtype)
        item.attrs["units"], item.attrs["long_name"] = unit, meaning

    dataset("theta", theta, "1", "parameters of each set, in the units of `parameter_unit`")
    dataset("parameter", [each.key for each in parameters], "1", "keys", text)
    dataset("parameter_unit", [each.unit for each in parameters], "1", "units", text)
    ends = np.array([(each.low, each.high) for each in parameters])
    dataset("range", ends, "1", "lowest and highest value of each parameter")
    dataset("start", [each.start for each in parameters], "1", "value of each parameter at first")
    is_log = np.array([each.is_log for each in parameters])
    dataset("is_logarithmic", is_log, "1", "whether the scale of the parameter is logarithmic")
    dataset("stage", [each.stage for each, _ in sets], "1", "search, slopes or check", text)
    own = [number for number, each in enumerate(generations) for _ in each.points]
    dataset("generation", own, "1", "number of the generation")
    dataset("members", [each.devices[k] for each, k in sets], "1", "number of devices")
    dataset("seed", [each.seed for each, _ in sets], "1", "seed of the devices")
    dataset("cost", [each.costs[k] for each, k in sets], "1", "inf for a set without a device")
    dataset("cost_error", [each.errors[k] for each, k in sets], "1",
            "standard error of the cost against the lowest of its generation")  # fmt: skip
    x = np.concatenate([each.residuals for each in generations])
    dataset("x", x, "1", "residuals: distance of the simulated means from the data, in standard "
            "errors times the square root of weight over number of points")  # fmt: skip
    sizes = sizes_of(fit)
    own = [number for number, name in enumerate(sizes) for _ in range(sum(sizes[name]))]
    dataset("x_experiment", own, "1", "number of the experiment of each residual")
    dataset("x_error", generations[-1].data_errors, "1",
            "standard error of the measurement in each residual; 0 of a target")  # fmt: skip
    dataset("best", _values(parameters, best), "1", "the best set")
    if intervals is not None:
        for name in ("value", "low", "high"):
            values = _values(parameters, getattr(intervals, name))
            dataset(f"interval_{name}", values, "1", "of the 95 % interval of each parameter")
        dataset("is_fixed", intervals.is_fixed_by_data, "1", "whether the data fix the parameter")
        dataset("correlation", intervals.correlation, "1", "of the parameters' estimates")
        dataset("singular_value", intervals.singular_values, "1",
                "change of the residuals for a step along a direction")  # fmt: skip
        dataset("direction", intervals.directions, "1",
                "combinations of parameters in units of their ranges, one a row")  # fmt: skip
        dataset("direction_is_fixed", intervals.direction_is_fixed, "1",
                "whether the data fix the combination")  # fmt: skip
    _write_simulated(output, session)
    joint, alone = _distances(counting(session.generations), fit)
    dataset("experiment", list(joint), "1", "names", text)
    meaning = "mean square distance from the data on other devices, in standard errors of "
    dataset("chi_square", list(joint.values()), "1", f"{meaning}measurement and simulation")
    dataset("chi_square_measurement", list(alone.values()), "1", f"{meaning}the measurement alone")


def _write_simulated(output: h5py.File, session: FitSession) -> None:
    """Groups ``simulated/EXPERIMENT/K``: what the best set gives beside what was measured."""
    check = session.of_stage("check")[-1]
    simulated = check.simulated[int(np.argmin(check.costs))]
    for name, items in simulated.items():
        for comparison, item in zip(session.fit.comparisons[name], items, strict=True):
            parent = output.require_group(f"simulated/{name}")
            if isinstance(comparison, DataComparison):
                for each, values in zip(comparison.curves, item["curves"], strict=True):
                    group = parent.create_group(str(len(parent)))
                    curve = each.curve
                    group.attrs["label"] = curve.label
                    group.attrs["x_quantity"], group.attrs["y_quantity"] = (
                        curve.x_quantity, curve.y_quantity,
                    )  # fmt: skip
                    group.attrs["scale"] = item["scale"]
                    group.attrs["has_free_scale"] = comparison.free_scale
                    group["x"], group["measured"] = curve.x, curve.y
                    group["error"] = absolute_errors(curve)
                    group["simulated"] = values
            else:
                group = parent.create_group(str(len(parent)))
                group.attrs["quantity"] = comparison.name
                group.attrs["low"], group.attrs["high"] = (
                    comparison.range.low,
                    comparison.range.high,
                )
                group.attrs["unit"] = comparison.range.unit
                group.attrs["is_logarithmic"] = comparison.range.is_log
                group.attrs["value_unit"] = comparison.value_unit
                group["simulated"] = item["values"]


def _values(parameters: tuple[Parameter, ...], point: Array) -> list[float]:
    return list(values_at(parameters, point).values())


def _distances(
    generations: list[FinishedGeneration], fit: LoadedFit
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean square distance of each experiment from its data or targets, from the check.

    In standard errors of data and simulation together, and of the data alone; the unit of a target
    counts as the error of its measurement.
    """
    check = [each for each in generations if each.stage == "check"][-1]
    members = check.member_residuals[int(np.argmin(check.costs))]
    joint, alone, start = {}, {}, 0
    for name, sizes in sizes_of(fit).items():
        squares, squares_alone = [], []
        for size in sizes:
            own = slice(start, start + size)
            start += size
            factor = fit.model.experiments[name].weight / size
            mean = members[:, own].mean(axis=0)
            variance = members[:, own].var(axis=0, ddof=1) / len(members)
            variance = variance + np.maximum(check.data_errors[own] ** 2, factor)
            squares.append(mean**2 / variance)
            squares_alone.append(mean**2 / factor)
        joint[name] = float(np.concatenate(squares).mean())
        alone[name] = float(np.concatenate(squares_alone).mean())
    return joint, alone


def result_table(folder: Path) -> str:
    """The result of a complete fit as text: parameters with intervals, and the fit's quality.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    StoreError
        If there is no complete fit.
    """
    result = read_fit_result(folder)
    width = max(len(each.key) for each in result.parameters)
    lines = []
    for each in result.parameters:
        text = f"{each.key.ljust(width)}  {each.best:.5g} {each.unit_text}".rstrip()
        if each.interval is not None:
            low, high = each.interval
            text += f"  [{low:.4g}, {high:.4g}]"
        if not each.is_fixed:
            text += "  not fixed by the data"
        if each.best in (each.low, each.high):
            text += "  at the end of its range"
        if each.interval is not None and not each.interval[0] <= each.best <= each.interval[1]:
            text += "  outside its interval"
        lines.append(text)
    lines += [
        f"{result.is_search.sum()} sets searched; mean square distance of each experiment from the",
        "data, on devices that the search has not seen, in standard errors of measurement and",
        "simulation together (of the measurement alone):",
    ]
    lines += [
        f"  {name}: {value:.3g} ({result.chi_square_measurement[name]:.3g})"
        for name, value in result.chi_square.items()
    ]
    lines.append(f"best device: {folder / BEST}; all evaluations: {folder / EVALUATIONS}")
    return "\n".join(lines)
