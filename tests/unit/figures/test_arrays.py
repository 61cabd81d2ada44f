"""What is drawn and printed of a run of an array."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from whole_runs import compute

from kmc_oxy.analysis import (
    conductance_averages,
    crosstalk,
    interval_text,
    legs,
    mean_over_members,
)
from kmc_oxy.cli.tables import info_table, run_table
from kmc_oxy.figures import plot
from kmc_oxy.figures.run_figure import draw
from kmc_oxy.storage import open_output

TEXT = """
name: an array
device: {lattice: {nx: 6, ny: 5}}
engine: {tolerance: 0.2}
crossbar: {rows: 3, columns: 2}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - map:
  - program: {cell: [1, 1], voltage: 3 V, duration: 10 ms, count: 3}
  - map:
  - field_sweep: {amplitude: 60 mT, step: 5 mT}
  - program: {cell: [2, 0], voltage: 3 V, target: 1 S, max_pulses: 2}
  - vector_matrix: {inputs: [0.1, 0.2]}
  - map:
ensemble: {members: 3, seed: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return compute(tmp_path_factory.mktemp("array"), TEXT)


def test_legs_of_an_array(run):
    with open_output(run) as file:
        found = list(legs(file, 0))
        assert [leg.kind for leg in found] == [
            "single", "map", "program", "map", "field", "program", "product", "map",
        ]  # fmt: skip
        assert [leg.cell for leg in found if leg.kind == "program"] == [(1, 1), (2, 0)]
        assert [leg.target_S for leg in found if leg.kind == "program"] == [None, 1.0]
        assert found[2].array_values(file, "conductance").shape == (3, 3, 2, 4)
        np.testing.assert_array_equal(
            found[2].array_values(file, "conductance")[:, 1, 1],
            found[2].values(file, "conductance", 1, 1),
        )


def test_crosstalk_counts_the_right_cells(run):
    with open_output(run) as file:
        programs = [leg for leg in legs(file, 0) if leg.kind == "program"]
        result = crosstalk(file, programs)
        ratio = [leg.array_values(file, "conductance") for leg in programs]
    ratio = [values[..., -1] / values[..., 0] for values in ratio]
    half = np.concatenate(
        [ratio[0][:, [1, 0, 2], [0, 1, 1]], ratio[1][:, [2, 0, 1], [1, 0, 0]]], axis=1
    )
    apart = np.concatenate([ratio[0][:, [0, 2], [0, 0]], ratio[1][:, [0, 1], [1, 1]]], axis=1)
    for found, changes in ((result.half_selected, half), (result.others, apart)):
        expected = mean_over_members(np.abs(changes - 1).mean(axis=1))
        assert found.mean == pytest.approx(expected.mean)
        assert found.high == pytest.approx(expected.high)
    assert result.by_step.shape == (3, 2)
    np.testing.assert_allclose(result.by_step.mean(), result.half_selected.mean)
    np.testing.assert_allclose(
        result.chosen.mean, np.log([ratio[0][:, 1, 1], ratio[1][:, 2, 0]]).mean()
    )


def test_the_table_reports_targets_and_crosstalk(run):
    text = run_table(run)
    assert "2 program [1, 1]" in text and "4 field sweep" in text and "6 vector matrix" in text
    assert (
        "target 1 S reached by 0 of 3 members; not reached with the 2 pulses allowed by 3" in text
    )
    with open_output(run) as file:
        programs = [leg for leg in legs(file, 0) if leg.kind == "program"]
        mean = crosstalk(file, programs).half_selected
    interval = f"[{interval_text(mean, lambda value: f'{100 * value:.2g}')}]"
    assert f"half-selected cells changed by {100 * mean.mean:.3g} % {interval}" in text
    assert "over 2 program steps" in text and "(paper: 8 %)" in text
    assert "apparent_conductance" in info_table(run)


def test_the_figure_of_an_array(run, tmp_path):
    with open_output(run) as file:
        figure = draw(file)
        maps = [leg for leg in legs(file, 0) if leg.kind == "map"]
        averages = conductance_averages(file)
        shown = [
            averages.mean(leg.array_values(file, "apparent_conductance")[..., 0]).mean
            for leg in maps
        ]
    # The colour scale is an axes without a title.
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[:3] == [
        "before programming",
        "after +3 V on [1, 1] (step 2)",
        "after +3 V on [2, 0] (step 5)",
    ]
    assert titles[3] == "programming, targets dotted"
    assert titles[4].startswith("half-selected cells") and "magnetoresistance" in titles[5]
    images = [axes.images[0] for axes in figure.axes[:3]]
    for image, values in zip(images, shown, strict=True):
        np.testing.assert_allclose(image.get_array(), values)
        assert image.norm is images[0].norm
    # One colour scale, logarithmic, that holds every map.
    assert images[0].norm.vmin == pytest.approx(np.min(shown))
    assert images[0].norm.vmax == pytest.approx(np.max(shown))
    assert type(images[0].norm).__name__ == "LogNorm"
    axes = figure.axes[0]
    assert axes.get_ylabel().startswith("row") and axes.get_xlabel().startswith("column")
    assert axes.get_xticks().tolist() == [0, 1] and axes.get_yticks().tolist() == [0, 1, 2]
    plot(run, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_names_of_programmed_cells_hide_no_curve(run):
    with open_output(run) as file:
        figure = draw(file)
    FigureCanvasAgg(figure).draw()
    (axes,) = [a for a in figure.axes if a.get_title().startswith("programming")]
    names, curves = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert not names.overlaps(curves)
    # Nor the next panel, nor the edge of the figure.
    assert not any(names.overlaps(a.get_tightbbox()) for a in figure.axes if a is not axes)
    assert names.x1 < figure.bbox.x1


def test_the_loop_is_drawn_both_ways(run):
    with open_output(run) as file:
        (axes,) = [a for a in draw(file).axes if "magnetoresistance" in a.get_title()]
        (leg,) = [leg for leg in legs(file, 0) if leg.kind == "field"]
        values = leg.values(file, "field_conductance", 1, 1)
        field_T = file["field"][0, 0, leg.readings]
    falling, rising = axes.lines
    half = field_T.size // 2
    np.testing.assert_allclose(falling.get_xdata(), 1e3 * field_T[: half + 1])
    np.testing.assert_allclose(rising.get_xdata(), 1e3 * field_T[half:])
    relative = (100 * (values / values[:, :1] - 1)).mean(axis=0)
    np.testing.assert_allclose(falling.get_ydata(), relative[: half + 1])
    np.testing.assert_allclose(rising.get_ydata(), relative[half:])
    # Antiparallel conducts better, at opposite fields on the two ways.
    assert falling.get_xdata()[np.argmax(falling.get_ydata())] < 0
    assert rising.get_xdata()[np.argmax(rising.get_ydata())] > 0


def test_targets_that_are_reached_are_reported_with_their_pulses(tmp_path):
    text = TEXT.replace("target: 1 S", "target: 1 pS, tolerance: 99 %").replace(
        "cell: [2, 0], voltage: 3 V", "cell: [0, 0], voltage: -4 V"
    )
    path = compute(tmp_path, text)
    with open_output(path) as file:
        (leg,) = [leg for leg in legs(file, 0) if leg.target_S]
        reached = file["target_reached"][0, :, leg.readings.stop - 1] == 1
    assert f"reached by {reached.sum()} of 3 members" in run_table(path)


def test_an_array_without_programming_is_a_map(tmp_path):
    path = compute(
        tmp_path,
        "device: {lattice: {nx: 5, ny: 5}}\ncrossbar: {rows: 2, columns: 2}\n"
        "protocol: [map: {}]\nengine: {tolerance: 0.2}\n",
    )
    with open_output(path) as file:
        figure = draw(file)
    assert figure.axes[0].get_title() == "conductance map"
    assert "half-selected" not in run_table(path)


@pytest.mark.parametrize(("count", "shown"), [(3, 3), (9, 9), (20, 16)])
def test_every_programmed_cell_is_drawn_and_named_or_said_to_be_left_out(tmp_path, count, shown):
    steps = ", ".join(
        f"{{program: {{cell: [{k % 2}, {k // 2 % 2}], voltage: 2 V, duration: 1 ms, count: 2}}}}"
        for k in range(count)
    )
    text = "device: {lattice: {nx: 4, ny: 4}}\ncrossbar: {rows: 2, columns: 2}\n"
    text += f"engine: {{tolerance: 0.3}}\nprotocol: [{steps}]\n"
    text += "scan: {device.temperature: [76, 90]}\n"
    with open_output(compute(tmp_path, text)) as file:
        (axes,) = [a for a in draw(file).axes if a.get_title().startswith("programming")]
    names = [entry.get_text() for entry in axes.get_legend().get_texts()]
    assert len(axes.lines) == len(set(names)) == len(names) == shown
    assert names[1].startswith("+2 V on [1, 0]") or count > shown
    assert "temperature 76 K, 1 of 2 points" in axes.get_title()
    assert (f"{shown} of {count} steps" in axes.get_title()) == (shown < count)
