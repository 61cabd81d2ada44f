"""Physical constants, and quantities with units as a user writes them.

The code has all values in SI units, except energies, which are in electronvolts.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

# CODATA 2018.
BOLTZMANN_EV_PER_K = 8.617333262e-5
ELEMENTARY_CHARGE_C = 1.602176634e-19
VACUUM_PERMITTIVITY_F_PER_M = 8.8541878128e-12
CONDUCTANCE_QUANTUM_S = 7.748091729e-5

#: unit name -> (dimension, size in the unit of the code: SI, or eV for energies)
UNITS: dict[str, tuple[str, float]] = {
    "s": ("duration", 1.0),
    "ms": ("duration", 1e-3),
    "us": ("duration", 1e-6),
    "ns": ("duration", 1e-9),
    "ps": ("duration", 1e-12),
    "fs": ("duration", 1e-15),
    "min": ("duration", 60.0),
    "h": ("duration", 3600.0),
    "d": ("duration", 86400.0),
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "um": ("length", 1e-6),
    "nm": ("length", 1e-9),
    "pm": ("length", 1e-12),
    "angstrom": ("length", 1e-10),
    "/m": ("inverse length", 1.0),
    "/um": ("inverse length", 1e6),
    "/nm": ("inverse length", 1e9),
    "/angstrom": ("inverse length", 1e10),
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
    "uV": ("voltage", 1e-6),
    "kV": ("voltage", 1e3),
    "Hz": ("frequency", 1.0),
    "kHz": ("frequency", 1e3),
    "MHz": ("frequency", 1e6),
    "GHz": ("frequency", 1e9),
    "THz": ("frequency", 1e12),
    "/s": ("frequency", 1.0),
    "eV": ("energy", 1.0),
    "meV": ("energy", 1e-3),
    "J": ("energy", 1.0 / ELEMENTARY_CHARGE_C),
    "K": ("temperature", 1.0),
    "mK": ("temperature", 1e-3),
    "degC": ("temperature", 1.0),
    "T": ("magnetic field", 1.0),
    "mT": ("magnetic field", 1e-3),
    "uT": ("magnetic field", 1e-6),
    "G": ("magnetic field", 1e-4),
    "Oe": ("magnetic field", 1e-4),
    "S": ("conductance", 1.0),
    "mS": ("conductance", 1e-3),
    "uS": ("conductance", 1e-6),
    "nS": ("conductance", 1e-9),
    "pS": ("conductance", 1e-12),
    "A": ("current", 1.0),
    "mA": ("current", 1e-3),
    "uA": ("current", 1e-6),
    "nA": ("current", 1e-9),
    "pA": ("current", 1e-12),
    "fA": ("current", 1e-15),
    "ohm": ("resistance", 1.0),
    "mohm": ("resistance", 1e-3),
    "kohm": ("resistance", 1e3),
    "Mohm": ("resistance", 1e6),
    "Gohm": ("resistance", 1e9),
    "K/W": ("thermal resistance", 1.0),
    "%": ("fraction", 1e-2),
}

#: unit name -> its zero in the unit of the code, if that is not the zero of the dimension
_ZEROS: dict[str, str] = {"degC": "273.15"}

#: dimension -> unit of a bare number and of values in the code; empty for a pure number
HELD_IN: dict[str, str] = {
    "duration": "s",
    "length": "m",
    "inverse length": "/m",
    "voltage": "V",
    "frequency": "Hz",
    "energy": "eV",
    "temperature": "K",
    "magnetic field": "T",
    "conductance": "S",
    "current": "A",
    "resistance": "ohm",
    "thermal resistance": "K/W",
    "fraction": "",
    "number": "",
}

# Units in which a value is shown, the largest first.
_SHOWN_IN: dict[str, tuple[str, ...]] = {
    "duration": ("s", "ms", "us", "ns", "ps"),
    "length": ("nm",),
    "inverse length": ("/nm",),
    "magnetic field": ("T", "mT", "uT"),
    "conductance": ("S", "mS", "uS", "nS", "pS"),
    "current": ("A", "mA", "uA", "nA", "pA", "fA"),
}

# Characters that stand for those of the table: typographic signs, Greek letters.
_SPELLINGS = {
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
    "\N{OHM SIGN}": "ohm",
    "\N{GREEK CAPITAL LETTER OMEGA}": "ohm",
    "\N{ANGSTROM SIGN}": "angstrom",
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": "angstrom",
    "\N{DEGREE SIGN}": "deg",
    "\N{MINUS SIGN}": "-",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
_TRANSLATION = str.maketrans(_SPELLINGS)
_NUMBER = re.compile(r"([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(.*)", re.S)
# Decimal arithmetic with a very long exponent takes very long; no quantity needs one.
_LONGEST_NUMBER = 60


def units_of(dimension: str) -> list[str]:
    """Names of the units of a dimension.

    Parameters
    ----------
    dimension : str
        A key of `HELD_IN`.

    Returns
    -------
    list of str
        In the order of `UNITS`.
    """
    return [name for name, (of, _) in UNITS.items() if of == dimension]


def find_unit(text: str) -> tuple[str, float] | None:
    """Look up a unit that stands by itself, as in the header of a table.

    Parameters
    ----------
    text : str
        ``"uS"``, ``"µS"``, ``"kOhm"``, ``"1/nm"``.

    Returns
    -------
    (str, float) or None
        Its dimension and its size in the unit of the code; None if there is no such unit, or its
        zero is not that of the code.
    """
    name = _unit_name(text.translate(_TRANSLATION).strip().replace("Ohm", "ohm"))
    return None if name in _ZEROS else UNITS.get(name)


def format_quantity(value: float, dimension: str) -> str:
    """Write a value with a unit, as `parse_quantity` reads it.

    Parameters
    ----------
    value : float
        In ``HELD_IN[dimension]``.
    dimension : str
        A key of `HELD_IN`.

    Returns
    -------
    str
        To ten digits, in the largest of the usual units that is not larger than the value.
    """
    names = _SHOWN_IN.get(dimension, (HELD_IN[dimension],))
    name = next((n for n in names if n and abs(value) >= UNITS[n][1]), names[-1] if value else "")
    if not name:
        return f"{value:.10g} {HELD_IN[dimension]}".rstrip()
    return f"{value / UNITS[name][1]:.10g} {name}"


def parse_quantity(value: object, dimension: str) -> float:
    """Read a quantity in the unit of the code.

    Parameters
    ----------
    value : float, int or str
        A bare number, taken in ``HELD_IN[dimension]``, or a string of a number and a unit
        such as ``"50 ms"``. Micro, ohm and degree signs and the typographic minus are accepted,
        and ``"1/nm"`` for ``"/nm"``.
    dimension : str
        A key of `HELD_IN`.

    Returns
    -------
    float
        SI value; eV for energies; the fraction itself for ``"%"``. A string is rounded once:
        ``"0.835 nm"`` is the float nearest to 8.35e-10.

    Raises
    ------
    ValueError
        For anything else: a boolean, a number that is not finite, no or an unknown unit, or a
        unit of another dimension.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be {_expected(dimension)}")
    if isinstance(value, str):
        return _parse_text(value, dimension)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _parse_text(text: str, dimension: str) -> float:
    match = _NUMBER.fullmatch(text.translate(_TRANSLATION).strip())
    if match is None or len(match[1]) > _LONGEST_NUMBER:
        raise ValueError(f"must be {_expected(dimension)}")
    digits, unit = match[1], _unit_name(match[2])
    if not unit and HELD_IN[dimension]:
        raise ValueError(f"has no unit: must be {_expected(dimension)}")
    if unit not in UNITS and unit:
        raise ValueError(f"has an unknown unit {unit[:20]!r}: must be {_expected(dimension)}")
    of, factor = UNITS[unit] if unit else (dimension, 1.0)
    if of != dimension:
        raise ValueError(
            f"is {_article(of)}, not {_article(dimension)}: must be {_expected(dimension)}"
        )
    try:
        exact = Decimal(digits) * Decimal(repr(factor))
        number = float(exact + Decimal(_ZEROS[unit]) if unit in _ZEROS else exact)
    except ArithmeticError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def spaced(first: Any, last: Any, count: int, *, logarithmic: bool = False) -> list[Any]:
    """Values at equal distances, written as a user would write them.

    Parameters
    ----------
    first, last : float, int or str
        Bare numbers, or texts with units of one dimension.
    count : int
        Number of values, both ends included; at least 2.
    logarithmic : bool
        Whether the ratios are equal, not the differences.

    Returns
    -------
    list of float, int or str
        The ends as given; those between have the unit of the first and twelve digits. Whole
        numbers between whole ends stay whole.

    Raises
    ------
    ValueError
        If an end is no number, the units do not fit, or a logarithm is asked of a value that is
        not positive.
    """
    (start, unit), (stop, last_unit) = _number_and_unit(first), _number_and_unit(last)
    if unit != last_unit:
        dimensions = {UNITS[name][0] if name else "" for name in (unit, last_unit)}
        if len(dimensions) > 1 or _ZEROS.keys() & {unit, last_unit}:
            raise ValueError(f"must have ends with units that agree (got {first!r} and {last!r})")
        stop *= UNITS[last_unit][1] / UNITS[unit][1]
    if logarithmic and not (start > 0 and stop > 0):
        raise ValueError("must have ends above 0 on a logarithmic scale")
    shares = (number / (count - 1) for number in range(1, count - 1))
    if logarithmic:
        between = [start * (stop / start) ** share for share in shares]
    else:
        between = [start + (stop - start) * share for share in shares]
    rounded = [float(f"{value:.12g}") for value in between]
    if unit:
        return [first, *(f"{value:.12g} {unit}" for value in rounded), last]
    if isinstance(first, int) and isinstance(last, int) and all(map(float.is_integer, rounded)):
        return [first, *map(int, rounded), last]
    return [first, *rounded, last]


def _number_and_unit(value: object) -> tuple[float, str]:
    """A number and the name of its unit, empty for a bare number."""
    match = None
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.translate(_TRANSLATION).strip())
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        match = _NUMBER.fullmatch(repr(value))
    if match is None or len(match[1]) > _LONGEST_NUMBER or not math.isfinite(float(match[1])):
        raise ValueError("must have ends that are numbers or texts with a unit")
    unit = _unit_name(match[2])
    if unit and unit not in UNITS:
        raise ValueError(f"has an unknown unit {unit[:20]!r}")
    return float(match[1]), unit


def _unit_name(text: str) -> str:
    return text[1:] if text.startswith("1/") else text


def _article(dimension: str) -> str:
    return f"{'an' if dimension[0] in 'aeiou' else 'a'} {dimension}"


def _expected(dimension: str) -> str:
    if dimension == "number":
        return "a number, without a unit"
    held = HELD_IN[dimension]
    accepted = ", ".join(units_of(dimension))
    bare = f"a number in {held}" if held else "a number"
    return f"{_article(dimension)}, {bare} or text with a unit ({accepted})"


def duration_text(seconds: float) -> str:
    """A duration to three digits, in a unit from microseconds to days.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
    """
    if seconds < 1e-9:
        return f"{seconds:.0f} s"
    for unit, size in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)):
        following = {"us": 1e-3, "ms": 1.0, "s": 120.0, "min": 7200.0, "h": 172800.0}[unit]
        if seconds < following:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"


def count_text(count: float) -> str:
    """A number to three digits with a prefix: ``1.23e+09`` is ``"1.23 G"``.

    Parameters
    ----------
    count : float

    Returns
    -------
    str
        Ends in a space if there is no prefix, so that a unit can follow.
    """
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if 0.9995 * size <= count < 1e12:
            return f"{count / size:.3g} {letter}"
    return f"{count:.3g} "
