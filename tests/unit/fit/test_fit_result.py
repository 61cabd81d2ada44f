"""The result of a fit as one record, and its text."""

import h5py
import numpy as np
import pytest
from fit_examples import copied

from kmc_oxy.fit import read_fit_result, result_table
from kmc_oxy.storage import StoreError


def test_result_holds_what_was_fitted(tiny_fit):
    result = read_fit_result(tiny_fit)
    assert result.name == "a <b>tiny</b> fit of $x$"
    assert [each.key for each in result.parameters] == [
        "device.site_energy.oxide_offset",
        "conductance.conductance_scale",
    ]
    offset, scale = result.parameters
    assert (offset.low, offset.high, offset.start) == (-0.6, -0.4, -0.495)
    assert scale.is_log and scale.unit == "S" and scale.low == 1e-5
    assert scale.place(1e-4) == pytest.approx(0.5) and offset.place(-0.5) == pytest.approx(0.5)
    for each in result.parameters:
        assert each.low <= each.interval[0] <= each.best <= each.interval[1] <= each.high
    up, down = result.curves
    assert (up.experiment, up.label, down.label) == ("trains", "a_b$c$", "down")
    assert up.has_free_scale and up.scale == down.scale > 0
    np.testing.assert_array_equal(up.x, [0, 1, 2])
    np.testing.assert_allclose(up.measured, [1e-9, 2e-9, 2.2e-9])
    assert up.simulated.shape == (6, 3) and (up.simulated > 0).all()
    change, level, slope = result.targets
    assert (change.low, change.high, change.is_log) == (-0.1, 0.1, False)
    assert change.unit == pytest.approx(0.02)
    assert (level.value_unit, level.is_log, level.high) == ("S", True, np.inf)
    assert slope.low == -np.inf and slope.values.shape == (6,)


def test_sets_are_those_of_all_stages(tiny_fit):
    result = read_fit_result(tiny_fit)
    assert result.is_search.sum() == 8
    assert set(result.stage) == {"search", "slopes", "check"}
    assert len(result.stage) == len(result.cost) == len(result.members)
    assert result.correlation.shape == result.directions.shape == (2, 2)
    np.testing.assert_allclose(np.linalg.norm(result.directions, axis=1), 1)
    assert result.library.startswith("optuna ")


def test_without_intervals(tiny_fit, tmp_path):
    fit = copied(tiny_fit, tmp_path)
    with h5py.File(fit / "evaluations.h5", "r+") as file:
        for name in ("interval_value", "interval_low", "interval_high", "is_fixed"):
            del file[name]
    result = read_fit_result(fit)
    assert result.correlation is None
    assert all(each.interval is None and each.is_fixed for each in result.parameters)
    assert "[" not in result_table(fit)


def test_table(tiny_fit):
    text = result_table(tiny_fit)
    assert "device.site_energy.oxide_offset  -0." in text and " eV  [" in text
    assert "8 sets searched" in text and "  findings: " in text


def test_faults_are_one_line(tiny_fit, tmp_path):
    def refused(folder, words):
        with pytest.raises(StoreError, match=words) as caught:
            read_fit_result(folder)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "absent", "is no folder of a fit")
    refused(tmp_path, "is no folder of a fit: it has no evaluations.h5")
    fit = copied(tiny_fit, tmp_path)
    path = fit / "evaluations.h5"
    whole = path.read_bytes()
    path.unlink()
    refused(fit, "is not complete: go on with `kmc-oxy fit`")
    path.write_bytes(whole[: len(whole) // 2])
    refused(fit, "is damaged")
    path.write_text("text")
    refused(fit, "is damaged")
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file["simulated/trains"]
    refused(fit, "is damaged or was not written by this version")
    path.write_bytes(whole)
    (fit / "best.yaml").unlink()
    refused(fit, "cannot read .*best.yaml")
