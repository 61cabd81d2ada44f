"""The result of a run as a dataset, a figure, a page and a card."""

import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import kmc_oxy
from kmc_oxy.api import labelled_dataset
from kmc_oxy.storage import StoreError, open_output

TEXT = """
name: a < b
device: {lattice: {nx: 4, ny: 4}}
protocol:
  - pulse: {voltage: -4 V, duration: 1 ms}
  - train: {voltage: 1 V, duration: 1 ms, count: 3}
  - train: {voltage: 2 V, duration: 1 ms, count: 2}
scan: {device.temperature: [76 K, 100 K], protocol.1.train.count: [3, 5]}
ensemble: {members: 2, seed: 4}
"""


@pytest.fixture(scope="module")
def result():
    return kmc_oxy.run(TEXT, jobs=1, progress=False)


def short(**overrides):
    return kmc_oxy.run(TEXT, jobs=1, progress=False, ensemble__members=1, **overrides)


def test_a_grid_opens_as_a_grid(result):
    data = result.dataset
    assert "point" not in data.dims
    assert data.conductance.dims[:3] == ("temperature", "train_count", "member")
    assert data.temperature.values.tolist() == [76, 100]
    assert data.temperature.attrs["units"] == "K"
    assert data.temperature.attrs["scan_key"] == "device.temperature"
    with open_output(result.path) as file:
        for place, (temperature, count) in enumerate([(76, 3), (76, 5), (100, 3), (100, 5)]):
            found = data.conductance.sel(temperature=temperature, train_count=count)
            np.testing.assert_array_equal(found, file["conductance"][place])
        assert set(data.variables) == {
            *(name for name in file.file if name != "point" and not name.startswith("scan:")),
            "temperature",
            "train_count",
        }
    assert all("units" in variable.attrs for variable in data.variables.values())
    assert {"time", "step", "leg", "voltage"} <= set(data.coords)
    assert data.attrs["seed"] == 4
    assert result.dataset is data


def test_without_a_scan_there_are_no_points():
    data = short(scan={}).dataset
    assert data.conductance.dims == ("member", "row", "column", "reading")


def test_texts_and_points_that_are_no_grid():
    data = short(scan={"spin.model": ["none", "julliere"]}).dataset
    assert float(data.magnetoresistance.sel(model="none").max()) == 0
    assert float(abs(data.magnetoresistance.sel(model="julliere")).max()) > 0
    data = short(scan={"device.temperature": ["76 K", 76]}).dataset
    assert data.conductance.dims[0] == "point" and data.temperature.dims == ("point",)


def test_a_name_that_is_taken_is_the_whole_key(result, monkeypatch):
    monkeypatch.setattr("kmc_oxy.figures.short_names", lambda file: {"a.b.voltage": "voltage"})
    with open_output(result.path) as file:
        assert labelled_dataset._names(file) == {"a.b.voltage": "a_b_voltage"}


def test_the_file_has_the_scan_as_coordinates(result):
    with xarray.open_dataset(result.path) as data:
        assert data["conductance"].dims[0] == "point"
        for key in ("device.temperature", "protocol.1.train.count"):
            assert f"scan:{key}" in data.coords
            assert f"scan:{key}" in data["conductance"].coords
        assert {"time", "layer_z", "snapshot_reading"} <= set(data.coords)
        assert {"conductance", "wall_time"} <= set(data.data_vars)


def test_one_leg_by_number_or_name(result):
    whole = result.dataset
    pulse = result.leg("pulse")
    assert pulse.sizes["reading"] == 1
    np.testing.assert_array_equal(pulse.conductance[..., 0], whole.conductance[..., 0])
    # The trains have 3 and 5 pulses: the readings are aligned at their start.
    first = result.leg(1)
    assert first.identical(result.leg("train", 0)) and first.reading.values[0] == 0
    lengths = (first.leg == 1).sum("reading")
    assert lengths.sel(train_count=5).values.tolist() == [first.sizes["reading"]] * 2
    fewer = first.sel(train_count=3)
    missing = fewer.isel(reading=slice(int(lengths.sel(train_count=3)[0]), None))
    assert missing.sizes["reading"] == 2
    assert missing.conductance.isnull().all() and (missing.hops == -1).all()
    second = result.leg("train", 1)
    assert second.identical(result.leg(2)) and second.identical(result.leg(-1))
    for count in (3, 5):
        chosen = whole.sel(train_count=count)
        wanted = chosen.conductance.values[..., chosen.leg.values[0] == 2]
        np.testing.assert_array_equal(second.conductance.sel(train_count=count), wanted)
    assert (second.leg == 2).all() and second.hops.dtype == whole.hops.dtype


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (("train",), "2 legs are 'train': say which by number, or from 0 on as `nth`"),
        (("sweep",), "there is no leg 'sweep'"),
        (("train", 2), "there is no leg 'train', 2"),
        ((3,), "there is no leg 3"),
        ((-4,), "there is no leg -4"),
    ],
)
def test_a_leg_that_is_not_there(result, which, message):
    with pytest.raises(ValueError, match=re.escape(message)) as fault:
        result.leg(*which)
    assert str(fault.value).endswith("; there are 0 (0 pulse), 1 (1 train), 2 (2 train)")


def test_figure_page_and_card(result, tmp_path):
    figure = result.plot()
    assert len(figure.axes) >= 1 and figure._repr_png_().startswith(b"\x89PNG")
    assert result.report(tmp_path / "page.html").read_text(encoding="utf-8").count("<h1>") == 1
    card = result._repr_html_()
    assert "a &lt; b" in card and "data:image/png;base64," in card and "<script" not in card
    assert "train_count" not in card and "76 K" in card
    assert repr(result).startswith("<kmc_oxy.Result ") and "member 2" in repr(result)


def test_measured_values_over_the_figure(result, tmp_path):
    (tmp_path / "data.csv").write_text("pulse,conductance (S)\n1,1e-9\n2,2e-9\n")
    before = len(result.plot().axes[0].lines) + len(result.plot().axes[0].collections)
    figures = [
        result.plot(tmp_path / "data.csv", data_scale=scale) for scale in ("absolute", "free")
    ]
    assert all(len(f.axes[0].lines) + len(f.axes[0].collections) >= before for f in figures)
    texts = [text.get_text() for axes in figures[0].axes for text in axes.get_legend().texts]
    assert any("data" in text or "measured" in text for text in texts)


def test_open(result, tmp_path):
    again = kmc_oxy.open(str(result.path))
    assert again.dataset.identical(result.dataset) and again.input == result.input
    with pytest.raises(StoreError, match="is not an HDF5 file"):
        (tmp_path / "x.h5").write_text("no")
        kmc_oxy.open(tmp_path / "x.h5")
    with h5py.File(result.path) as file:
        assert json.loads(file.attrs["resolved"])["name"] == "a < b"


def test_without_xarray_it_says_what_to_install(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install 'kmc_oxy\[notebook\]'"):
        _ = kmc_oxy.open(result.path).dataset


def test_three_lines_from_import_to_figure(tmp_path):
    """Those of the README, as they stand there, on a smaller input."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", readme, re.S) if "kmc_oxy.run" in c)
    assert len(code.split("\n\n")) == 2 and len([*filter(None, code.splitlines())]) == 3
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "quickstart.yaml").write_text(TEXT)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "quickstart.h5").exists()
    assert (tmp_path / "quickstart.png").read_bytes().startswith(b"\x89PNG")
