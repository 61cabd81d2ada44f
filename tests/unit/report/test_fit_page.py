"""The page and the figure of a fit: what they say, and that the page needs nothing else."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from kmc_oxy.fit import FittedCurve, FittedTarget, read_fit_result
from kmc_oxy.report import fit_findings as findings
from kmc_oxy.report.fit_figure import draw_fit, fit_panels
from kmc_oxy.report.fit_page import fit_page


@pytest.fixture(scope="module")
def result(tiny_fit):
    return read_fit_result(tiny_fit)


@pytest.fixture(scope="module")
def page_text(result):
    return fit_page(result)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_page_asks_for_nothing(page_text):
    tags = Tags(page_text).tags
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "b")]
    for _, attributes in tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    ids = [a["id"] for _, a in tags if "id" in a]
    assert {a["href"][1:] for tag, a in tags if tag == "a"} <= set(ids)
    assert all(len(a["alt"]) > 20 for tag, a in tags if tag == "img")


def test_page_is_the_same_twice(result, page_text, tiny_fit):
    assert fit_page(result) == page_text
    assert (tiny_fit / "report.html").read_text(encoding="utf-8") == page_text


def test_page_says_what_was_found(result, page_text):
    text = "".join(Tags(page_text).text)
    assert "2 parameters fitted to 2 measured curves and 3 targets of 2 experiments" in text
    for each in result.parameters:
        assert each.key in text and f"{each.best:.5g}" in text
    assert result.library in text and result.fit_file in text and result.best_input in text
    for panel in fit_panels(result):
        assert panel.caption in text


def test_panels(result):
    titles = [panel.title for panel in fit_panels(result)]
    scale = f"measured / {result.curves[0].scale:.3g}"
    assert titles[:2] == [f"trains, a_b$c$; {scale}", f"trains, down; {scale}"]
    assert titles[2:] == ["targets", "cost", "parameters"]


@pytest.mark.parametrize("curves", [1, 2, 8, 30])
def test_figure_of_any_number_of_curves(result, curves):
    many = dataclasses.replace(result, curves=(result.curves[0],) * curves)
    drawn = min(curves, 24)
    figure = draw_fit(many)
    assert len(figure.axes) == drawn + 3
    noted = "24 of 30" in figure.axes[0].get_title()
    assert noted == (curves == 30)
    figure.canvas.draw()


def curve(x_quantity, y_quantity, x, measured, simulated, scale=1.0):
    x, measured = np.asarray(x, float), np.asarray(measured, float)
    return FittedCurve(
        "one", "", x_quantity, y_quantity, scale, scale != 1, x, measured, 0.05 * np.abs(measured),
        np.asarray(simulated, float),
    )  # fmt: skip


def axes_of(result, item):
    """Axes of the panel of one curve."""
    return draw_fit(dataclasses.replace(result, curves=(item,), targets=())).axes[0]


def test_axes_are_those_of_a_run(result):
    ones = np.ones((3, 4))
    drawn = axes_of(result, curve("time", "conductance", [1e-3, 1e-2, 1, 9], ones[0], ones))
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("log", "linear")
    drawn = axes_of(result, curve("pulse", "conductance", [1, 2, 3, 4], [1, 9, 20, 40], ones))
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("log", "log")
    drawn = axes_of(result, curve("pulse", "resistance", [0, 2, 3, 4], ones[0], ones))
    assert drawn.get_xscale() == "symlog" and drawn.get_ylabel().startswith("resistance (")
    loop = curve("voltage", "current", [-1, 0, 1, 0.5], [-2, 0, 2, 1], ones * [-1, 0, 1, 1])
    drawn = axes_of(result, loop)
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("linear", "log")
    assert drawn.get_ylabel() == "|current| (A)"
    drawn = axes_of(result, curve("field", "conductance", [-1, 0, 1, 2], [1, 30, 2, 1], ones))
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("linear", "linear")


def test_bands_of_conductances_stay_above_zero(result):
    wide = np.array([[1e-12, 1], [2e-12, 2], [9, 9]])
    drawn = axes_of(result, curve("pulse", "conductance", [1, 2], [1, 2], wide))
    bands = [collection.get_paths()[0].vertices[:, 1] for collection in drawn.collections[:2]]
    assert all(band.min() == 0 for band in bands)
    (line,) = (line for line in drawn.lines if line.get_label() == "simulated")
    np.testing.assert_allclose(line.get_ydata(), wide.mean(axis=0))


def test_an_i_v_has_a_gap_at_0_and_no_decades_of_noise(result):
    x = [-1, -0.5, 0, 0.5, 1]
    measured = np.array([-1e-6, -1e-7, 3e-15, 1e-7, 1e-6])
    simulated = np.array([[-1e-6, -1e-7, 0, 1e-7, 1e-6]] * 3) * [[1], [1.1], [0.9]]
    item = curve("voltage", "current", x, measured, simulated)
    item = dataclasses.replace(item, error=0.05 * np.abs(measured) + 1e-8)
    drawn = axes_of(result, item)
    (line,) = (line for line in drawn.lines if line.get_label() == "simulated")
    assert np.isnan(line.get_ydata()[2]) and np.isfinite(line.get_ydata()[[1, 3]]).all()
    assert 1e-8 < drawn.get_ylim()[0] < 1e-7


def test_both_distances_are_named(result, page_text):
    text = " ".join("".join(Tags(page_text).text).split())
    assert "in errors of both" in text and "in errors of the measurement alone" in text
    for name, joint in result.chi_square.items():
        alone = result.chi_square_measurement[name]
        assert alone > joint
        assert f"{joint:.3g}" in text and f"{alone:.3g}" in text


def test_measured_values_are_divided_by_the_free_scale(result):
    drawn = axes_of(result, curve("pulse", "conductance", [1, 2], [6, 8], np.ones((3, 2)), 2.0))
    assert any(np.array_equal(line.get_ydata(), [3, 4]) for line in drawn.lines)


def test_targets_stand_where_they_are_in_their_range(result):
    inf = np.inf
    targets = tuple(
        FittedTarget("one", "q", low, high, unit, is_log, "1", np.full(3, value))
        for low, high, unit, is_log, value in (
            (0.0, 2.0, 0.2, False, 1.5),
            (1.0, inf, 0.1, False, 0.5),
            (-inf, 1.0, 0.1, False, 0.5),
            (1.0, 100.0, 0.1, True, 10.0),
            (0.0, 2.0, 0.2, False, 100.0),
        )
    )
    axes = draw_fit(dataclasses.replace(result, curves=(), targets=targets)).axes[0]
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(means, [0.5, -2.0, 0.0, 0.0, 4.0])


def rising(slope, noise=0.01):
    """A curve whose simulation rises against the data."""
    x = np.arange(1.0, 13.0)
    members = np.random.default_rng(0).normal(1, noise, (8, 1))
    return curve("pulse", "conductance", x, np.ones(12), members * np.exp(slope * (x - 1) / 8))


def test_trend_along_a_train():
    change, error = findings.residual_trend(rising(0.4))
    assert change == pytest.approx(0.4) and 0 < error < 0.1
    assert np.isnan(findings.residual_trend(curve("pulse", "current", [1], [1], [[1.0]]))[0])


@pytest.mark.parametrize(
    ("slope", "distance", "words"),
    [
        (0.4, 9.0, "fails most in the experiment one, with a mean square distance of 9."),
        (0.4, 9.0, "along the train (one) the simulation rises against the data by 49.2 %"),
        (-0.4, 9.0, "the simulation falls against the data by 49.2 %"),
        (0.0, 0.5, "The means agree with the experiment within the errors"),
        (0.0, 0.5, "Along no curve do the residuals have a clear trend."),
        (0.0, np.nan, "is no number"),
    ],
)
def test_where_the_model_fails(result, slope, distance, words):
    changed = dataclasses.replace(result, curves=(rising(slope),), chi_square={"one": distance})
    assert words in findings.failure_sentence(changed)


def test_the_farthest_experiment_is_named(result):
    changed = dataclasses.replace(result, curves=(), chi_square={"one": 3.0, "two": 30.0})
    text = findings.failure_sentence(changed)
    assert "experiment two" in text and "30, the largest of all experiments" in text


def test_correlations_and_loose_combinations(result):
    changed = dataclasses.replace(
        result,
        correlation=np.array([[1, -0.93], [-0.93, 1]]),
        directions=np.array([[0.8, 0.6], [-0.6, 0.8]]),
        singular_values=np.array([40.0, 0.5]),
        direction_is_fixed=np.array([True, False]),
    )
    (note,) = findings.correlation_notes(changed)
    assert "correlation -0.93" in note and "against each other" in note
    (note,) = findings.combination_notes(changed)
    assert note == (
        "0.80 log conductance.conductance_scale \N{MINUS SIGN} 0.60 "
        "device.site_energy.oxide_offset (singular value 0.5, largest 40)"
    )
    page = fit_page(changed)
    assert note in page and "There are none." not in page


def test_page_without_intervals(result):
    plain = tuple(
        dataclasses.replace(each, interval=None, is_fixed=True) for each in result.parameters
    )
    changed = dataclasses.replace(
        result, parameters=plain, correlation=None, directions=None, singular_values=None,
        direction_is_fixed=None,
    )  # fmt: skip
    assert "no intervals were computed" in fit_page(changed)


def test_the_ensemble_of_a_generation_is_that_of_the_sets_not_left_out(result):
    assert (np.diff(result.generation) >= 0).all() and result.ensemble.max() == 6
    screened = dataclasses.replace(
        result,
        stage=3 * ("search",) + ("check",),
        generation=np.array([0, 0, 1, 2]),
        members=np.array([2, 5, 7, 9]),
        cost=np.ones(4),
    )
    assert screened.ensemble.tolist() == [5, 5, 7, 9]
    facts = {row[0].text: row[1].text for row in findings.provenance_table(screened).rows}
    assert facts["devices of a set"] == "5 at first, 9 at most"
    assert facts["sets left out after a first look on fewer devices"] == "1"
