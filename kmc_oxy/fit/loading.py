"""Read a fit file: checked models, runs, parameters and comparisons, or every fault at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kmc_oxy.analysis import Leg, legs_of_schedule
from kmc_oxy.fit.comparison import (
    Comparison,
    DataComparison,
    absolute_errors,
)
from kmc_oxy.fit.device_runs import DeviceRun, device_runs
from kmc_oxy.fit.fit_file import INPUT_SECTIONS, Experiment, FitFile
from kmc_oxy.fit.free_parameters import ParameterReader, own_faults
from kmc_oxy.fit.idle_parameters import idle_parameters
from kmc_oxy.fit.matched_curves import CurveMismatch, match_curves
from kmc_oxy.fit.parameters import Parameter
from kmc_oxy.fit.sound_parts import depends_on, sound_parts
from kmc_oxy.fit.targets import target_comparison
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
    overlap,
    read_data,
    read_text,
)
from kmc_oxy.inputs.schema import Input, Location, Step
from kmc_oxy.measured import DataSection, MeasuredCurve, read_curves, steps_of
from kmc_oxy.paper import EXPERIMENTS, recognise
from kmc_oxy.protocol import flatten


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
    """The check of one fit file; collects its faults.

    What a fault makes unusable is left out of the checks that follow, so that all other faults are
    found as well.
    """

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
        #: Experiments with a fault.
        self._unusable: set[str] = set()

    def load(self) -> LoadedFit:
        model, left_out, faults = sound_parts(self._data)
        self._add(*faults)
        if model is None:
            raise InputError(self._faults)
        written = set(self._written("experiments"))
        self._unusable = written ^ set(model.experiments)
        inputs, curves = self._inputs(model), self._curves(model)
        model = self._with_protocols(model, curves)
        self._check_settings()
        parameters = self._parameters(model, left_out)
        usable = {k: v for k, v in model.experiments.items() if k not in self._unusable}
        runs = device_runs(model.model_copy(update={"experiments": usable}), inputs)
        runs = tuple(run for run in runs if self._is_sound(run, left_out))
        comparisons = self._comparisons(model, runs, curves)
        if not self._unusable:
            found = idle_parameters(model, runs, comparisons)
            self._add(*(DataFault(("parameters", key), why, True) for key, why in found.items()))
        if self._faults:
            raise InputError(self._faults)
        return LoadedFit(
            self._text, str(self._path), self._overrides, model, parameters, runs, comparisons,
            curves,
        )  # fmt: skip

    def _add(self, *faults: DataFault) -> None:
        self._faults += [self._places.locate(fault, self._data) for fault in faults]

    def _refuse(self, name: str, *faults: DataFault) -> None:
        """Note faults of an experiment, which is left out of the further checks."""
        self._add(*faults)
        self._unusable.add(name)

    def _written(self, section: str) -> dict[str, Any]:
        """A section of the file as written; of one that is no mapping nothing."""
        found = self._data.get(section)
        return found if isinstance(found, dict) else {}

    def _inputs(self, model: FitFile) -> dict[str, LoadedInput]:
        found = {}
        for name, experiment in model.experiments.items():
            where: Location = ("experiments", name, "input")
            if experiment.input is not None:
                try:
                    found[name] = load(self._folder / experiment.input)
                except InputError as error:
                    self._faults += error.faults
                    self._refuse(name, DataFault(where, "names an input with faults"))
        return found

    def _curves(self, model: FitFile) -> dict[str, tuple[MeasuredCurve, ...]]:
        """The data of all experiments, of those too that have a fault elsewhere."""
        found = {}
        for name, written in self._written("experiments").items():
            try:
                if name in model.experiments:
                    section = model.experiments[name].data
                else:
                    section = DataSection.model_validate(written["data"])
                if section is not None:
                    found[name] = read_curves(self._folder / section.file, section)
            except (ValidationError, LookupError, TypeError):
                continue  # there is no section, or its faults are known
            except InputError as error:
                self._faults += error.faults
                self._unusable.add(name)
        return found

    def _with_protocols(
        self, model: FitFile, curves: Mapping[str, tuple[MeasuredCurve, ...]]
    ) -> FitFile:
        """The fit file with the protocols that follow from data."""
        experiments = dict(model.experiments)
        for name, experiment in model.experiments.items():
            given = experiment.from_data
            if given is None or name in self._unusable:
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
                self._unusable.add(name)
            except ValueError as error:
                where: Location = ("experiments", name, "from_data")
                self._refuse(name, DataFault(where, f"cannot be made: {error}"))
            experiments[name] = experiment.model_copy(update={"protocol": tuple(steps)})
        return model.model_copy(update={"experiments": experiments})

    def _check_settings(self) -> None:
        """Settings of experiments that no device has, of those too that have a fault elsewhere."""
        base = Input.model_validate({"protocol": [{"read": {}}]}).model_dump(mode="json")
        for name, written in self._written("experiments").items():
            settings = written.get("settings") if isinstance(written, dict) else None
            for key, value in settings.items() if isinstance(settings, dict) else ():
                where = ("experiments", name, "settings", key)
                if key.split(".")[0] not in INPUT_SECTIONS:
                    message = "must be a key of the device or the array"
                    self._refuse(name, DataFault(where, message, of_key=True))
                    continue
                for fault in own_faults(base, key, value):
                    self._refuse(name, fault._replace(location=where))

    def _parameters(self, model: FitFile, left_out: list[Location]) -> tuple[Parameter, ...]:
        reader = ParameterReader(model, left_out)
        found = []
        for key in self._written("parameters"):
            where: Location = ("parameters", key)
            message = reader.fault_of_key(key)
            if message and not any(overlap(tuple(key.split(".")), place) for place in left_out):
                self._add(DataFault(where, message, of_key=True))
            if message or key not in model.parameters:
                continue
            read = reader.read(key, model.parameters[key])
            if isinstance(read, Parameter):
                found.append(read)
            else:
                self._add(*read)
        return tuple(found)

    def _is_sound(self, run: DeviceRun, left_out: list[Location]) -> bool:
        """Whether a run can be made at the start; notes its faults where they are written."""
        try:
            run.at({}, 1)
        except ValidationError as error:
            for fault in data_faults(error):
                if not depends_on(fault, left_out):
                    self._add(fault._replace(location=_in_fit_file(fault.location, run)))
            self._unusable |= {part.experiment for part in run.parts}
            return False
        return True

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
                name, experiment = part.experiment, model.experiments[part.experiment]
                own = [leg for leg in legs if part.first <= leg.step < part.stop]
                items: list[Comparison] = []
                if experiment.data is not None:
                    try:
                        items.append(_data_comparison(experiment, curves[name], own, base))
                    except CurveMismatch as error:
                        self._refuse(name, DataFault(("experiments", name, "data"), str(error)))
                if experiment.criterion is not None:
                    self._check_criterion(name, experiment.criterion, base)
                for number, target in enumerate(experiment.targets):
                    where: Location = ("experiments", name, "targets", number)
                    has_spin = base.spin.model != "none"
                    try:
                        items.append(target_comparison(target, experiment.criterion, own, has_spin))
                    except ValueError as error:
                        self._refuse(name, DataFault(where, str(error)))
                found[name] = tuple(items)
        return {name: found[name] for name in model.experiments if name in found}

    def _check_criterion(self, name: str, criterion: str, base: Input) -> None:
        """A criterion of the paper can judge the protocol and scan of its own experiment only."""
        known = {row.id: row for row in EXPERIMENTS}
        found = recognise(base.model_dump(mode="json"))
        if criterion in known and (found is None or found[0].id != criterion):
            message = (
                f"{criterion} judges the protocol and the scan of {known[criterion].name}.yaml, "
                "whole or in quick form; the input has others"
            )
            self._refuse(name, DataFault(("experiments", name, "criterion"), message))


def _data_comparison(
    experiment: Experiment, curves: Sequence[MeasuredCurve], legs: Sequence[Leg], base: Input
) -> DataComparison:
    """The data of an experiment over its legs; a CurveMismatch for the user if they do not fit."""
    assert experiment.data is not None
    matched = match_curves(curves, legs)
    if experiment.data.x.quantity == "field" and base.spin.model == "none":
        raise CurveMismatch(
            "are a field sweep, in which nothing changes with spin.model: none: choose another "
            "model"
        )
    if not all(absolute_errors(curve).all() for curve in curves):
        raise CurveMismatch(
            "have a curve of which all currents are 0 A, and no errors: name a column of errors "
            "(error: {column: NAME}), or leave the curve out"
        )
    return DataComparison(matched, experiment.data.scale == "free")


def _in_fit_file(location: Location, run: DeviceRun) -> Location:
    """Where a part of a run's input is written in the fit file."""
    if location[:1] == ("protocol",) and len(location) > 1:
        origin = run.origins[int(location[1])]
        if origin[-1] == "input":
            return origin
        return origin[:-1] if "from_data" in origin else (*origin, *location[2:])
    first = run.parts[0].experiment
    if location[:1] in (("scan",), ("protocol",)):
        return ("experiments", first)
    for key in run.settings:
        if overlap(tuple(key.split(".")), tuple(map(str, location))):
            return ("experiments", first, "settings", key)
    return location
