"""The runs of a fit: which experiments share a device, and the input of each run.

Experiments with the same settings share one device: their protocols follow each other after one
conditioning, so that the conditioning is not repeated. An experiment with an `input`, or on a
`fresh` device, has a run of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kmc_oxy.fit.fit_file import INPUT_SECTIONS, FitFile
from kmc_oxy.inputs import LoadedInput, scans_layers, with_values
from kmc_oxy.inputs.schema import Input, Location


@dataclass(frozen=True)
class Part:
    """The steps of one experiment in its run: from `first` up to, but not including, `stop`."""

    experiment: str
    first: int
    stop: int


@dataclass(frozen=True, eq=False)
class DeviceRun:
    """One run of the device, with the experiments that it contains.

    Parameters
    ----------
    data : mapping
        Input of the run at the start of the fit, as JSON data; the number of members is replaced.
    parts : tuple of Part
    settings : tuple of str
        Dotted keys that this run sets; a free parameter among them is not changed.
    origins : tuple of Location
        Location in the fit file of each step of the protocol.
    """

    data: Mapping[str, Any]
    parts: tuple[Part, ...]
    settings: tuple[str, ...]
    origins: tuple[Location, ...]

    def at(self, values: Mapping[str, float], members: int) -> Input:
        """The input with other values of the free parameters.

        Parameters
        ----------
        values : mapping of str
            Dotted key -> value.
        members : int

        Returns
        -------
        Input

        Raises
        ------
        pydantic.ValidationError
            If no device has these values.
        """
        used = {key: value for key, value in values.items() if key not in self.settings}
        data = with_values(self.data, used)
        data["ensemble"] = {**data["ensemble"], "members": members}
        model = Input.model_validate(data)
        return model if scans_layers(model) else model.with_layers()


def device_runs(fit: FitFile, inputs: Mapping[str, LoadedInput]) -> tuple[DeviceRun, ...]:
    """Divide the experiments of a fit among runs of the device.

    Parameters
    ----------
    fit : FitFile
    inputs : mapping of str to LoadedInput
        Name of an experiment -> the input that it names.

    Returns
    -------
    tuple of DeviceRun
        In the order of their first experiments.
    """
    fit_data = fit.model_dump(mode="json")
    groups: dict[str, list[str]] = {}
    for name, experiment in fit.experiments.items():
        key = json.dumps(experiment.settings, sort_keys=True, default=str)
        own = experiment.input is not None or experiment.device == "fresh"
        groups.setdefault(f"own {name}" if own else f"shared {key}", []).append(name)
    return tuple(_run(fit, fit_data, names, inputs) for names in groups.values())


def _run(
    fit: FitFile,
    fit_data: Mapping[str, Any],
    names: Sequence[str],
    inputs: Mapping[str, LoadedInput],
) -> DeviceRun:
    data: dict[str, Any] = {section: fit_data[section] for section in INPUT_SECTIONS}
    data["engine"] = fit_data["engine"]
    data["name"] = f"{fit.name}: {', '.join(names)}"[:200] if fit.name else ", ".join(names)[:200]
    data["ensemble"] = {"members": fit.search.members, "seed": fit.search.seed}
    data["output"] = {"profile": False, "snapshots": "none"}
    data["scan"] = {}
    protocol: list[Any] = []
    origins: list[Location] = []
    parts = []
    given = inputs.get(names[0])
    if given is not None:
        of_input = given.model.model_dump(mode="json")
        data["crossbar"], data["scan"] = of_input["crossbar"], of_input["scan"]
        protocol = list(of_input["protocol"])
        origins = [("experiments", names[0], "input")] * len(protocol)
        parts.append(Part(names[0], 0, len(protocol)))
    else:
        protocol += fit_data["conditioning"]
        origins += [("conditioning", index) for index in range(len(protocol))]
        for name in names:
            steps = fit_data["experiments"][name]["protocol"]
            made = fit.experiments[name].from_data is not None
            origins += [
                ("experiments", name, "from_data" if made else "protocol", index)
                for index in range(len(steps))
            ]
            parts.append(Part(name, len(protocol), len(protocol) + len(steps)))
            protocol += steps
    data["protocol"] = protocol
    settings = fit.experiments[names[0]].settings
    return DeviceRun(with_values(data, settings), tuple(parts), tuple(settings), tuple(origins))
