"""Read a fit file: checked models, runs, parameters and comparisons, or every fault at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kmc_oxy.analysis import legs_of_schedule
from kmc_oxy.execution import resolved_value
from kmc_oxy.fit.comparison import (
    Comparison,
    CriterionComparison,
    CurveMismatch,
    DataComparison,
    Range,
    TargetComparison,
    match_curves,
)
from kmc_oxy.fit.device_runs import DeviceRun, device_runs
from kmc_oxy.fit.fit_file import Experiment, FitFile, FreeParameter, Target
from kmc_oxy.fit.parameters import Parameter, set_values
from kmc_oxy.fit.quantities import QUANTITIES
from kmc_oxy.inputs import (
    DataFault,
    Fault,
    InputError,
    LoadedInput,
    SourceMap,
    at_point,
    data_faults,
    load,
    n_points,
    read_data,
    read_text,
)
from kmc_oxy.inputs.schema import Input, Location, Step, dimension_of
from kmc_oxy.measured import MeasuredCurve, read_curves, steps_of
from kmc_oxy.paper import EXPERIMENTS, recognise
from kmc_oxy.protocol import flatten
from kmc_oxy.units import parse_quantity


@dataclass(frozen=True, eq=False)
class LoadedFit:
    """A checked fit file and all that it names.

    Parameters
    ----------
    text : str
        Text of the file, unchanged.
    source : str
        Name of the file, as given.
    overrides : tuple of str
        ``"a.b=c"``, as given.
    model : FitFile
    parameters : tuple of Parameter
    runs : tuple of DeviceRun
    comparisons : mapping of str to tuple of Comparison
        Of each experiment.
    curves : mapping of str to tuple of MeasuredCurve
        Of each experiment with data.
    """

    text: str
    source: str
    overrides: tuple[str, ...]
    model: FitFile
    parameters: tuple[Parameter, ...]
    runs: tuple[DeviceRun, ...]
    comparisons: Mapping[str, tuple[Comparison, ...]]
    curves: Mapping[str, tuple[MeasuredCurve, ...]]

    @property
    def resolved(self) -> str:
        """Every key with its value, and the data, as JSON on one line."""
        content = self.model.model_dump(mode="json")
        content["runs"] = [dict(run.data) for run in self.runs]
        content["curves"] = {
            name: [
                {
                    "label": curve.label,
                    "x": curve.x.tolist(),
                    "y": curve.y.tolist(),
                    "error": None if curve.error is None else curve.error.tolist(),
                }
                for curve in curves
            ]
            for name, curves in self.curves.items()
        }
        return json.dumps(content, ensure_ascii=False)


def load_fit(path: str | Path, overrides: tuple[str, ...] = ()) -> LoadedFit:
    """Read and check a fit file, and the inputs and data that it names.

    Parameters
    ----------
    path : str or Path
        A YAML file in UTF-8.
    overrides : tuple of str
        ``"a.b=c"``: sets the dotted key ``a.b`` to the value ``c``, in YAML.

    Returns
    -------
    LoadedFit

    Raises
    ------
    InputError
        With every fault of the file, of the overrides and of the files that it names.
    """
    text = read_text(path)
    data, places, faults = read_data(text, overrides, str(path))
    return _Loader(Path(path), text, tuple(overrides), data, places, faults).load()


def is_fit_file(path: str | Path) -> bool:
    """Whether a YAML file has the sections of a fit file; False if it cannot be read.

    Parameters
    ----------
    path : str or Path
    """
    try:
        data, _, _ = read_data(read_text(path))
    except InputError:
        return False
    return "experiments" in data


class _Loader:
    """The check of one fit file; collects its faults."""

    def __init__(
        self,
        path: Path,
        text: str,
        overrides: tuple[str, ...],
        data: dict[str, Any],
        places: SourceMap,
        faults: list[Fault],
    ) -> None:
        self._folder = path.parent
        self._path, self._text, self._overrides = path, text, overrides
        self._data, self._places, self._faults = data, places, faults

    def load(self) -> LoadedFit:
        try:
            model = FitFile.model_validate(self._data)
        except ValidationError as error:
            self._add(*data_faults(error, FitFile))
            raise InputError(self._faults) from None
        inputs = self._inputs(model)
        curves = self._curves(model)
        self._stop_at_faults()
        model = self._with_protocols(model, curves)
        self._check_settings(model)
        self._stop_at_faults()
        runs = device_runs(model, inputs)
        for run in runs:
            self._check_run(run)
        self._stop_at_faults()
        parameters = self._parameters(model, runs)
        comparisons = self._comparisons(model, runs, curves)
        self._stop_at_faults()
        return LoadedFit(
            self._text, str(self._path), self._overrides, model, tuple(parameters), runs,
            comparisons, curves,
        )  # fmt: skip

    def _add(self, *faults: DataFault) -> None:
        self._faults += [self._places.locate(fault, self._data) for fault in faults]

    def _stop_at_faults(self) -> None:
        if self._faults:
            raise InputError(self._faults)

    def _inputs(self, model: FitFile) -> dict[str, LoadedInput]:
        found = {}
        for name, experiment in model.experiments.items():
            if experiment.input is not None:
                try:
                    found[name] = load(self._folder / experiment.input)
                except InputError as error:
                    first = str(error).splitlines()[0]
                    message = f"names an input with faults: {first}"
                    self._add(DataFault(("experiments", name, "input"), message))
        return found

    def _curves(self, model: FitFile) -> dict[str, tuple[MeasuredCurve, ...]]:
        found = {}
        for name, experiment in model.experiments.items():
            if experiment.data is not None:
                try:
                    found[name] = read_curves(self._folder / experiment.data.file, experiment.data)
                except InputError as error:
                    self._faults += error.faults
        return found

    def _with_protocols(
        self, model: FitFile, curves: Mapping[str, tuple[MeasuredCurve, ...]]
    ) -> FitFile:
        """The fit file with the protocols that follow from data."""
        experiments = dict(model.experiments)
        for name, experiment in model.experiments.items():
            given = experiment.from_data
            if given is None:
                continue
            steps: list[Step] = []
            try:
                for curve in curves[name]:
                    made = steps_of(
                        curve,
                        voltage_V=given.voltage,
                        duration_s=given.duration,
                        rest_voltage_V=given.rest_voltage,
                        rest_s=given.rest or None,
                        dwell_s=given.dwell,
                    )
                    steps += [*experiment.before, *(Step.model_validate(step) for step in made)]
            except InputError as error:
                self._faults += error.faults
            except ValueError as error:
                where: Location = ("experiments", name, "from_data")
                self._add(DataFault(where, f"cannot be made: {error}"))
            experiments[name] = experiment.model_copy(update={"protocol": tuple(steps)})
        self._stop_at_faults()
        return model.model_copy(update={"experiments": experiments})

    def _check_settings(self, model: FitFile) -> None:
        """Settings of experiments and keys of parameters that no input has."""
        base = Input.model_validate({"protocol": [{"read": {}}]}).model_dump(mode="json")
        for name, experiment in model.experiments.items():
            for key in experiment.settings:
                where = ("experiments", name, "settings", key)
                if key.split(".")[0] not in ("device", "conductance", "spin", "crossbar"):
                    self._add(DataFault(where, "must be a key of the device or the array", True))
                    continue
                self._check_key(base, key, where)
        data = model.model_dump(mode="json")
        for key in model.parameters:
            self._check_key(data, key, ("parameters", key))

    def _check_key(self, base: dict[str, Any], key: str, where: Location) -> None:
        """Whether the data have a key; a fault if not."""
        path = key.split(".")
        container: Any = base
        for part in path[:-1]:
            if isinstance(container, dict):
                container = container.get(part)
            elif isinstance(container, list) and part.isdigit() and int(part) < len(container):
                container = container[int(part)]
            else:
                container = None
        last: Any = path[-1]
        if isinstance(container, list):
            known = last.isdigit() and int(last) < len(container)
        else:
            known = isinstance(container, dict) and last in container
        if not known:
            self._add(DataFault(where, "is no key of an input (docs/input.md lists them)", True))

    def _check_run(self, run: DeviceRun) -> None:
        """Faults of the input of a run at the start, where they are written in the fit file."""
        try:
            run.at({}, 1)
        except ValidationError as error:
            for fault in data_faults(error):
                self._add(fault._replace(location=_in_fit_file(fault.location, run)))

    def _parameters(self, model: FitFile, runs: tuple[DeviceRun, ...]) -> list[Parameter]:
        found = []
        data = {**runs[0].data, "protocol": [{"read": {}}], "scan": {}}
        start = Input.model_validate(data)
        for key, given in model.parameters.items():
            parameter = self._parameter(key, given, data, start)
            if parameter is not None:
                found.append(parameter)
        return found

    def _parameter(
        self, key: str, given: FreeParameter, data: Mapping[str, Any], start: Input
    ) -> Parameter | None:
        where: Location = ("parameters", key)
        value, unit = resolved_value(start, key)
        if isinstance(value, (bool, int, str)) or not isinstance(value, float):
            self._add(DataFault(where, "must be a key with a real number", of_key=True))
            return None
        ends = []
        for name in ("low", "high"):
            try:
                Input.model_validate(set_values(data, {key: getattr(given, name)}))
            except ValidationError as error:
                own = [f for f in data_faults(error) if ".".join(map(str, f.location)) == key]
                if own:
                    self._add(DataFault((*where, name), own[0].message, shows_value=True))
                    continue
            ends.append(_parsed(getattr(given, name), key, start))
        if len(ends) < 2:
            return None
        low, high = ends
        if not low < high:
            self._add(DataFault((*where, "high"), "must be larger than low", shows_value=True))
            return None
        if given.scale == "log" and not low > 0:
            self._add(DataFault((*where, "low"), "must be positive with scale: log"))
            return None
        if not low <= value <= high:
            message = (
                f"does not contain the start, {value:g} {'' if unit == '1' else unit}".rstrip()
            )
            self._add(DataFault(where, f"{message} (the sections of this file or the defaults)"))
            return None
        parameter = Parameter(key, unit, low, high, value, given.scale == "log")
        if given.prior is None:
            return parameter
        try:
            mean = _parsed(given.prior.mean, key, start)
            if parameter.is_log:
                if isinstance(given.prior.deviation, str):
                    raise ValueError("must have a factor as deviation, such as 1.5, if logarithmic")
                deviation = float(given.prior.deviation)
                width = parameter.to_cube(low * deviation)
            else:
                width = parameter.to_cube(low + _parsed(given.prior.deviation, key, start))
            if not (width > 0 and (mean > 0 or not parameter.is_log)):
                raise ValueError("must have a positive deviation (a factor above 1 if logarithmic)")
            prior = parameter.to_cube(mean), width
        except (ValueError, TypeError) as error:
            self._add(DataFault((*where, "prior"), str(error)))
            return None
        return Parameter(key, unit, low, high, value, parameter.is_log, prior)

    def _comparisons(
        self,
        model: FitFile,
        runs: tuple[DeviceRun, ...],
        curves: Mapping[str, tuple[MeasuredCurve, ...]],
    ) -> dict[str, tuple[Comparison, ...]]:
        found: dict[str, tuple[Comparison, ...]] = {}
        for run in runs:
            base = run.at({}, 1)
            legs = [
                leg
                for point in range(n_points(base))
                for leg in legs_of_schedule(flatten(at_point(base, point).protocol), point)
            ]
            for part in run.parts:
                experiment = model.experiments[part.experiment]
                own = tuple(leg for leg in legs if part.first <= leg.step < part.stop)
                items: list[Comparison] = []
                if experiment.data is not None:
                    try:
                        items.append(
                            DataComparison(
                                match_curves(curves[part.experiment], own),
                                experiment.data.scale == "free",
                                base.crossbar.read_voltage,
                                base.conductance.nonlinearity or float("inf"),
                            )
                        )
                    except CurveMismatch as error:
                        where = ("experiments", part.experiment, "data")
                        self._add(DataFault(where, str(error)))
                if experiment.criterion is not None:
                    self._check_criterion(part.experiment, experiment.criterion, base)
                for number, target in enumerate(experiment.targets):
                    where_of: Location = ("experiments", part.experiment, "targets", number)
                    try:
                        items.append(_target(target, experiment, own))
                    except ValueError as error:
                        self._add(DataFault(where_of, str(error)))
                found[part.experiment] = tuple(items)
        return {name: found[name] for name in model.experiments if name in found}

    def _check_criterion(self, name: str, criterion: str, base: Input) -> None:
        """A criterion of the paper can judge the protocol and scan of its own experiment only."""
        known = {row.id: row for row in EXPERIMENTS}
        found = recognise(base.model_dump(mode="json"))
        if criterion in known and (found is None or found[0].id != criterion):
            self._add(
                DataFault(
                    ("experiments", name, "criterion"),
                    f"{criterion} judges the protocol and the scan of "
                    f"{known[criterion].name}.yaml, whole or in quick form; the input has others",
                )
            )


def _target(target: Target, experiment: Experiment, legs: tuple[Any, ...]) -> Comparison:
    """A target as a comparison; a ValueError for the user if it cannot be one."""
    if experiment.criterion is not None:
        rows = {row.id: row.judge for row in EXPERIMENTS}
        if experiment.criterion not in rows:
            raise ValueError(f"belongs to a criterion that must be one of {', '.join(rows)}")
        bounds = _range(target, "number")
        return CriterionComparison(rows[experiment.criterion], target.quantity, bounds)
    quantity = QUANTITIES.get(target.quantity)
    if quantity is None:
        names = ", ".join(QUANTITIES)
        raise ValueError(f"has an unknown quantity {target.quantity!r}: one of {names}")
    numbers = range(len(legs)) if target.of is None else target.of
    if not len(legs) > max(numbers, default=-1) or not legs:
        raise ValueError(f"names leg {max(numbers, default=0)}, and the experiment has {len(legs)}")
    chosen = tuple(legs[number] for number in numbers)
    return TargetComparison(target.quantity, quantity, chosen, _range(target, quantity.dimension))


def _range(target: Target, dimension: str) -> Range:
    def number(value: Any, missing: float) -> float:
        if value is None:
            return missing
        if isinstance(value, str) and dimension == "number":
            return parse_quantity(value, "fraction" if "%" in value else "number")
        return parse_quantity(value, dimension)

    low = number(target.at_least, -float("inf"))
    high = number(target.at_most, float("inf"))
    if low > high:
        raise ValueError("has an at_least above its at_most")
    finite = [abs(end) for end in (low, high) if abs(end) != float("inf")]
    if target.logarithmic:
        if any(end <= 0 for end in (low, high) if abs(end) != float("inf")):
            raise ValueError("is logarithmic and must have positive ends")
        return Range(low, high, number(target.unit, 0.1), True)
    width = high - low if len(finite) == 2 else max(finite)
    unit = number(target.unit, 0.1 * width)
    if not unit > 0:
        raise ValueError("needs a positive unit: the distance that counts as one standard error")
    return Range(low, high, unit)


def _parsed(value: Any, key: str, start: Input) -> float:
    """A value written for a key, as a number in the unit of the code; a ValueError if it is none.

    Whether it fits the other keys is not checked: another parameter may change them.
    """
    node: Any = start
    *parents, last = key.split(".")
    for part in parents:
        node = node[int(part)] if isinstance(node, (list, tuple)) else getattr(node, part)
    if isinstance(node, BaseModel):
        dimension = dimension_of(type(node).model_fields[last])
        if dimension is not None:
            return parse_quantity(value, dimension)
    return float(value)


def _in_fit_file(location: Location, run: DeviceRun) -> Location:
    """Where a part of a run's input is written in the fit file."""
    if location[:1] == ("protocol",) and len(location) > 1:
        origin = run.origins[int(location[1])]
        if origin[-1] == "input":
            return origin
        return origin[:-1] if "from_data" in origin else (*origin, *location[2:])
    if location[:1] in (("scan",), ("protocol",)):
        return ("experiments", run.parts[0].experiment)
    return location
