import numpy as np
import pytest
import whole_runs
from matplotlib.image import imread

from kmc_oxy.analysis import legs
from kmc_oxy.figures import Panel, panels, plot, run_figure
from kmc_oxy.figures.run_figure import draw
from kmc_oxy.figures.style import MAX_SERIES
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
        assert [axes.get_title() for axes in draw(file).axes] == [""]
        assert "2 trains" in page(file)


def test_every_kind_has_its_panel(many):
    with open_output(many) as file:
        figure = draw(file)
        trains = [leg for leg in legs(file, 0) if leg.kind == "train"]
        means = [leg.values(file, "conductance").mean(axis=0) for leg in trains]
    axes = figure.axes
    titles = [a.get_title() for a in axes]
    axes = [axes[titles.index(t)] for t in ("pulse trains", "relaxation", "voltage sweep")]
    assert "pulse number" in axes[0].get_xlabel() and axes[0].get_xscale() == "log"
    assert "time" in axes[1].get_xlabel() and axes[1].get_xscale() == "log"
    assert "(V)" in axes[2].get_xlabel() and "current" in axes[2].get_ylabel()
    for a in axes[:2]:
        assert "conductance" in a.get_ylabel() and "2 members" in a.get_ylabel()
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
        axes = draw(file).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"train.duration {value} ms" for value in (1, 10, 50)]


def test_many_series_are_thinned_and_it_says_so(tmp_path):
    path = compute(
        tmp_path,
        f"protocol: [{{repeat: {{count: 20, steps: [{TRAIN % 2}, {TRAIN % -2}]}}}}]\n",
    )
    with open_output(path) as file:
        axes = draw(file).axes[0]
    assert axes.get_title() == f"pulse trains ({MAX_SERIES} of 40)"
    assert len(axes.get_legend().get_texts()) == MAX_SERIES


def test_single_readings_are_drawn_against_time(tmp_path):
    path = compute(
        tmp_path,
        "protocol: [{repeat: {count: 3, steps: [{pulse: {voltage: 4, duration: 1}}]}}]\n",
    )
    with open_output(path) as file:
        axes = draw(file).axes[0]
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), file["time"][0])
    assert axes.get_xlabel() == "time (s)" and axes.get_ylabel() == "conductance"


PULSE = "{pulse: {voltage: 2 V, duration: 1 ms}}"


@pytest.mark.parametrize(
    ("points", "step"), [(2, TRAIN % 2), (9, TRAIN % 2), (18, TRAIN % 2), (12, PULSE), (18, PULSE)]
)
def test_every_point_is_drawn_and_named_or_said_to_be_left_out(tmp_path, points, step):
    temperatures = ", ".join(str(60 + number) for number in range(points))
    path = compute(
        tmp_path,
        f"protocol: [{step}]\nscan: {{device.temperature: [{temperatures}]}}\n",
    )
    with open_output(path) as file:
        axes = draw(file).axes[0]
    marked = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
    shown = min(points, MAX_SERIES)
    assert len(marked) == shown
    looks = {(m.get_color(), m.get_marker(), m.get_fillstyle()) for m in marked}
    assert len(looks) == shown
    if points > 1:
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(set(labels)) == shown
    assert (f"{shown} of {points}" in axes.get_title()) == (shown < points)
