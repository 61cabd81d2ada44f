import csv
import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from kmc_oxy import cli
from kmc_oxy.analysis import read_trains
from kmc_oxy.export import export, formats
from kmc_oxy.export.aihwkit import aihwkit_parameters
from kmc_oxy.export.formats import FORMATS
from kmc_oxy.export.selection import Selection
from kmc_oxy.export.update_trains import update_trains
from kmc_oxy.physics import Lattice
from kmc_oxy.storage import StoreError, open_output

# Two lattices and two lengths of the protocol, so that a point can be taken for another.
TEXT = """
device: {lattice: {nx: 4, ny: 3, organic_layers: 4, organic_thickness: 5 nm, oxide_layers: 1}}
protocol:
  - pulse: {voltage: 4 V, duration: 10 ms}
  - repeat:
      count: 2
      steps:
        - train: {voltage: 3 V, duration: 1 ms, count: 12}
        - train: {voltage: -2 V, duration: 2 ms, count: 12}
  - read: {}
ensemble: {members: 3, seed: 4}
output: {snapshots: all}
scan: {device.lattice.nx: [4, 5], protocol.1.repeat.count: [2, 1]}
"""
SHAPE = (4, 3)  # points, members
LOW_S, HIGH_S = 2e-9, 8e-9


def run(folder, text=TEXT, *settings):
    (folder / "in.yaml").write_text(text)
    arguments = [item for setting in settings for item in ("--set", setting)]
    path = folder / "out.h5"
    assert cli.main(["run", str(folder / "in.yaml"), "-o", str(path), "-q", *arguments]) == 0
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A real file in which the conductances are those of a known soft bound with scatter."""
    path = run(tmp_path_factory.mktemp("trained"), TEXT, "scan={}")
    rng = np.random.default_rng(7)
    with h5py.File(path, "r+") as file:
        legs, pulses = file["leg"][0], file["pulse"][0]
        g = np.full(3, 0.1)
        for reading, (leg, pulse) in enumerate(zip(legs, pulses, strict=True)):
            if pulse and leg in (1, 3):
                g = g + 0.15 * (1 - g) ** 2 * (1 + 0.1 * rng.normal(size=3))
            elif pulse and leg in (2, 4):
                g = g - 0.2 * g**1.5 * (1 + 0.1 * rng.normal(size=3))
            file["conductance"][0, :, 0, 0, reading] = LOW_S + (HIGH_S - LOW_S) * g
    return path


def test_csv_holds_every_reading(source, tmp_path):
    assert export(source, "csv", tmp_path / "t.csv") == [tmp_path / "t.csv"]
    with open(tmp_path / "t.csv", newline="") as text, h5py.File(source) as file:
        table = list(csv.DictReader(text))
        assert list(table[0])[:13] == [
            *("point", "member", "row", "column", "reading"),
            *("device.lattice.nx", "protocol.1.repeat.count"),
            *("time", "pulse", "step", "leg", "voltage", "conductance"),
        ]
        assert {"magnetoresistance", "oxygen_organic", "hops"} < set(table[0])
        lengths = [np.count_nonzero(file["leg"][point] >= 0) for point in range(4)]
        assert sorted(set(lengths)) == [28, 54]
        assert len(table) == 3 * sum(lengths)
        for line in table:
            point, member, row, column, reading = (
                int(line[name]) for name in ("point", "member", "row", "column", "reading")
            )
            where = (point, member, row, column, reading)
            for name in ("conductance", "hops", "oxygen_organic"):
                assert float(line[name]) == file[name][where]
            assert float(line["time"]) == file["time"][point, reading]
            assert float(line["voltage"]) == file["voltage"][point, row, column, reading]
            assert float(line["device.lattice.nx"]) == (4, 4, 5, 5)[point]


def test_csv_of_one_device(source, tmp_path):
    export(source, "csv", tmp_path / "t.csv", Selection(point=1, member=2))
    with open(tmp_path / "t.csv", newline="") as text:
        table = list(csv.DictReader(text))
    assert len(table) == 28
    assert {(line["point"], line["member"]) for line in table} == {("1", "2")}


def test_csv_of_an_array(tmp_path):
    text = TEXT.replace("scan:", "crossbar: {rows: 2, columns: 3}\nscan:")
    path = run(tmp_path, text, "scan={}", "output.snapshots=none", "spin.model=none")
    export(path, "csv", tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as text, h5py.File(path) as file:
        table = list(csv.DictReader(text))
        assert len(table) == 3 * 6 * 54
        last = table[-1]
        assert (last["member"], last["row"], last["column"]) == ("2", "1", "2")
        assert float(last["conductance"]) == file["conductance"][0, 2, 1, 2, 53]


def lattice_of(point):
    return Lattice((4, 4, 5, 5)[point], 3, 4, 1, 0.835e-9, 5e-9, 2e-9)


def test_xyz_structure(source, tmp_path):
    export(source, "xyz", tmp_path / "t.xyz", Selection(point=3, member=1))
    lines = (tmp_path / "t.xyz").read_text().splitlines()
    lattice = lattice_of(3)
    with h5py.File(source) as file:
        readings = file["snapshot_reading"][3]
        assert (readings >= 0).sum() == 28
        for number in range(28):
            count = int(lines[0])
            sites = file["oxygen_site"][3, 1, 0, 0, number]
            sites = sites[sites >= 0]
            assert count == sites.size > 0
            assert 'Lattice="41.75 0 0 0 25.05 0 0 0 70"' in lines[1]
            assert 'Properties=species:S:1:pos:R:3:layer:I:1 pbc="T T F"' in lines[1]
            assert f"time={file['time'][3, readings[number]].item()!r} " in lines[1]
            atoms = [line.split() for line in lines[2 : 2 + count]]
            assert {atom[0] for atom in atoms} == {"O"}
            np.testing.assert_allclose(
                [[float(x) for x in atom[1:4]] for atom in atoms],
                lattice.position_m[sites] * 1e10,
                atol=1e-6,
            )
            assert [int(atom[4]) for atom in atoms] == lattice.layer[sites].tolist()
            lines = lines[2 + count :]
    assert lines == []


def test_xyz_opens_in_ase(source, tmp_path):
    ase_io = pytest.importorskip("ase.io")
    export(source, "xyz", tmp_path / "t.xyz")
    frames = ase_io.read(tmp_path / "t.xyz", index=":", format="extxyz")
    lattice = lattice_of(0)
    with h5py.File(source) as file:
        assert len(frames) == 54
        for number in (0, 20, 53):
            frame = frames[number]
            sites = file["oxygen_site"][0, 0, 0, 0, number]
            np.testing.assert_allclose(
                frame.positions, lattice.position_m[sites[sites >= 0]] * 1e10, atol=1e-6
            )
            assert frame.info["conductance"] == file["conductance"][0, 0, 0, 0, number]
            assert frame.pbc.tolist() == [True, True, False]
            np.testing.assert_allclose(frame.cell.lengths(), [33.4, 25.05, 70])


def test_vtkhdf_structure(source, tmp_path):
    """As the specification of VTKHDF 2.0 has it: ImageData, Steps, x fastest."""
    export(source, "vtkhdf", tmp_path / "t.vtkhdf", Selection(point=2))
    lattice = lattice_of(2)
    with h5py.File(tmp_path / "t.vtkhdf") as found, h5py.File(source) as file:
        root = found["VTKHDF"]
        assert root.attrs["Version"].tolist() == [2, 0]
        assert root.attrs["Type"] == b"ImageData"
        assert h5py.check_string_dtype(root.attrs.get_id("Type").dtype).encoding == "ascii"
        assert h5py.check_string_dtype(root.attrs.get_id("Type").dtype).length == 9
        assert root.attrs["WholeExtent"].tolist() == [0, 4, 0, 2, 0, 4]
        np.testing.assert_allclose(root.attrs["Spacing"], [0.835, 0.835, 1.25])
        np.testing.assert_allclose(root.attrs["Origin"], [0, 0, 0.625])
        assert root["Steps"].attrs["NSteps"] == 54
        np.testing.assert_array_equal(root["Steps/Values"], file["time"][2])
        occupied = root["PointData/occupied"]
        assert occupied.shape == (54, 5, 3, 5)
        for step, offset in enumerate(root["Steps/PointDataOffsets/occupied"]):
            sites = file["oxygen_site"][2, 0, 0, 0, step]
            np.testing.assert_array_equal(
                np.flatnonzero(occupied[offset].ravel()), sites[sites >= 0]
            )
        for name in ("organic", "height_nm"):
            assert root[f"Steps/PointDataOffsets/{name}"][()].tolist() == [0] * 54
        np.testing.assert_allclose(
            root["PointData/height_nm"][0].ravel(), lattice.position_m[:, 2] * 1e9
        )
        assert root["PointData/organic"][0, :, 0, 0].tolist() == [1, 1, 1, 1, 0]


def test_vtkhdf_opens_in_vtk(source, tmp_path):
    reader = pytest.importorskip("vtk").vtkHDFReader()
    support = pytest.importorskip("vtk.util.numpy_support")
    path = str(export(source, "vtkhdf", tmp_path / "t.vtkhdf")[0])
    assert reader.CanReadFile(path)
    reader.SetFileName(path)
    reader.UpdateInformation()
    assert reader.GetNumberOfSteps() == 54
    with h5py.File(source) as file:
        for step in (0, 30, 53):
            reader.UpdateTimeStep(file["time"][0, step])
            image = reader.GetOutput()
            assert image.GetDimensions() == (4, 3, 5)
            data = image.GetPointData()
            sites = file["oxygen_site"][0, 0, 0, 0, step]
            occupied = support.vtk_to_numpy(data.GetArray("occupied"))
            np.testing.assert_array_equal(np.flatnonzero(occupied), sites[sites >= 0])
            assert data.GetArray("height_nm").GetRange() == (0.625, 6.0)


def test_trains_are_told_apart_by_sign(source):
    with open_output(source) as file:
        found = read_trains(file, point=1)
        assert str(found[1]) == "+3 V 0.001 s" and str(found[-1]) == "-2 V 0.002 s"
        assert [train.shape for train in found[1].conductance_S] == [(3, 13)]
        assert len(read_trains(file, point=2)[-1].conductance_S) == 2
        np.testing.assert_array_equal(
            found[-1].conductance_S[0], file["conductance"][1, :, 0, 0, 14:27]
        )


def read_crosssim(path):
    """As the lookup-table model of CrossSim 2 reads its files."""
    rows = [np.genfromtxt(path, delimiter=",", skip_header=n, max_rows=1) for n in (1, 2)]
    return (*rows, np.genfromtxt(path, delimiter=",", skip_header=3))


def test_crosssim_tables(trained, tmp_path):
    written = export(trained, "crosssim", tmp_path / "tables")
    assert [path.name for path in written] == ["dG_increasing.txt", "dG_decreasing.txt"]
    up, down = (read_crosssim(path) for path in written)
    for conductance, cdf, change in (up, down):
        assert change.shape == (cdf.size, conductance.size)
        # Its quick look-up needs even spacing.
        np.testing.assert_allclose(np.diff(conductance), np.diff(conductance)[0], rtol=1e-6)
        np.testing.assert_allclose(np.diff(cdf), np.diff(cdf)[0], rtol=1e-6)
        assert (cdf[0], cdf[-1]) == (0, 1)
        assert np.all(np.diff(change, axis=0) >= 0)
    np.testing.assert_array_equal(up[0], down[0])
    np.testing.assert_array_equal(up[1], down[1])
    g = (up[0] - LOW_S) / (HIGH_S - LOW_S)
    median = up[2][50] / (HIGH_S - LOW_S), down[2][50] / (HIGH_S - LOW_S)
    # Bins have a width, and few pulses each.
    np.testing.assert_allclose(median[0], 0.15 * (1 - g) ** 2, atol=0.02)
    np.testing.assert_allclose(median[1], -0.2 * g**1.5, atol=0.02)


def test_aihwkit_columns_and_parameters(trained, tmp_path):
    written = export(trained, "aihwkit", tmp_path / "t.csv")
    assert written == [tmp_path / "t.csv", tmp_path / "t.json"]
    columns = np.loadtxt(written[0], delimiter=",")
    with h5py.File(trained) as file:
        values = file["conductance"][0, :, 0, 0].mean(axis=0)
        first, second = values[2:14], values[28:40]
        np.testing.assert_allclose(columns[:, 0], (first + second) / 2, rtol=1e-12)
        np.testing.assert_allclose(columns[:, 1], (values[15:27] + values[41:53]) / 2, rtol=1e-12)
    found = json.loads(written[1].read_text())
    assert found["PiecewiseStepDevice"]["w_min"] == -1
    assert found["conductance"]["at_weight_minus_1_S"] < found["conductance"]["at_weight_plus_1_S"]
    assert found["trains"]["down"]["voltage_V"] == -2 and found["trains"]["up"]["members"] == 3
    law = found["soft_bound"]
    assert law["up"]["gamma"] == pytest.approx(2, abs=0.5)
    assert law["down"]["gamma"] == pytest.approx(1.5, abs=0.5)
    assert next(iter(law["up"]["aicc"])) == "nlsb"
    for device in ("PiecewiseStepDevice", "PowStepDevice"):
        assert found[device]["dw_min_std"] == pytest.approx(0.1, abs=0.06)


def test_aihwkit_devices_take_the_steps_of_the_law(trained, tmp_path):
    """The update rules of both devices as aihwkit documents them, without scatter."""
    found = json.loads(export(trained, "aihwkit", tmp_path / "t.csv")[1].read_text())
    low_S, high_S = found["conductance"].values()
    for w in np.linspace(-0.9, 0.9, 7):
        g = (low_S + (w + 1) / 2 * (high_S - low_S) - LOW_S) / (HIGH_S - LOW_S)
        to_weight = 2 * (HIGH_S - LOW_S) / (high_S - low_S)
        expected = np.array([0.15 * (1 - g) ** 2, 0.2 * g**1.5]) * to_weight
        power = found["PowStepDevice"]
        omega = (power["w_max"] - w) / (power["w_max"] - power["w_min"])
        # The implementation lowers the weaker direction and leaves the stronger one alone.
        scale, gamma = (
            power[size] * (1 + np.array([min(power[bias], 0), min(-power[bias], 0)]))
            for size, bias in (("dw_min", "up_down"), ("pow_gamma", "pow_up_down"))
        )
        steps = scale * np.array([omega, 1 - omega]) ** gamma
        np.testing.assert_allclose(steps, expected, rtol=0.15, atol=0.01)
        piecewise = found["PiecewiseStepDevice"]
        nodes = np.linspace(-1, 1, len(piecewise["piecewise_up"]))
        steps = piecewise["dw_min"] * np.array(
            [np.interp(w, nodes, piecewise[f"piecewise_{way}"]) for way in ("up", "down")]
        )
        np.testing.assert_allclose(steps, expected, rtol=0.25, atol=0.02)


LACKING = {
    "one polarity": ("- train: {voltage: 2 V, duration: 1 ms, count: 9}", "no down"),
    "the other": ("- train: {voltage: -2 V, duration: 1 ms, count: 9}", "no up"),
    "no trains": ("- read: {}", "no up (V > 0) and no down"),
    "unread": (
        "- train: {voltage: 2 V, duration: 1 ms, count: 9, read: false}\n  - read: {}",
        "no up (V > 0) and no down",
    ),
    "several kinds": (
        "- train: {voltage: 2 V, duration: 1 ms, count: 9}\n"
        "  - train: {voltage: 3 V, duration: 1 ms, count: 9}",
        "several kinds (+2 V 0.001 s, +3 V 0.001 s)",
    ),
}


@pytest.mark.parametrize("case", LACKING)
@pytest.mark.parametrize("to", ["aihwkit", "crosssim"])
def test_runs_without_the_trains_needed_are_refused(tmp_path, case, to):
    steps, message = LACKING[case]
    text = f"device: {{lattice: {{nx: 3, ny: 3}}}}\nprotocol:\n  {steps}\n"
    path = run(tmp_path, text, "spin.model=none")
    with pytest.raises(StoreError) as error:
        export(path, to, tmp_path / "t")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "t").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("voltage", [0.001, 3])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 10, 12])
def test_few_pulses_give_finite_numbers_or_one_line(tmp_path, members, voltage, count):
    """And no warning of NumPy."""
    text = f"""
device: {{lattice: {{nx: 6, ny: 6}}}}
protocol:
  - repeat:
      count: 2
      steps:
        - train: {{voltage: {voltage} V, duration: 1 us, count: {count}}}
        - train: {{voltage: -{voltage} V, duration: 1 us, count: {count}}}
ensemble: {{members: {members}, seed: {1 + (voltage < 1)}}}
output: {{snapshots: none, profile: false}}
"""
    path = run(tmp_path, text)
    try:
        _, beside = export(path, "aihwkit", tmp_path / "t.csv")
    except StoreError as error:
        assert "\n" not in str(error) and not (tmp_path / "t.csv").exists()
    else:
        assert count >= 8
        devices = json.loads(beside.read_text())
        for name in ("PiecewiseStepDevice", "PowStepDevice"):
            assert all(np.isfinite(value).all() for value in devices[name].values())


def test_trains_that_no_device_can_follow_are_named(trained):
    with open_output(trained) as file:
        updates = update_trains(file, Selection())
    curves = [replace(curve, mean_S=np.zeros_like(curve.mean_S)) for curve in updates.curves]
    with pytest.raises(StoreError, match=r"no up pulse that begins between .* changes"):
        aihwkit_parameters(replace(updates, curves=tuple(curves)))
    up, down = updates.trains
    above = replace(down, conductance_S=tuple(train + 20e-9 for train in down.conductance_S))
    with pytest.raises(StoreError, match=r"the up trains end at .* below the .* down trains"):
        aihwkit_parameters(replace(updates, trains=(up, above)))


@pytest.mark.parametrize("to", ["xyz", "vtkhdf"])
def test_runs_without_snapshots_are_refused(tmp_path, to):
    path = run(tmp_path, TEXT, "scan={}", "output.snapshots=none", "spin.model=none")
    with pytest.raises(StoreError, match="no snapshots"):
        export(path, to, tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_no_finished_run_is_refused(tmp_path, to):
    for name in ("absent.h5", "text.h5"):
        (tmp_path / "text.h5").write_text("no HDF5")
        with pytest.raises(StoreError, match=name):
            export(tmp_path / name, to, tmp_path / "t")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["conductance"] = np.ones(3)
    with pytest.raises(StoreError, match="not written by kmc_oxy"):
        export(tmp_path / "foreign.h5", to, tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_failed_export_leaves_what_was_there(trained, tmp_path, to, monkeypatch):
    """Nothing is half written, and an earlier export stays."""
    out = tmp_path / "t"
    written = export(trained, to, out)
    before = {path: path.read_bytes() for path in written}

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(StoreError, match="disk is full"):
        export(trained, to, out)
    assert {path: path.read_bytes() for path in written} == before
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("to", FORMATS)
def test_places_that_cannot_be_written(trained, tmp_path, to):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        export(trained, to, tmp_path / "file" / "t")
    with pytest.raises(StoreError, match="is the output of a run"):
        export(trained, to, trained)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(point=4), "4 points, counted from 0; no 4"),
        (Selection(member=-1), "3 members"),
        (Selection(cell=(0, 1)), "1 columns"),
        (Selection(cell=(1, 0)), "1 rows"),
    ],
)
def test_selections_outside_are_refused(source, tmp_path, selection, message):
    with pytest.raises(StoreError, match=message):
        export(source, "csv", tmp_path / "t.csv", selection)


def test_unknown_formats_are_refused(source, tmp_path):
    with pytest.raises(ValueError, match=f"must be one of {', '.join(FORMATS)}"):
        export(source, "png", tmp_path / "t.png")


def test_a_format_is_a_writer_and_an_entry(source, tmp_path, monkeypatch, capsys):
    """The table is all that the command line knows of formats."""

    def write_names(file, out, selection):
        out.write_text(" ".join(file.file))
        return [out]

    entry = formats.Format(write_names, "names of the datasets")
    monkeypatch.setitem(formats.FORMATS, "names", entry)
    out = tmp_path / "names.txt"
    assert cli.main(["export", str(source), "--to", "names", "-o", str(out)]) == 0
    assert "conductance" in out.read_text().split()
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    assert "names: names of the datasets" in " ".join(capsys.readouterr().out.split())


def test_command_line(source, tmp_path, capsys):
    """The parser offers every format, and passes the options on."""
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    page = " ".join(capsys.readouterr().out.split())
    for name, entry in FORMATS.items():
        assert f"{name}: {entry.summary}" in page
    line = ["export", str(source), "--to", "csv", "-o", str(tmp_path / "t.csv")]
    assert cli.main([*line, "--point", "1", "--member", "2", "--cell", "0", "0"]) == 0
    assert f"written: {tmp_path / 't.csv'}" in capsys.readouterr().err
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 28
    assert cli.main([*line, "--point", "4"]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "no 4" in text
