import h5py
import numpy as np
import pytest
import whole_runs
from matplotlib.image import imread

from kmc_oxy.analysis import conductance_averages, ensemble_mean, is_wide, legs
from kmc_oxy.cli.tables import run_table
from kmc_oxy.figures import Panel, panels, plot, run_figure
from kmc_oxy.figures.run_figure import draw
from kmc_oxy.figures.style import COLOURS, MAX_COLOURED, MAX_SERIES
from kmc_oxy.report.page import page
from kmc_oxy.storage import StoreError, open_output

DEVICE = "device: {lattice: {nx: 5, ny: 5}}\nengine: {tolerance: 0.2}\n"
TRAIN = "{train: {voltage: %s, duration: 1 ms, count: 10}}"
MANY = f"""
name: all kinds
protocol:
  - pulse: {{voltage: -4 V, duration: 1 s}}
  - {TRAIN % 2}
  - {TRAIN % -2.8}
  - relax: {{duration: 10 s, points_per_decade: 3}}
  - sweep: {{amplitude: 1 V, step: 0.25}}
ensemble: {{members: 2, seed: 1}}
"""


def compute(folder, text):
    return whole_runs.compute(folder, DEVICE + text)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return compute(tmp_path_factory.mktemp("many"), MANY)


def test_legs_know_what_they_are(many):
    with open_output(many) as file:
        found = list(legs(file, 0))
        assert [leg.kind for leg in found] == ["single", "train", "train", "relax", "sweep"]
        assert [leg.step for leg in found] == [leg.number for leg in found] == [0, 1, 2, 3, 4]
        assert found[1].pulse.tolist() == list(range(11))
        np.testing.assert_allclose(found[3].time_s[[0, -1]], [1e-3, 10])
        for leg in found:
            np.testing.assert_array_equal(
                leg.values(file, "conductance"), file["conductance"][0, :, 0, 0, leg.readings]
            )
        stops = [leg.readings.stop for leg in found]
        assert [leg.readings.start for leg in found] == [0, *stops[:-1]]
        assert stops[-1] == file["time"].shape[1]


def test_a_panel_is_a_function_and_an_entry(many, monkeypatch):
    """Figure and report take all panels from one table; those without data are left out."""

    def pulses(data):
        trains = data.of_kind("train")
        text = f"{len(trains)} trains"
        return Panel(1, lambda axes: axes[0].plot([1, 2]), "count", text, text)

    def nothing(data):
        return None

    monkeypatch.setattr(run_figure, "PANELS", (nothing, pulses))
    with open_output(many) as file:
        assert [panel.caption for panel in panels(file)] == ["2 trains"]
        assert [axes.get_title() for axes in draw(file).axes] == ["count"]
        assert "2 trains" in page(file)


def test_every_kind_has_its_panel(many):
    with open_output(many) as file:
        figure = draw(file)
        trains = [leg for leg in legs(file, 0) if leg.kind == "train"]
        averages = conductance_averages(file)
        means = [averages.mean(leg.values(file, "conductance")).mean for leg in trains]
        (sweep,) = (leg for leg in legs(file, 0) if leg.kind == "sweep")
        moved = sweep.voltage_V != 0
        currents_A = averages.mean(np.abs(sweep.values(file, "sweep_current"))[:, moved]).mean
    axes = figure.axes
    titles = [a.get_title() for a in axes]
    axes = [axes[titles.index(t)] for t in ("pulse trains", "relaxation", "voltage sweep")]
    assert "pulse number" in axes[0].get_xlabel() and axes[0].get_xscale() == "log"
    assert "time" in axes[1].get_xlabel() and axes[1].get_xscale() == "log"
    assert "(V)" in axes[2].get_xlabel() and "|current| (A)" in axes[2].get_ylabel()
    drawn_A = axes[2].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn_A[moved], currents_A)
    assert np.isnan(drawn_A[~moved]).all()
    for a in axes[:2]:
        assert a.get_ylabel() == f"conductance (S)\n{averages.name} and spread of 2 members"
        assert a.yaxis.get_major_formatter()(1e-9).endswith("S")
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["+2 V", "-2.8 V"]
    markers = [line for line in axes[0].lines if line.get_marker() not in ("", "None", None)]
    assert len({(m.get_marker(), m.get_fillstyle()) for m in markers}) == 2
    for line, mean in zip(markers, means, strict=True):
        assert line.get_xdata().tolist() == list(range(1, 11))
        np.testing.assert_allclose(line.get_ydata(), mean[1:])


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_plot_writes_what_the_name_says(many, tmp_path, kind):
    out = tmp_path / f"figure.{kind}"
    plot(many, out)
    content = out.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    if kind == "png":
        assert imread(out)[..., :3].std() > 0.05


def test_what_cannot_be_drawn_is_refused(many, tmp_path):
    with pytest.raises(StoreError, match=r"'txt' file.*png"):
        plot(many, tmp_path / "figure.txt")
    with pytest.raises(StoreError, match="cannot write"):
        plot(many, tmp_path / "absent" / "figure.png")


def test_a_scan_is_one_series_a_point(tmp_path):
    path = compute(
        tmp_path,
        f"protocol: [{TRAIN % 2}]\nscan: {{protocol.0.train.duration: [1 ms, 10 ms, 50 ms]}}\n",
    )
    with open_output(path) as file:
        axes, _ = panel(file, "pulse trains")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"train.duration {value} ms" for value in (1, 10, 50)]


def test_many_series_are_thinned_and_it_says_so(tmp_path):
    path = compute(
        tmp_path,
        f"protocol: [{{repeat: {{count: 20, steps: [{TRAIN % 2}, {TRAIN % -2}]}}}}]\n",
    )
    with open_output(path) as file:
        axes = draw(file).axes[0]
    assert axes.get_title() == f"pulse trains ({MAX_SERIES} of 40 legs)"
    assert len(axes.get_legend().get_texts()) == MAX_SERIES


def test_single_readings_are_drawn_against_time(tmp_path):
    path = compute(
        tmp_path,
        "protocol: [{repeat: {count: 3, steps: [{pulse: {voltage: 4, duration: 1}}]}}]\n",
    )
    with open_output(path) as file:
        axes = draw(file).axes[0]
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), file["time"][0])
    assert axes.get_xlabel() == "time (s)" and axes.get_ylabel() == "conductance (S)"


PULSE = "{pulse: {voltage: 2 V, duration: 1 ms}}"


def panel(file, title):
    """The axes with a title, and those drawn beside it (a scale of colours)."""
    axes = draw(file).axes
    (found,) = [a for a in axes if a.get_title().startswith(title)]
    following = axes[axes.index(found) + 1 :]
    return found, [a for a in following if not a.get_title() and a.get_ylabel()]


@pytest.mark.parametrize(
    ("points", "step"), [(2, TRAIN % 2), (8, TRAIN % 2), (9, TRAIN % 2), (18, PULSE), (70, PULSE)]
)
def test_every_point_is_drawn_and_named_or_said_to_be_left_out(tmp_path, points, step):
    """Up to 8 points by a legend; more values of one number by a scale of colours."""
    temperatures = ", ".join(str(60 + number) for number in range(points))
    path = compute(
        tmp_path,
        f"protocol: [{step}]\nscan: {{device.temperature: [{temperatures}]}}\n",
    )
    with open_output(path) as file:
        axes, scales = panel(file, "pulse trains" if "train" in step else "readings")
    marked = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
    shown = min(points, MAX_COLOURED)
    assert len(marked) == shown
    assert (f"({shown} of {points}" in axes.get_title()) == (shown < points)
    looks = {(str(m.get_color()), m.get_marker(), m.get_fillstyle()) for m in marked}
    assert len(looks) == shown
    if points > len(COLOURS):
        assert [scale.get_ylabel() for scale in scales] == ["temperature (K)"]
    else:
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names == [f"temperature {60 + number} K" for number in range(points)]


def test_a_grid_of_points_has_a_name_each_or_a_note(tmp_path):
    for temperatures, shown in (("70, 80, 90", 9), ("60, 70, 80, 90, 100, 110", 16)):
        text = f"protocol: [{TRAIN % 2}]\nscan: {{device.temperature: [{temperatures}], "
        text += "protocol.0.train.voltage: [1 V, 2 V, 3 V]}\n"
        folder = tmp_path / str(shown)
        folder.mkdir()
        with open_output(compute(folder, text)) as file:
            axes, _ = panel(file, "pulse trains")
        names = [entry.get_text() for entry in axes.get_legend().get_texts()]
        assert len(set(names)) == len(names) == shown
        assert names[1] == "temperature 70 K, train.voltage 2 V" or shown < 18
        assert ("16 of 18" in axes.get_title()) == (shown == 16)


def test_the_effect_of_the_last_step_is_drawn_against_the_scanned_number(tmp_path):
    text = """
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - pulse: {voltage: 2 V, duration: 1 ms}
scan:
  device.temperature: [90, 76 K]
  protocol.1.pulse.voltage: [1 V, 3 V, 2 V]
ensemble: {members: 3, seed: 1}
"""
    with open_output(compute(tmp_path, text)) as file:
        axes, _ = panel(file, "effect of step 1")
        ratio = file["conductance"][:, :, 0, 0, 1] / file["conductance"][:, :, 0, 0, 0]
        geometric = is_wide(ratio[:3].T) or is_wide(ratio[3:].T)
        expected = ensemble_mean(ratio, axis=1, geometric=geometric).mean
    assert axes.get_xlabel() == "pulse.voltage (V)"
    warm, cold = (line for line in axes.lines if len(line.get_xdata()) == 3)
    assert warm.get_label() == "temperature 90 K" and cold.get_label() == "temperature 76 K"
    for line, values in ((warm, expected[:3]), (cold, expected[3:])):
        assert line.get_xdata().tolist() == [1, 2, 3]
        np.testing.assert_allclose(line.get_ydata(), values[[0, 2, 1]])


def test_points_without_a_kind_of_step_are_named(tmp_path):
    text = f"protocol: [{PULSE}]\nscan: {{protocol.0: [{PULSE}, {TRAIN % 2}, {TRAIN % -2}]}}\n"
    with open_output(compute(tmp_path, text)) as file:
        axes, _ = panel(file, "pulse trains")
    assert axes.get_title() == "pulse trains (of 2 of 3 points)"


def test_a_dollar_sign_in_a_name_is_drawn_as_it_is(tmp_path):
    path = compute(tmp_path, f"name: costs $5 and $x^{{\nprotocol: [{PULSE}]\n")
    plot(path, tmp_path / "figure.png")
    with open_output(path) as file:
        assert draw(file).get_suptitle() == "costs $5 and $x^{"


def test_steps_of_one_voltage_are_told_apart(tmp_path):
    with open_output(compute(tmp_path, f"protocol: [{TRAIN % 2}, {TRAIN % 2}]\n")) as file:
        axes, _ = panel(file, "pulse trains")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["+2 V (step 0)", "+2 V (step 1)"]


def test_values_that_are_not_finite_are_left_out_and_named(tmp_path):
    path = compute(tmp_path, f"protocol: [{TRAIN % 2}]\nensemble: {{members: 4, seed: 1}}\n")
    with h5py.File(path, "r+") as file:
        file["conductance"][0, 1, 0, 0, 3] = np.nan
        file["conductance"][0, 2, 0, 0, 4] = np.inf
    with open_output(path) as file:
        axes, _ = panel(file, "pulse trains")
        assert "2 stored conductances are not finite and left out" in page(file)
        values = file["conductance"][0, :, 0, 0, 3]
        averages = conductance_averages(file)
    kept = np.exp(np.log(values[[0, 2, 3]]).mean()) if averages.geometric else np.nanmean(values)
    np.testing.assert_allclose(axes.lines[0].get_ydata()[2], kept)
    assert "2 stored conductances are not finite and left out" in run_table(path)
    plot(path, tmp_path / "figure.png")


def test_a_loop_has_a_band_for_each_branch(tmp_path):
    text = "protocol: [{sweep: {amplitude: 1 V, step: 0.25}}]\nensemble: {members: 4, seed: 1}\n"
    with open_output(compute(tmp_path, text)) as file:
        axes, _ = panel(file, "voltage sweep")
        (leg,) = (leg for leg in legs(file, 0) if leg.kind == "sweep")
        turns = np.count_nonzero(np.diff(np.sign(np.diff(leg.voltage_V))))
    assert len(axes.collections) == turns + 1 > 1


def test_a_relaxation_is_drawn_against_the_exact_time_since_it_began(tmp_path):
    text = """
protocol:
  - read: {duration: 1e6 s}
  - pulse: {voltage: 3 V, duration: 1 ns, rest: null}
  - relax: {duration: 10 ns, first: 10 ps, points_per_decade: 4}
"""
    with open_output(compute(tmp_path, text)) as file:
        axes, _ = panel(file, "relaxation")
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.geomspace(1e-11, 1e-8, 13), rtol=1e-12)


@pytest.mark.parametrize("steps", ["map: {}", "program: {cell: [0, 0], voltage: 2 V}"])
def test_steps_without_a_panel_of_their_own_are_readings(tmp_path, steps):
    with open_output(compute(tmp_path, f"protocol: [{steps}]\n")) as file:
        axes, _ = panel(file, "readings")
    assert axes.lines


def test_what_no_panel_shows_is_said(many, tmp_path):
    with open_output(many) as file:
        assert draw(file).get_supxlabel() == "not drawn: 1 pulse"
    text = (
        f"protocol: [{TRAIN % 2}]\nscan: {{protocol.0: [{TRAIN % 2}, {PULSE}, {{read: {{}}}}]}}\n"
    )
    with open_output(compute(tmp_path, text)) as file:
        assert draw(file).get_supxlabel() == "not drawn: 1 pulse, 1 read"


def test_a_panel_of_an_array_names_its_cell(tmp_path):
    text = f"crossbar: {{rows: 2, columns: 2}}\nprotocol: [{TRAIN % 2}]\n"
    with open_output(compute(tmp_path, text)) as file:
        axes, _ = panel(file, "pulse trains")
    assert axes.get_title() == "pulse trains (cell [0, 0] of 4)"
