"""What a fit says, in words and tables: parameters, combinations, experiments, where it fails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.fit import FitResult, FittedCurve, FittedParameter
from kmc_oxy.report.tables import Cell, Table

#: Correlations of a larger magnitude are named.
LARGE_CORRELATION = 0.8
#: Weights of a combination below this share of its largest one are left out.
SMALL_WEIGHT = 0.1
#: A trend along a curve is named from this many standard errors on.
CLEAR_TREND = 3.0
#: Fewest points of a curve whose trend is looked at.
FEWEST_POINTS = 6
#: Mean square distances in standard errors above this are called large.
LARGE_DISTANCE = 2.0
ALONG = {
    "pulse": "train",
    "time": "relaxation",
    "voltage": "voltage sweep",
    "field": "field sweep",
}


def parameter_table(result: FitResult) -> Table:
    """Every parameter with start, range, best value, interval, and whether the data fix it."""
    has_intervals = any(each.interval for each in result.parameters)
    rows = []
    for each in result.parameters:
        scale = "logarithmic" if each.is_log else "linear"
        interval = fixed = ""
        if each.interval is not None:
            interval = f"{each.interval[0]:.4g} to {each.interval[1]:.4g}"
            fixed = "yes" if each.is_fixed else "not fixed by the data"
        texts = [each.key, each.unit_text, f"{each.start:.5g}", f"{each.low:g} to {each.high:g}"]
        cells = [*map(Cell, texts), Cell(f"{each.best:.5g}"), Cell(interval), Cell(fixed)]
        cells[3] = Cell(texts[3], scale)
        rows.append(cells)
    caption = "Free parameters"
    caption += ": start, range, best set" if has_intervals else " (no intervals were computed)"
    head = ["parameter", "unit", "start", "range", "best", "95 % interval", "fixed"]
    return Table(caption, head, rows)


def correlation_notes(result: FitResult) -> list[str]:
    """Pairs of parameters whose estimates are strongly correlated."""
    if result.correlation is None:
        return []
    found = []
    for i, j in zip(*np.triu_indices(len(result.parameters), 1), strict=True):
        value = float(result.correlation[i, j])
        if abs(value) > LARGE_CORRELATION:
            first, second = result.parameters[i].key, result.parameters[j].key
            effect = "together" if value > 0 else "against each other"
            found.append(
                f"{first} and {second}: correlation {value:+.2f}. The data allow them to change "
                f"{effect}."
            )
    return found


def combination_notes(result: FitResult) -> list[str]:
    """Combinations of parameters that the data do not fix."""
    if result.directions is None or result.direction_is_fixed is None:
        return []
    assert result.singular_values is not None
    return [
        f"{_combination(direction, result.parameters)} (singular value {singular:.3g}, largest "
        f"{result.singular_values.max():.3g})"
        for direction, singular, fixed in zip(
            result.directions, result.singular_values, result.direction_is_fixed, strict=True
        )
        if not fixed
    ]


def _combination(direction: NDArray[np.float64], parameters: Sequence[FittedParameter]) -> str:
    """A direction of the unit cube as a sum of parameters."""
    largest = np.abs(direction).max()
    sign = 1.0 if direction[np.argmax(np.abs(direction))] > 0 else -1.0
    text = ""
    for index in np.argsort(-np.abs(direction), kind="stable"):
        weight = float(sign * direction[index])
        if abs(weight) < SMALL_WEIGHT * largest:
            continue
        joint = " + " if weight > 0 else " \N{MINUS SIGN} "
        name = parameters[index].key
        name = f"log {name}" if parameters[index].is_log else name
        text += f"{joint if text else ''}{abs(weight):.2f} {name}"
    return text


def experiment_table(result: FitResult) -> Table:
    """Each experiment with its number of points and targets, and its distance from the data."""
    rows = []
    for name, distance in result.chi_square.items():
        curves = [curve for curve in result.curves if curve.experiment == name]
        targets = sum(target.experiment == name for target in result.targets)
        points = sum(curve.x.size for curve in curves)
        alone = result.chi_square_measurement[name]
        texts = [name, *map(str, (len(curves), points, targets))]
        texts += [f"{distance:.3g}", f"{alone:.3g}"]
        rows.append([Cell(text) for text in texts])
    head = ["experiment", "curves", "points", "targets", "in errors of both",
            "in errors of the measurement alone"]  # fmt: skip
    caption = (
        "Mean square distance from data and targets on devices that the search has not seen: in "
        "standard errors of measurement and simulation together, and of the measurement alone"
    )
    return Table(caption, head, rows)


def failure_sentence(result: FitResult) -> str:
    """Which experiment is farthest from its data, and whether its residuals have a trend."""
    name, distance = max(result.chi_square.items(), key=lambda item: item[1])
    several = len(result.chi_square) > 1
    largest = ", the largest of all experiments" if several else ""
    if not np.isfinite(distance):
        text = f"The distance of the experiment {name} from its data is no number."
    elif distance > LARGE_DISTANCE:
        text = (
            f"The model fails most in the experiment {name}, with a mean square distance of "
            f"{distance:.3g}{largest}."
        )
    else:
        text = (
            f"The means agree with {'all experiments' if several else 'the experiment'} within "
            f"the errors: the mean square distance of {name} is {distance:.3g}{largest}."
        )
    return f"{text} {_trends_text(result.curves)}"


def _trends_text(curves: Sequence[FittedCurve]) -> str:
    """The clearest trend of residuals along a curve, and the number of others."""
    clear = []
    for curve in curves:
        change, error = residual_trend(curve)
        if abs(change) > CLEAR_TREND * error:
            clear.append((abs(change) / error, change, curve))
    if not clear:
        return "Along no curve do the residuals have a clear trend."
    clearest, change, curve = max(clear, key=lambda item: item[0])
    name = curve.experiment + (f", {curve.label}" if curve.label else "")
    if curve.y_quantity == "current":
        amount = f"{100 * abs(change):.3g} % of the largest current"
    else:
        amount = f"{100 * np.expm1(abs(change)):.3g} %"
    others = f"; {len(clear) - 1} more curve(s) have a trend" if len(clear) > 1 else ""
    return (
        f"Residuals have a trend: along the {ALONG[curve.x_quantity]} ({name}) the simulation "
        f"{'rises' if change > 0 else 'falls'} against the data by {amount}, {clearest:.2g} "
        f"standard errors{others}."
    )


def residual_trend(curve: FittedCurve) -> tuple[float, float]:
    """Change of the residual from the first to the last third of a curve.

    Parameters
    ----------
    curve : FittedCurve

    Returns
    -------
    change : float
        Of the logarithm of simulated over measured values; of a current, of their difference over
        the largest one. NaN for a short curve.
    error : float
        Its standard error: scatter of the members along the curve, and errors of the measurement.
    """
    points = curve.x.size
    if points < FEWEST_POINTS:
        return np.nan, np.nan
    members, third = len(curve.simulated), points // 3
    mean = curve.simulated.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if curve.y_quantity == "current":
            largest = np.abs(curve.measured).max()
            residual = (curve.scale * mean - curve.measured) / largest
            of_members, of_data = curve.scale * curve.simulated / largest, curve.error / largest
        else:
            residual = np.log(curve.scale * mean / curve.measured)
            of_members, of_data = curve.simulated / mean, curve.error / curve.measured
        changes = of_members[:, -third:].mean(axis=1) - of_members[:, :third].mean(axis=1)
    variance = changes.var(ddof=1) / members if members > 1 else 0.0
    for part in (slice(None, third), slice(-third, None)):
        variance += (of_data[part] ** 2).sum() / third**2
    change = residual[-third:].mean() - residual[:third].mean()
    return float(change), float(np.sqrt(variance))


def provenance_table(result: FitResult) -> Table:
    """Numbers of evaluations and members, library, version."""
    stages = np.array(result.stage)
    ensemble = result.ensemble
    left_out = (result.members < ensemble).sum()
    facts = {
        "sets of the search": f"{result.is_search.sum()}, of which "
        f"{np.isfinite(result.cost[result.is_search]).sum()} give a device",
        "sets for the intervals": str((stages == "slopes").sum()),
        "devices of a set": f"{ensemble[result.is_search].min()} at first, "
        f"{ensemble.max()} at most",
        "sets left out after a first look on fewer devices": str(left_out),
        "devices simulated": f"{result.members.sum():,}",
        "lowest cost on the devices of the check": f"{result.cost[stages == 'check'].min():.4g}",
        "library of the search": result.library,
        "computed by kmc_oxy": result.version,
    }
    if result.overrides:
        facts["settings (--set)"] = ", ".join(result.overrides)
    return Table(
        "Where the numbers come from",
        ["what", "value"],
        [[Cell(name), Cell(value)] for name, value in facts.items()],
    )
