"""The calibration: residuals, moves, and a search that is deterministic and resumes."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import pytest
import yaml

from kmc_oxy.inputs import InputError
from kmc_oxy.paper import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "calibration"))

import calibrate  # noqa: E402
import calibration_table as table  # noqa: E402

TINY = (
    "device.lattice.nx=6", "device.lattice.ny=6", "ensemble.members=2", "engine.tolerance=0.5",
)  # fmt: skip


class Immediate:
    """A pool that computes at once and counts."""

    def __init__(self):
        self.calls = []

    def submit(self, call, row, settings):
        self.calls.append((row, settings))
        value = call(row, settings)
        return type("Done", (), {"result": staticmethod(lambda: value)})


@pytest.fixture
def bowl(monkeypatch):
    """Residuals whose cost has its minimum inside every parameter's range."""
    goal = {}
    for each in table.PARAMETERS:
        goal[each.key] = math.sqrt(each.low * each.high) if each.factor else (
            0.5 * (each.low + each.high)
        )  # fmt: skip

    def residuals(row, settings):
        point = dict(setting.split("=") for setting in settings)
        distance = 0.0
        for each in table.PARAMETERS:
            value = float(point[each.key])
            if each.factor:
                distance += (math.log(value / goal[each.key]) / math.log(each.step)) ** 2
            else:
                distance += ((value - goal[each.key]) / each.step) ** 2
        names = [f"{row}: {seen.part}" for seen in table.OBSERVATIONS if seen.row == row]
        return dict.fromkeys(names, math.sqrt(distance))

    monkeypatch.setattr(calibrate, "row_residuals", residuals)
    return goal


def corner():
    return {each.key: each.low for each in table.PARAMETERS}


def ledger(folder, pool, width=1):
    return calibrate.Ledger(folder / "evaluations.csv", (), pool, width)


def test_residual_is_the_distance_beyond_the_margin():
    seen = table.Observation("X", "x", 4.0, 12.0, 2.0, "")
    assert seen.residual(8.0) == 0.0
    assert seen.residual(13.2) == pytest.approx(1.0)  # the margin is 0.8
    assert seen.residual(2.8) == pytest.approx(1.0)
    assert seen.residual(math.nan) == 10.0
    assert seen.residual(1e9) == 10.0


def test_residual_of_a_sign_has_no_margin():
    seen = table.Observation("4d", "x", -math.inf, -1.0, 10.0, "")
    assert seen.residual(-1.0) == 0.0
    assert seen.residual(19.0) == pytest.approx(2.0)


def test_residual_in_decades():
    seen = next(each for each in table.OBSERVATIONS if each.row == "R")
    inside = math.sqrt(seen.low * seen.high)
    assert seen.residual(inside) == 0.0
    assert seen.residual(10 * seen.high) == pytest.approx((1 + 0.1) / seen.unit)


def test_moves_stay_in_range_and_are_halved():
    plain = table.Parameter("a", 0.0, 1.0, 0.4, "")
    assert plain.moved(0.8, 1, 0) is None
    assert plain.moved(0.8, 1, 1) == pytest.approx(1.0)
    assert plain.moved(0.8, -1, 0) == pytest.approx(0.4)
    factor = table.Parameter("a", 1.0, 100.0, 4.0, "", factor=True)
    assert factor.moved(2.0, 1, 0) == pytest.approx(8.0)
    assert factor.moved(2.0, -1, 1) == pytest.approx(1.0)
    assert factor.moved(2.0, -1, 0) is None


def test_default_device_lies_in_the_ranges():
    point = calibrate.point_of({})
    for each in table.PARAMETERS:
        assert each.low <= point[each.key] <= each.high, each.key


def test_the_calibrated_set_lies_in_the_ranges_and_comes_back_from_its_overlay(tmp_path):
    calibrated = (ROOT / "inputs" / "calibrated.yaml").read_text(encoding="utf-8")
    point = calibrate.point_of(yaml.safe_load(calibrated))
    for each in table.PARAMETERS:
        assert each.low <= point[each.key] <= each.high, each.key
    calibrate.write_overlay(tmp_path / "best.yaml", point, 1.0)
    assert calibrate.point_of(yaml.safe_load((tmp_path / "best.yaml").read_text())) == point
    assert point != calibrate.point_of({})


def test_search_finds_the_bottom_of_a_bowl(bowl, tmp_path):
    best, cost = calibrate.search(ledger(tmp_path, Immediate()), corner(), 2000)
    # Within half of the smallest step of every parameter.
    assert cost < len(table.PARAMETERS) * 9 / (2 * 2**calibrate.HALVINGS) ** 2 * 1.001
    for each in table.PARAMETERS:
        assert each.low <= best[each.key] <= each.high


def test_search_goes_on_where_it_was_and_does_not_depend_on_the_jobs(bowl, tmp_path):
    for name in ("whole", "parts", "wide"):
        (tmp_path / name).mkdir()
    whole = calibrate.search(ledger(tmp_path / "whole", Immediate()), corner(), 60)
    calibrate.search(ledger(tmp_path / "parts", Immediate()), corner(), 25)
    second = Immediate()
    parts = calibrate.search(ledger(tmp_path / "parts", second), corner(), 35)
    wide = calibrate.search(ledger(tmp_path / "wide", Immediate(), width=5), corner(), 60)
    assert parts == whole
    assert wide == whole
    with open(tmp_path / "parts" / "evaluations.csv", newline="") as file:
        places = [tuple(row[each.key] for each in table.PARAMETERS) for row in csv.DictReader(file)]
    assert len(places) == len(set(places))  # nothing is computed twice


def test_an_evaluation_ends_once_it_costs_more_than_the_best(bowl, tmp_path):
    pool = Immediate()
    book = ledger(tmp_path, pool)
    at_bottom = book.cost(bowl)
    calls = len(pool.calls)
    assert calls == len(table.REDUCED)
    bound = book.cost(corner(), at_bottom)
    assert len(pool.calls) == calls + 1
    assert bound > at_bottom
    # Asked for in full, it is computed in full.
    assert book.cost(corner()) > bound
    assert len(pool.calls) == calls + 1 + len(table.REDUCED)


def test_parameters_that_contradict_each_other_cost_infinity(monkeypatch, tmp_path):
    def refuse(row, settings):
        raise InputError("no")

    monkeypatch.setattr(calibrate, "row_residuals", refuse)
    assert ledger(tmp_path, Immediate()).cost(corner()) == math.inf


def test_overlay_is_read_back_as_a_start(bowl, tmp_path, monkeypatch):
    calibrate.write_overlay(tmp_path / "start.yaml", bowl, 1.0)
    monkeypatch.setattr(calibrate, "ProcessPoolExecutor", lambda jobs: _Pool())
    best, _ = calibrate.main(tmp_path / "out", start=tmp_path / "start.yaml", evaluations=3)
    assert best == pytest.approx(bowl)
    with open(tmp_path / "out" / "best.yaml") as file:
        assert yaml.safe_load(file)["conductance"]["slab"] == pytest.approx(
            bowl["conductance.slab"]
        )


class _Pool(Immediate):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_every_row_is_compared_or_said_not_to_be():
    rows = {each.row for each in table.REDUCED}
    assert rows == {each.row for each in table.OBSERVATIONS}
    # Endurance is a drift of a few per cent over thousands of cycles: no cheap protocol sees it.
    assert {each.id for each in EXPERIMENTS} - rows == {"S3"}


@pytest.mark.parametrize("row", [each.row for each in table.REDUCED])
def test_reduced_protocols_run_and_measure_what_is_compared(row):
    found = calibrate.row_residuals(row, TINY)
    assert set(found) == {f"{row}: {each.part}" for each in table.OBSERVATIONS if each.row == row}
    assert all(0 <= value <= 10 for value in found.values())
