"""The free parameters of a fit file, checked: their keys, ranges and priors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kmc_oxy.execution import resolved_value
from kmc_oxy.fit.fit_file import INPUT_SECTIONS, FitFile, FreeParameter
from kmc_oxy.fit.parameters import Parameter
from kmc_oxy.inputs import DataFault, NoSuchKey, data_faults, overlap, similar_key, with_values
from kmc_oxy.inputs.schema import Input, Location, Section, dimension_of, dotted, parts
from kmc_oxy.units import parse_quantity

#: Keys of a section that a message lists.
MOST_LISTED = 6


def own_faults(data: Mapping[str, Any], key: str, value: Any) -> list[DataFault]:
    """Faults that a value of a dotted key has by itself, wherever the other keys are faulty.

    Parameters
    ----------
    data : mapping
        Checked data of an input.
    key : str
    value : object

    Returns
    -------
    list of DataFault
        Without a location; the message names the part of a key or of a value that is wrong.
    """
    path = tuple(key.split("."))
    try:
        Input.model_validate(with_values(data, {key: value}))
    except NoSuchKey as error:
        return [DataFault((), f"is no key: {dotted(error.location)} {error.message}", of_key=True)]
    except ValidationError as error:
        found = []
        for fault in data_faults(error):
            place = tuple(map(str, fault.location))
            # A prefix of the key is wrong itself only if it is unknown; else it holds other keys.
            if place[: len(path)] == path or (fault.of_key and overlap(place, path)):
                inner = ".".join(place[len(path) :])
                message = f"{inner} {fault.message}" if inner else fault.message
                found.append(fault._replace(location=(), message=message))
        return found
    return []


class ParameterReader:
    """Reads free parameters.

    Parameters
    ----------
    model : FitFile
        Checked; its sections are the start.
    left_out : list of Location
        Keys of its sections whose faulty values were left out: the start is not known there.
    """

    def __init__(self, model: FitFile, left_out: list[Location]) -> None:
        self._model, self._left_out = model, left_out
        sections = {name: getattr(model, name).model_dump(mode="json") for name in INPUT_SECTIONS}
        self._data = {**sections, "protocol": [{"read": {}}]}

    def fault_of_key(self, key: str) -> str:
        """Why a key cannot be free; empty if it can.

        Parameters
        ----------
        key : str
        """
        first, *rest = key.split(".")
        if first not in INPUT_SECTIONS:
            similar = similar_key((first if rest else key,)) or similar_key((key.split(".")[-1],))
            similar = ".".join([similar, *rest]) if similar in INPUT_SECTIONS else similar
            known = similar.split(".")[0] in INPUT_SECTIONS
            question = f"; did you mean {similar}?" if known else ""
            return f"must be a key of one of the sections {', '.join(INPUT_SECTIONS)}{question}"
        try:
            value, _ = resolved_value(self._model, key)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            faults = own_faults(self._data, key, None)
            named = [fault.message for fault in faults if fault.of_key]
            return named[0] if named else "is no key of an input (docs/input.md lists them)"
        return "" if isinstance(value, float) else self._kind(key, value)

    def _kind(self, key: str, value: Any) -> str:
        """What a key is that holds no real number, and the remedy."""
        if isinstance(value, BaseModel):
            numbers = [name for name in type(value).model_fields
                       if isinstance(getattr(value, name), float)][:MOST_LISTED]  # fmt: skip
            names = f", such as {', '.join(numbers)}" if numbers else ""
            return f"is a section: name one of its real numbers{names}"
        if isinstance(value, (list, tuple)):
            return f"is a list: name a place in it, such as {key}.0"
        *parents, last = key.split(".")
        owner = resolved_value(self._model, ".".join(parents))[0]
        annotation = type(owner).model_fields[last].annotation
        if value is None and float in parts(annotation):
            return "is null: give it the value at which the search starts, in its section"
        kind = "text"
        if annotation is bool:
            kind = "true or false"
        elif int in parts(annotation):
            kind = "a whole number"
        elif get_origin(annotation) is Literal:
            kind = f"a choice ({', '.join(map(str, get_args(annotation)))})"
        return (
            f"is {kind}, and only real numbers can be free: give it one value in its section, and "
            f"compare the fits of several (--set {key}=VALUE)"
        )

    def read(self, key: str, given: FreeParameter) -> Parameter | list[DataFault]:
        """A free parameter, or the faults of its range and prior.

        Parameters
        ----------
        key : str
            One that can be free.
        given : FreeParameter
        """
        where: Location = ("parameters", key)
        faults = [
            DataFault((*where, name), fault.message, shows_value=True)
            for name in ("low", "high")
            for fault in own_faults(self._data, key, getattr(given, name))
        ]
        if faults:
            return faults
        start, unit = resolved_value(self._model, key)
        try:
            low, high = (self._parsed(getattr(given, name), key) for name in ("low", "high"))
        except (ValueError, TypeError):
            return [DataFault(where, "must have numbers as low and high")]
        is_log = given.scale == "log"
        if not low < high:
            return [DataFault((*where, "high"), "must be larger than low", shows_value=True)]
        if is_log and not low > 0:
            return [DataFault((*where, "low"), "must be positive with scale: log")]
        is_known = not any(overlap(tuple(key.split(".")), place) for place in self._left_out)
        if is_known and not low <= start <= high:
            text = f"{start:g} {'' if unit == '1' else unit}".rstrip()
            message = f"does not contain the start, {text} (the sections of this file or the "
            faults.append(DataFault(where, f"{message}defaults): widen it, or change the start"))
        parameter = Parameter(key, unit, low, high, start, is_log)
        prior = None
        if given.prior is not None:
            faults += self._faults_of_prior(parameter, given)
            prior = None if faults else self._prior(parameter, given)
        return faults or Parameter(key, unit, low, high, start, is_log, prior)

    def _faults_of_prior(self, parameter: Parameter, given: FreeParameter) -> Iterator[DataFault]:
        assert given.prior is not None
        where: Location = ("parameters", parameter.key, "prior")
        try:
            mean = self._parsed(given.prior.mean, parameter.key)
            if not parameter.low <= mean <= parameter.high:
                message = "lies outside the range: widen the range, or move the mean into it"
                yield DataFault((*where, "mean"), message, shows_value=True)
        except (ValueError, TypeError) as error:
            yield DataFault((*where, "mean"), str(error), shows_value=True)
        try:
            if not self._width(parameter, given.prior.deviation) > 0:
                raise ValueError("must be positive")
        except (ValueError, TypeError) as error:
            yield DataFault((*where, "deviation"), str(error), shows_value=True)

    def _prior(self, parameter: Parameter, given: FreeParameter) -> tuple[float, float]:
        """Mean and deviation in the cube."""
        assert given.prior is not None
        mean = self._parsed(given.prior.mean, parameter.key)
        return parameter.to_cube(mean), self._width(parameter, given.prior.deviation)

    def _width(self, parameter: Parameter, deviation: Any) -> float:
        """A standard deviation in the cube."""
        if not parameter.is_log:
            return parameter.to_cube(parameter.low + self._parsed(deviation, parameter.key))
        if isinstance(deviation, str) or not float(deviation) > 1:
            raise ValueError("must be a factor above 1 with scale: log, such as 1.5")
        return parameter.to_cube(parameter.low * float(deviation))

    def _parsed(self, value: Any, key: str) -> float:
        """A value written for a key, in the unit of the code; a ValueError if it is none.

        Whether it fits the other keys is not checked: another parameter may change them.
        """
        *parents, last = key.split(".")
        owner = resolved_value(self._model, ".".join(parents))[0]
        if isinstance(owner, Section):
            dimension = dimension_of(type(owner).model_fields[last])
            if dimension is not None:
                return parse_quantity(value, dimension)
        return float(value)
