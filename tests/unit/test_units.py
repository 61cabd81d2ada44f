"""Quantities with units: their values, and the texts that are refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmc_oxy.units import HELD_IN, UNITS, find_unit, format_quantity, parse_quantity, spaced


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("50 ms", "duration", 0.05),
        ("50ms", "duration", 0.05),
        ("5 min", "duration", 300.0),
        ("1 h", "duration", 3600.0),
        ("0.835 nm", "length", 8.35e-10),
        ("5 Å", "length", 5e-10),
        ("-2.8 V", "voltage", -2.8),
        ("−2.8 V", "voltage", -2.8),
        ("+4 V", "voltage", 4.0),
        ("100 mV", "voltage", 0.1),
        ("1e13 Hz", "frequency", 1e13),
        ("10 THz", "frequency", 1e13),
        ("1e13 1/s", "frequency", 1e13),
        ("0.2 eV", "energy", 0.2),
        ("0.2eV", "energy", 0.2),
        ("30 meV", "energy", 0.03),
        ("1.602176634e-19 J", "energy", 1.0),
        ("76 K", "temperature", 76.0),
        ("25 degC", "temperature", 298.15),
        ("-197.15 °C", "temperature", 76.0),
        ("10 mT", "magnetic field", 0.01),
        ("1 uS", "conductance", 1e-6),
        ("1 µS", "conductance", 1e-6),
        ("1 μS", "conductance", 1e-6),
        ("2 nA", "current", 2e-9),
        ("250 Oe", "magnetic field", 0.025),
        ("3 /nm", "inverse length", 3e9),
        ("3 1/nm", "inverse length", 3e9),
        ("2 kΩ", "resistance", 2000.0),
        ("1e3 K/W", "thermal resistance", 1000.0),
        ("7.5 %", "fraction", 0.075),
        (" .5 V ", "voltage", 0.5),
        (50e-3, "duration", 0.05),
        (4, "voltage", 4.0),
        (0.1, "fraction", 0.1),
        (3.2, "number", 3.2),
    ],
)
def test_value(text, dimension, value):
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-15, abs=0)


def test_text_is_rounded_once():
    # The product of two floats, 0.835 * 1e-9, is another float than the nearest one.
    assert parse_quantity("0.835 nm", "length") == 0.835e-9
    assert parse_quantity("2.3 us", "duration") == 2.3e-6


@pytest.mark.parametrize(
    ("value", "dimension", "words"),
    [
        ("5 V", "duration", ["is a voltage, not a duration", "ms", "min"]),
        ("5 s", "energy", ["is a duration, not an energy", "meV"]),
        ("5 parsec", "length", ["unknown unit 'parsec'", "nm"]),
        ("5 MS", "conductance", ["unknown unit 'MS'"]),
        ("5", "length", ["has no unit", "nm"]),
        ("5 ms", "number", ["is a duration, not a number", "without a unit"]),
        ("1,5 V", "voltage", ["unknown unit"]),
        ("five V", "voltage", ["must be a voltage", "mV"]),
        ("", "voltage", ["must be a voltage"]),
        ("1_000 V", "voltage", ["unknown unit"]),
        ("1e400 V", "voltage", ["finite"]),
        ("1e99999999999999999999999 V", "voltage", ["finite"]),
        ("1" * 5000 + " V", "voltage", ["must be a voltage"]),
        (10**400, "voltage", ["finite"]),
        (math.nan, "voltage", ["finite"]),
        (-math.inf, "voltage", ["finite"]),
        ("nan V", "voltage", ["must be a voltage"]),
        (True, "voltage", ["must be a voltage"]),
        (None, "voltage", ["must be a voltage"]),
        ([1.0], "voltage", ["must be a voltage"]),
        ({}, "voltage", ["must be a voltage"]),
    ],
)
def test_refused(value, dimension, words):
    with pytest.raises(ValueError) as caught:
        parse_quantity(value, dimension)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message) < 200


def test_every_unit_is_of_a_dimension_and_every_dimension_has_its_unit():
    assert {dimension for dimension, _ in UNITS.values()} <= set(HELD_IN)
    for dimension, held in HELD_IN.items():
        if held:
            assert UNITS[held] == (dimension, 1.0)


@given(st.text(max_size=40), st.sampled_from(sorted(HELD_IN)))
def test_any_text_is_a_finite_number_or_a_value_error(text, dimension):
    try:
        value = parse_quantity(text, dimension)
    except ValueError:
        return
    assert math.isfinite(value)


@given(
    st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-20),
    st.sampled_from(sorted(HELD_IN)),
)
def test_format_is_read_back(value, dimension):
    text = format_quantity(value, dimension)
    read = parse_quantity(text if HELD_IN[dimension] else float(text), dimension)
    assert read == pytest.approx(value, rel=1e-9)


def test_format_chooses_a_fitting_unit():
    assert format_quantity(0.835e-9, "length") == "0.835 nm"
    assert format_quantity(0.05, "duration") == "50 ms"
    assert format_quantity(-0.1, "voltage") == "-0.1 V"
    assert format_quantity(0.0, "duration") == "0 s"


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("µS", ("conductance", 1e-6)),
        (" kOhm ", ("resistance", 1e3)),
        ("1/nm", ("inverse length", 1e9)),
        ("fA", ("current", 1e-15)),
        ("parsec", None),
        ("degC", None),
        ("", None),
    ],
)
def test_a_unit_by_itself(text, unit):
    assert find_unit(text) == unit


@pytest.mark.parametrize(
    ("first", "last", "count", "logarithmic", "values"),
    [
        ("1 V", "3 V", 3, False, ["1 V", "2 V", "3 V"]),
        ("1 ms", "1 s", 4, True, ["1 ms", "10 ms", "100 ms", "1 s"]),
        ("-10 degC", "10 degC", 3, False, ["-10 degC", "0 degC", "10 degC"]),
        (10, 30, 3, False, [10, 20, 30]),
        (1, 2, 3, False, [1, 1.5, 2]),
        (0.1, 0.4, 4, False, [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_values_at_equal_distances(first, last, count, logarithmic, values):
    found = spaced(first, last, count, logarithmic=logarithmic)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("1 V", "3 s", "units that agree"),
        ("1 V", 3, "units that agree"),
        ("1 K", "3 degC", "units that agree"),
        (-1, 1, "above 0"),
        ("1 parsec", "2 parsec", "unknown unit 'parsec'"),
        (None, 1, "numbers or texts"),
        (True, 1, "numbers or texts"),
    ],
)
def test_ends_that_have_no_values_between_them(first, last, words):
    with pytest.raises(ValueError, match=words):
        spaced(first, last, 3, logarithmic=True)
