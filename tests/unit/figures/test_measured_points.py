"""Measured points over the panels of a run, and the factor that brings them closest."""

import numpy as np
import pytest
import whole_runs

from kmc_oxy.figures import plot
from kmc_oxy.figures.common_factor import common_factor
from kmc_oxy.figures.measured_points import MAX_POINTS
from kmc_oxy.figures.panel import PanelCurve
from kmc_oxy.figures.run_figure import draw
from kmc_oxy.figures.style import MAX_SERIES
from kmc_oxy.measured import ColumnChoice, CurveError
from kmc_oxy.storage import open_output

ALL = """
device: {lattice: {nx: 5, ny: 5}}
engine: {tolerance: 0.2}
protocol:
  - train: {voltage: 2 V, duration: 1 ms, count: 10}
  - relax: {duration: 10 s, points_per_decade: 3}
  - sweep: {amplitude: 1 V, step: 0.25}
  - field_sweep: {step: 10 mT}
ensemble: {members: 2, seed: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return whole_runs.compute(tmp_path_factory.mktemp("all"), ALL)


def overlaid(run, folder, text, title, **choice):
    """The axes of a title, with the points of a file over them."""
    path = folder / "d.csv"
    path.write_text(text)
    with open_output(run) as file:
        figure = draw(file, ColumnChoice(path, **choice))
    (axes,) = (axes for axes in figure.axes if axes.get_title().startswith(title))
    others = [axes for axes in figure.axes if not axes.get_title().startswith(title)]
    assert not any(axes.containers for axes in others)
    return axes


def points(axes):
    """Data of the measured points of each curve."""
    return [container.lines[0].get_xydata() for container in axes.containers]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def drawn(run, title):
    """Data of the first line of the panel of a title."""
    with open_output(run) as file:
        (axes,) = (axes for axes in draw(file).axes if axes.get_title() == title)
    return axes.lines[0].get_xydata()


def test_pulses(run, tmp_path):
    text = "pulse,conductance (nS)\n0,1\n1,2\n4,NA\n9,4\n"
    axes = overlaid(run, tmp_path, text, "pulse trains")
    np.testing.assert_allclose(points(axes)[0], [[1, 2e-9], [9, 4e-9]])
    assert legend(axes)[-1] == "measured"
    assert axes.get_title() == "pulse trains (1 measured point off the logarithmic axis)"
    assert axes.get_yscale() == "log"  # nanosiemens beside picosiemens


def test_several_curves_and_resistances(run, tmp_path):
    text = "pulse,resistance (Mohm),length\n1,2,1 ms\n2,4,1 ms\n1,5,$2\n"
    axes = overlaid(run, tmp_path, text, "pulse trains", curves="length")
    np.testing.assert_allclose(points(axes)[0], [[1, 5e-7], [2, 2.5e-7]])
    np.testing.assert_allclose(points(axes)[1], [[1, 2e-7]])
    assert legend(axes)[-2:] == ["measured, 1 ms", "measured, $2"]


def test_a_free_factor_of_a_relaxation(run, tmp_path):
    x, y = drawn(run, "relaxation").T
    rows = [f"{1e3 * time},{value / 250:.12e}" for time, value in zip(x, y, strict=True)]
    text = "\n".join(["time (ms),conductance", *rows])
    axes = overlaid(run, tmp_path, text, "relaxation", scale="free")
    np.testing.assert_allclose(points(axes)[0], np.transpose([x, y]), rtol=1e-9)
    assert legend(axes)[-1] == "measured × 250"
    text = "time (s),conductance\n100,1\n200,1\n"
    with pytest.raises(CurveError, match=r"d\.csv: has no point in the range .* relaxation"):
        overlaid(run, tmp_path, text, "relaxation", scale="free")


def test_currents_of_a_sweep(run, tmp_path):
    text = "voltage,current (pA)\n0,0\n0.5,1\n-1,-3\n"
    axes = overlaid(run, tmp_path, text, "voltage sweep")
    np.testing.assert_allclose(points(axes)[0], [[0.5, 1e-12], [-1, 3e-12]])
    text = "voltage,conductance (pS)\n0.5,2\n-1,3\n"
    axes = overlaid(run, tmp_path, text, "voltage sweep")
    np.testing.assert_allclose(points(axes)[0], [[0.5, 1e-12], [-1, 3e-12]])
    # Only one x of the header is drawn by this run's figure against a voltage and a current.
    text = "time,voltage,current (pA)\n1,0.5,1\n"
    axes = overlaid(run, tmp_path, text, "voltage sweep", x="voltage")
    np.testing.assert_allclose(points(axes)[0], [[0.5, 1e-12]])


def test_fields_are_relative(run, tmp_path):
    text = "field (Oe),resistance\n1000,2\n0,2.5\n-1000,2\n"
    axes = overlaid(run, tmp_path, text, "magnetoresistance", scale="free")
    np.testing.assert_allclose(points(axes)[0], [[100, 0], [0, -20], [-100, 0]])
    assert legend(axes)[-1] == "measured"


def test_errors_are_bars(run, tmp_path):
    # The options of the command line name no errors; a section does.
    from kmc_oxy.figures.measured_points import with_measured
    from kmc_oxy.figures.run_figure import panels
    from kmc_oxy.measured import DataSection, read_curves

    path = tmp_path / "d.csv"
    path.write_text("pulse,resistance,e\n1,2,0.4\n")
    section = {"file": "d", "x": {"quantity": "pulse"}, "y": {"quantity": "resistance"}}
    section = DataSection.model_validate(section | {"error": {"column": "e"}})
    with open_output(run) as file:
        panel = next(panel for panel in panels(file) if panel.x_quantity == "pulse")
        changed = with_measured(panel, read_curves(path, section), "absolute")
        from matplotlib.figure import Figure

        axes = Figure().add_subplot()
        changed.draw_titled([axes])
    (container,) = axes.containers
    (bar,) = container.lines[2][0].get_segments()
    np.testing.assert_allclose(bar, [[1, 0.4], [1, 0.6]])
    assert "Marks without lines: measured." in changed.caption


def test_many_points_are_thinned(run, tmp_path):
    rows = [f"{n},1e-9" for n in range(1, 2 * MAX_POINTS + 1)]
    text = "\n".join(["pulse,conductance", *rows])
    axes = overlaid(run, tmp_path, text, "pulse trains")
    assert points(axes)[0][[0, -1], 0].tolist() == [1, 2 * MAX_POINTS]
    assert f"{MAX_POINTS} of {2 * MAX_POINTS} measured points" in axes.get_title()
    rows = [f"1,1e-9,{n}" for n in range(30)]
    text = "\n".join(["pulse,conductance,c", *rows])
    axes = overlaid(run, tmp_path, text, "pulse trains", curves="c")
    assert len(points(axes)) == MAX_SERIES and "16 of 30 measured points" in axes.get_title()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pulse,current (nA)\n1,1\n", "has currents against pulse, .* divide them by the reading"),
        ("pulse,conductance\n0,1\n", "has only values that logarithmic axes cannot show"),
        ("voltage,current\n1,0\n", "has only values that logarithmic axes cannot show"),
        ("field,current\n1,0\n", "has a current of 0 in its largest field"),
    ],
)
def test_what_a_panel_cannot_show(run, tmp_path, text, words):
    with pytest.raises(CurveError, match=words) as caught:
        overlaid(run, tmp_path, text, "")
    assert str(caught.value).count("\n") == 0


def test_no_panel_of_the_quantity(tmp_path):
    steps = "protocol: [train: {voltage: 1 V, duration: 1 us, count: 3}]\n"
    small = "device: {lattice: {nx: 4, ny: 4}}\nensemble: {members: 1, seed: 1}\n"
    run = whole_runs.compute(tmp_path, small + steps)
    (tmp_path / "d.csv").write_text("time,conductance\n1,1\n")
    with pytest.raises(CurveError, match=r"has values against time, .* only against pulse"):
        plot(run, tmp_path / "a.png", ColumnChoice(tmp_path / "d.csv"))
    assert not (tmp_path / "a.png").exists()
    (tmp_path / "d.csv").write_text("time,pulse,conductance\n1,1,1\n")
    plot(run, tmp_path / "a.png", ColumnChoice(tmp_path / "d.csv"))


def as_curve(x, y):
    return PanelCurve(np.array(x, float), np.array(y, float))


def test_the_factor_is_the_mean_of_the_logarithms():
    drawn = [as_curve([1, 10, 100], [1, 2, 4])]
    found = common_factor([as_curve([1, 10, 1000], [1, 8, 5])], drawn, log_x=True)
    assert found == pytest.approx(np.sqrt(1 / 4))
    # Straight in the logarithms between the points.
    found = common_factor([as_curve([10**0.5], [1])], drawn, log_x=True)
    assert found == pytest.approx(np.sqrt(2))
    assert common_factor([as_curve([1000], [1])], drawn, log_x=True) is None
    assert common_factor([as_curve([1], [1])], [], log_x=True) is None


def test_curves_are_compared_with_those_of_their_shape():
    x = np.arange(1.0, 20)
    rising, falling = as_curve(x, x), as_curve(x, 100 / x)
    measured = [as_curve(x, 0.01 / x**0.9), as_curve(x, 1e-4 * x**1.1)]
    found = common_factor(measured, [rising, falling], log_x=True)
    assert found == pytest.approx(1e4, rel=0.3)
    short = as_curve([1, 2], [1e-4, 2e-4])
    found = common_factor([as_curve(x, 1e-3 * x)], [short, rising], log_x=True)
    assert found == pytest.approx(1e3)


def test_branches_of_a_loop_are_told_apart():
    x = np.array([0, 0.5, 1, 0.5, 0, -0.5, -1, -0.5, 0])
    y = np.array([np.nan, 1, 3, 9, np.nan, 1, 3, 9, np.nan])
    measured = as_curve(x[1:-1], y[1:-1] / 7)
    keep = np.isfinite(measured.y)
    measured = as_curve(measured.x[keep], measured.y[keep])
    assert common_factor([measured], [as_curve(x, y)], log_x=False) == pytest.approx(7)
    # Nothing is interpolated through the gap at 0 V.
    inside = as_curve([0.1, 0.2, 0.3], [1, 1, 1])
    assert common_factor([inside], [as_curve(x, y)], log_x=False) is None
