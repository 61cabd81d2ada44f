"""Columns from a few words of a command line and the names in a header."""

import pytest

from kmc_oxy.measured import ColumnChoice, CurveError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("time (s),Voltage (V),current (nA),G (uS)\n1,2,3,4\n")
    return path


def test_the_header_decides(file):
    section = ColumnChoice(file).section({"voltage"})
    assert (section.x.quantity, section.y.quantity) == ("voltage", "current")
    assert (section.x.column, section.y.unit, section.scale) == (None, None, "absolute")
    assert ColumnChoice(file).section({"pulse", "time"}).x.quantity == "time"


def test_words_decide(file):
    choice = ColumnChoice(file, "time", "conductance:G (uS):uS", "a column", "free")
    section = choice.section(())
    assert section.x.column is None and section.curves == "a column"
    assert (section.y.column, section.y.unit, section.scale) == ("G (uS)", "uS", "free")
    section = ColumnChoice(file, "time:a:b:", "current::nA").section(())
    assert (section.x.column, section.x.unit, section.y.column) == ("a:b", None, None)


@pytest.mark.parametrize(
    ("x", "y", "shown", "words"),
    [
        ("", "", ("time", "voltage"), r"d\.csv: has columns named time and voltage: .*--data-x"),
        ("", "", (), r"d\.csv: has columns named time and voltage"),
        ("temperature:T", "", (), "--data-x: must begin with one of pulse, time, voltage, field"),
        ("time:t:V", "", (), r"--data-x: must have a unit of duration .*got 'V'"),
        ("pulse:N:s", "", (), "--data-x: must have no unit"),
        ("", "time", (), "--data-y: must begin with one of conductance, current, resistance"),
    ],
)
def test_refused(file, x, y, shown, words):
    with pytest.raises(CurveError, match=words) as caught:
        ColumnChoice(file, x, y).section(shown)
    assert str(caught.value).count("\n") == 0


def test_a_header_without_a_quantity(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CurveError, match="has no column named pulse or time or voltage or field"):
        ColumnChoice(path).section(())
