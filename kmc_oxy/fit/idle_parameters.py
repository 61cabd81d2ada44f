"""Free parameters that change nothing that is compared: the data cannot say anything of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kmc_oxy.fit.comparison import Comparison, CriterionComparison, DataComparison, TargetComparison
from kmc_oxy.fit.device_runs import DeviceRun
from kmc_oxy.fit.fit_file import FitFile
from kmc_oxy.inputs.schema import Input

#: Keys of `spin` that shape a loop G(H) and nothing else.
OF_FIELD_SWEEPS = ("spin.coercive_lsmo", "spin.coercive_co", "spin.switching_width")


def idle_parameters(
    model: FitFile,
    runs: Sequence[DeviceRun],
    comparisons: Mapping[str, Sequence[Comparison]],
) -> dict[str, str]:
    """Why free parameters act on nothing, by key; those that act are missing.

    A parameter that the `settings` of some experiments fix acts on the others.

    Parameters
    ----------
    model : FitFile
    runs : sequence of DeviceRun
    comparisons : mapping of str to sequence of Comparison
        Of each experiment.
    """
    found = {}
    for key in model.parameters:
        free = [run for run in runs if key not in run.settings]
        if not free:
            found[key] = "is fixed by the `settings` of every experiment: remove it there or here"
            continue
        compared = [each for run in free for part in run.parts
                    for each in comparisons[part.experiment]]  # fmt: skip
        why = _why_idle(key, [run.at({}, 1) for run in free], compared)
        if why:
            found[key] = why
    return found


def _why_idle(key: str, inputs: Sequence[Input], compared: Sequence[Comparison]) -> str:
    if key == "conductance.conductance_scale":
        if all(map(_is_relative, compared)) and not any(map(_feels_conductance, inputs)):
            return (
                "changes nothing that is compared: all data have scale: free and no target is of "
                "the level. Remove it, or give one data set scale: absolute"
            )
    elif key == "conductance.nonlinearity":
        of_data = [each for each in compared if isinstance(each, DataComparison)]
        has_current = any(each.curves[0].curve.y_quantity == "current" for each in of_data)
        has_criterion = any(isinstance(each, CriterionComparison) for each in compared)
        if not has_current and not has_criterion and not any(map(_has_circuit, inputs)):
            return "changes currents only, and no data are currents: remove it"
    elif key.startswith("spin."):
        if all(each.spin.model == "none" for each in inputs):
            return "changes nothing with spin.model: none: remove it, or choose another model"
        if key in OF_FIELD_SWEEPS and "field" not in set(_x_quantities(compared)):
            return "changes field sweeps only, and no data are against the field: remove it"
    return ""


def _is_relative(comparison: Comparison) -> bool:
    """Whether a common factor of all conductances does not change it."""
    if isinstance(comparison, DataComparison):
        return comparison.free_scale
    if isinstance(comparison, TargetComparison):
        return comparison.quantity.dimension != "conductance"
    return False  # a criterion may be of anything


def _feels_conductance(model: Input) -> bool:
    """Whether voltages or oxygens depend on the magnitude of the conductance."""
    return model.device.feedback.is_on or model.crossbar.line_resistance > 0


def _has_circuit(model: Input) -> bool:
    """Whether currents act on voltages or oxygens."""
    return model.device.feedback.is_on or model.crossbar.rows * model.crossbar.columns > 1


def _x_quantities(compared: Sequence[Comparison]) -> Iterator[str]:
    for each in compared:
        if isinstance(each, DataComparison):
            yield each.curves[0].curve.x_quantity
