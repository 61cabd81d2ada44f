"""Curves read from CSV files: what is understood, and one line for what is not."""

import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.tables import number_cells, text_table
from kmc_oxy.measured import CurveError, DataSection, csv_curves, read_curves

PULSES = {"x": {"quantity": "pulse", "column": "N"}, "y": {"quantity": "conductance"}}
TIMES = {"x": {"quantity": "time"}, "y": {"quantity": "conductance"}}
SWEEP = {"x": {"quantity": "voltage"}, "y": {"quantity": "current"}}


def read(folder, text, section=PULSES, **more):
    """Curves of a file with this text or these bytes."""
    path = folder / "d.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_curves(path, DataSection.model_validate({"file": "d.csv", **section, **more}))


def lines_of(folder, text, section=PULSES, **more):
    """Lines of the error, without the folder."""
    with pytest.raises(CurveError) as caught:
        read(folder, text, section, **more)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_curve_has_si_units_and_its_lines(tmp_path):
    text = '# measured in May\n\nN,"G (uS)",note,dG\n0,1.5,a,0.1\n# remark\n2,2.5,b,0.2\n'
    y = {"quantity": "conductance", "column": "G (uS)", "unit": "uS"}
    section = PULSES | {"y": y, "error": {"column": "dG"}}
    (curve,) = read(tmp_path, text, section)
    assert (curve.label, curve.x_quantity, curve.y_quantity) == ("", "pulse", "conductance")
    np.testing.assert_array_equal(curve.x, [0, 2])
    np.testing.assert_allclose(curve.y, [1.5e-6, 2.5e-6], rtol=1e-15)
    np.testing.assert_allclose(curve.error, [1e-7, 2e-7], rtol=1e-15)
    assert curve.lines.tolist() == [4, 6] and curve.lines.dtype == np.int64
    assert curve.source.endswith("d.csv") and curve.time_s is None


@pytest.mark.parametrize(
    "text",
    [
        b"N,conductance (nS)\n1,1.5\n3,2.5\n",
        b"\xef\xbb\xbfN,conductance (nS)\r\n1,1.5\r\n3,2.5\r\n",
        b"N;conductance [nS]\n1;1,5\n3;2,5\n",
        b"N\tConductance (nS)\n1\t1,5\n3\t2,5\n",
        b"N, CONDUCTANCE (nS) ,\n1, 1.5 ,\n\n2, NA,\n2,nan,\n2,,\n3,2.5,\n",
        b'"N","conductance (nS)"\r1,"1.5"\r3,"2.5"',
        "# µ\nN,conductance,b,a\n1,1.5e-9,x,y\n3,2.5e-9,\u03a9,\n".encode(),
        b"N,conductance (nS)\n1,1.5,,\n3,2.5\n",
    ],
)
def test_ways_to_write_a_table(tmp_path, text):
    (curve,) = read(tmp_path, text)
    np.testing.assert_array_equal(curve.x, [1, 3])
    np.testing.assert_allclose(curve.y, [1.5e-9, 2.5e-9], rtol=1e-15)


def test_a_unit_that_is_given_and_one_of_the_header(tmp_path):
    for header, unit, size in (
        ("conductance (µS)", None, 1e-6),
        ("conductance (uS)", "µS", 1e-6),
        ("conductance (device 3)", "nS", 1e-9),
        ("conductance", None, 1.0),
    ):
        (curve,) = read(tmp_path, f"N,{header}\n1,2\n", y={"quantity": "conductance", "unit": unit})
        assert curve.y[0] == pytest.approx(2 * size)


def test_errors_have_the_unit_of_y(tmp_path):
    y = {"quantity": "conductance", "column": "G (uS)"}
    for column in ("dG", "dG (uS)", "dG"):
        text = f"N,G (uS),{column}\n1,2,0.5\n"
        (curve,) = read(tmp_path, text, y=y, error={"column": column})
        assert curve.error[0] == pytest.approx(0.5e-6)
    (curve,) = read(tmp_path, "N,G (uS)\n1,2\n", y=y, error={"relative": "5 %"})
    assert curve.error[0] == pytest.approx(1e-7)


def test_curves_are_told_apart_in_the_order_of_their_first_rows(tmp_path):
    text = (
        "N,conductance,duration\n1,1,10 ms\n1,5,1 ms\n2,2,10 ms\n3,NA,none\n2,6,1 ms\n3,3,10 ms\n"
    )
    long, short = read(tmp_path, text, curves="duration")
    assert (long.label, short.label) == ("10 ms", "1 ms")
    assert long.y.tolist() == [1, 2, 3] and short.y.tolist() == [5, 6]
    assert long.lines.tolist() == [2, 4, 7] and short.lines.tolist() == [3, 6]


def test_a_sweep_may_turn_and_have_times(tmp_path):
    text = "t (ms),voltage,current (nA)\n0,0,0\n1,1,3\n2,0,-1\n3,-1,-5\n"
    (curve,) = read(tmp_path, text, SWEEP, time={"column": "t (ms)"})
    assert curve.x.tolist() == [0, 1, 0, -1]
    np.testing.assert_allclose(curve.y, [0, 3e-9, -1e-9, -5e-9])
    np.testing.assert_allclose(curve.time_s, [0, 1e-3, 2e-3, 3e-3])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("N,conductance\n1,abc\n", "d.csv:2: column 'conductance': must be a number (got 'abc')"),
        ("N,conductance\n1,1_0\n", "d.csv:2: column 'conductance': must be a number (got '1_0')"),
        (
            "N,conductance\n1,inf\n",
            "d.csv:2: column 'conductance': must be a finite number (",
        ),
        ("N,conductance\n1,1e999\n", "d.csv:2: column 'conductance': must be a finite number"),
        ('N,conductance\n1,"1,5"\n', "must be a number with a decimal point (got '1,5')"),
        ("N,conductance\n1,1,5\n", "d.csv:2: has 3 cells, but the header has 2 (decimal commas"),
        (
            "N;conductance\n1;1,5\n2;1.5\n",
            "d.csv:2: column 'conductance': has a decimal comma",
        ),
        ("N;conductance\n1;1.234,5\n", "must be a number (got '1.234,5')"),
        ("N,conductance\n1\n", "d.csv:2: has 1 of 2 cells"),
        (
            "N,conductance\n1,0\n",
            "d.csv:2: column 'conductance': must be a conductance above 0; an empty",
        ),
        ("N,conductance\n1.5,1\n", "d.csv:2: column 'N': must be a whole number, the number of"),
        ("N,conductance\n-1,1\n", "d.csv:2: column 'N': must be a whole number"),
        (
            "N,conductance\n3,1\n\n3,2\n",
            "d.csv:4: column 'N': must rise within a curve (3 aft",
        ),
        (
            "n,conductance\n1,1\n",
            "d.csv:1: no column has the name 'N': did you mean 'n'? (",
        ),
        (
            "N,G\n1,1\n",
            "d.csv:1: no column is named conductance: name the column",
        ),
        ("N conductance\n1 1\n", "the file has one column, 'N conductance'; columns are separated"),
        ("N,conductance,N\n1,1,2\n", "d.csv:1: 2 columns have the name 'N'"),
        ("N,conductance (V)\n1,1\n", "d.csv:1: column 'conductance (V)': must have a unit of cond"),
        ("N,conductance (x)\n1,1\n", "(S, mS, uS, nS, pS; got 'x'); `unit` gives the unit where"),
        ("N (s),conductance\n1,1\n", "d.csv:1: column 'N (s)': has the unit s: pulses are counted"),
        ("", "d.csv: is empty: a header and rows of numbers are needed"),
        ("# only\n\n", "d.csv: has comments and blank lines only"),
        ("1,2\n3,4\n", "d.csv:1: has no header: the first line that is no comment must name the"),
        ("# N,conductance\n1,2\n", "must name the columns; if line 1 is meant, remove its #"),
        ("N,conductance\n", "d.csv: has no rows with values after its header"),
        ("N,conductance\n1,NA\n", "d.csv: has no rows with values after its header"),
        ('N,conductance\n1,"2\n3,4\n', "d.csv:2: cannot be split into cells: a quote"),
        ('N,"conductance\n', "d.csv:1: cannot be split into cells: a quote"),
        (b"N,conductance\n1,\xb5\n", "d.csv:2: is not UTF-8 text (byte 0xb5): save it as CSV in"),
        ("N,conductance\n".encode("utf-16"), "d.csv: is not UTF-8 text: save it as CSV in UTF-8"),
        (b"PK\x03\x04\0\0", "d.csv: is not UTF-8 text"),
    ],
)
def test_a_fault_is_one_line(tmp_path, text, line):
    (found,) = lines_of(tmp_path, text)
    assert line in found and found.startswith("d.csv") and len(found) < 200


def test_faults_of_other_columns(tmp_path):
    for text, section, line in (
        ("time,conductance\n1,1\n0.5,1\n", TIMES, "d.csv:3: column 'time': must rise within a"),
        ("time,conductance\n1,1\n0.5,1\n", TIMES, "sort the rows, or name the column that tells"),
        (
            "N,conductance,e\n1,1,0\n",
            PULSES | {"error": {"column": "e"}},
            "d.csv:2: column 'e': must be an error above 0 (got 0)",
        ),
        (
            "voltage,current\n1,0\n",
            SWEEP | {"error": {"relative": 0.1}},
            "d.csv:2: column 'current': must not be 0 with a relative error, which would be",
        ),
        ("N,conductance,c\n1,1,\n", PULSES | {"curves": "c"}, "d.csv:2: column 'c': is empty"),
        (
            "N,conductance (uS)\n1,1\n",
            PULSES | {"y": {"quantity": "conductance", "unit": "nS"}},
            "has the unit uS in the header, but nS is given as its unit",
        ),
        (
            "time (h),conductance\n1e305,1\n",
            TIMES,
            "d.csv:2: column 'time (h)': must be a finite number in SI units",
        ),
    ):
        (found,) = lines_of(tmp_path, text, section)
        assert line in found


def test_a_file_that_is_none(tmp_path):
    section = DataSection.model_validate({"file": "d", **PULSES})
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(CurveError, match="cannot be read"):
            read_curves(path, section)


def test_all_faults_are_listed_up_to_twenty(tmp_path):
    rows = "".join(f"{n},x\n" for n in range(500)) + "a,1\n" + "5,-1\n5,-1\n"
    found = lines_of(tmp_path, "N,conductance\n" + rows)
    assert len(found) == 21 and found[-1] == "... and 484 more"
    assert [line.split(":")[1] for line in found[:20]] == [str(n) for n in range(2, 22)]
    found = lines_of(tmp_path, "N,conductance\nx,1\n1,-1\n1,1\n2,\n")
    assert [line.split(":")[1] for line in found] == ["2", "3", "4"]


def test_control_characters_are_not_printed(tmp_path):
    (found,) = lines_of(tmp_path, "N,conductance\n1,\x1b[31m\n")
    assert "\x1b" not in found and "\\x1b" in found


def test_an_error_is_an_input_error_and_travels(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "N,conductance\n" + "x,1\n" * 30)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and "... and 10 more" in str(copy)


def test_large_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    (tmp_path / "d.csv").touch()
    with open(tmp_path / "big.csv", "wb") as file:
        file.truncate(text_table.MAX_BYTES + 1)
    section = DataSection.model_validate({"file": "d", **PULSES})
    with pytest.raises(CurveError, match="has 200 MB; at most 200"):
        read_curves(tmp_path / "big.csv", section)
    monkeypatch.setattr(number_cells, "MAX_ROWS", 3)
    (found,) = lines_of(tmp_path, "N,conductance\n" + "".join(f"{n},1\n" for n in range(4)))
    assert "has more than 3 rows" in found


def test_long_lines_and_many_lines_are_refused(tmp_path, monkeypatch):
    (found,) = lines_of(tmp_path, "N,conductance\n" + "1" * 1_000_001)
    assert found == "d.csv:2: has more than 1,000,000 characters: is it a table?"
    monkeypatch.setattr(text_table, "MAX_LINES", 10)
    (found,) = lines_of(tmp_path, "N,conductance\n" + "#\n" * 10)
    assert found == "d.csv: has more than 10 lines"


def test_a_column_that_tells_nothing_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_curves, "MAX_CURVES", 2)
    text = "N,conductance,c\n1,1,a\n1,1,b\n1,1,c\n"
    (found,) = lines_of(tmp_path, text, curves="c")
    assert "column 'c': has more than 2 values" in found


def test_a_million_rows_take_seconds(tmp_path):
    count = 1_000_000
    rows = "".join(f"{n},{1 + n % 7}.25e-6,0.1\n" for n in range(count))
    began = time.process_time()
    (curve,) = read(tmp_path, "N,conductance,e\n" + rows, error={"column": "e"})
    assert curve.x.size == count and curve.y[1] == pytest.approx(2.25e-6)
    assert time.process_time() - began < 15  # about 3


@given(st.lists(st.text(max_size=30), max_size=6), st.sampled_from([PULSES, TIMES, SWEEP]))
def test_any_text_is_curves_or_one_error(tmp_path_factory, lines, section):
    folder = tmp_path_factory.mktemp("any")
    try:
        curves = read(folder, "\n".join(lines).encode("utf-8", "surrogatepass"), section)
    except CurveError as error:
        assert str(error)
    else:
        assert all(curve.x.size for curve in curves)


@given(
    st.lists(
        st.sampled_from(["1", "2.5", "-3", "1e400", "nan", "", "x", '"', "1,5", "0", " 7 ", "#"]),
        max_size=12,
    ),
    st.sampled_from([",", ";", "\t"]),
)
def test_any_cells_are_curves_or_one_error(tmp_path_factory, cells, separator):
    rows = [separator.join(cells[k : k + 2]) for k in range(0, len(cells), 2)]
    text = "\n".join([f"N{separator}conductance", *rows])
    try:
        (curve,) = read(tmp_path_factory.mktemp("any"), text)
    except CurveError as error:
        assert 1 <= len(str(error).splitlines()) <= 21
    else:
        assert np.isfinite(curve.x).all() and (curve.y > 0).all() and (np.diff(curve.x) > 0).all()
