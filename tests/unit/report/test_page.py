"""The page of `kmc-oxy report`: what it says of a run, and that it needs nothing else."""

import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from whole_runs import compute

from kmc_oxy import inputs
from kmc_oxy.analysis import conductance_averages, legs, snapshots
from kmc_oxy.cli import main
from kmc_oxy.figures import column_counts, draw_box, panels, short_quantity
from kmc_oxy.inputs.summary import NO_DEFAULT, keys, sentence
from kmc_oxy.paper import EXPERIMENTS, recognise
from kmc_oxy.paper.experiments import PROTOCOLS, fingerprint
from kmc_oxy.physics import Lattice
from kmc_oxy.report.oxygen_pictures import oxygen_pictures
from kmc_oxy.report.page import page
from kmc_oxy.report.tables import leg_table
from kmc_oxy.simulation import CrossPoint
from kmc_oxy.storage import open_output
from kmc_oxy.units import count_text

INPUTS = Path(__file__).parents[3] / "inputs"
SMALL = """
name: a <script>alert(1)</script> & "name"
device: {lattice: {nx: 5, ny: 5}, temperature: 90 K}
engine: {tolerance: 0.2}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - train: {voltage: 2 V, duration: 1 ms, count: 10}
  - relax: {duration: 10 s, points_per_decade: 3}
ensemble: {members: 3, seed: 7}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return compute(tmp_path_factory.mktemp("small"), SMALL, ["output.profile=true"])


@pytest.fixture(scope="module")
def small_page(small):
    with open_output(small) as file:
        return page(file)


class Outline(HTMLParser):
    """Tags with their attributes, ids, and the text."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_page_is_well_formed_and_asks_for_nothing(small_page):
    outline = Outline(small_page)
    assert outline.open == []
    assert not outline.all("script") and not outline.all("iframe")
    for attributes in (attributes for _, attributes in outline.tags):
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name, "#")
            assert target.startswith(("#", "data:")), target
    assert "url(" not in small_page and "@import" not in small_page
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for a in outline.all("a")]
    assert links and set(links) <= set(ids)


def test_page_is_accessible(small_page):
    outline = Outline(small_page)
    assert outline.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in outline.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(len(image["alt"]) > 20 for image in outline.all("img"))
    assert all(head["scope"] in ("row", "col") for head in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert len(outline.all("figcaption")) == len(outline.all("img"))


def test_every_panel_of_plot_and_the_oxygens_are_there(small, small_page):
    images = Outline(small_page).all("img")
    with open_output(small) as file:
        drawn = panels(file)
        pictures = oxygen_pictures(file).drawings
    assert {"pulse trains", "relaxation"} <= {panel.title for panel in drawn}
    alts = [panel.alt for panel in drawn] + [picture.alt for picture in pictures]
    assert [image["alt"] for image in images] == alts
    assert all("(S)" in panel.caption for panel in drawn)


def test_names_of_the_user_are_text(small_page):
    assert "<script>" not in small_page
    assert SMALL.split("name: ")[1].split("\n")[0] in "".join(Outline(small_page).text)


def test_same_file_same_bytes(small, small_page, tmp_path):
    for name in ("first.html", "second.html"):
        assert main(["report", str(small), "-o", str(tmp_path / name), "-q"]) == 0
    first, second = ((tmp_path / n).read_bytes() for n in ("first.html", "second.html"))
    assert first == second == small_page.encode()


def test_table_has_means_and_intervals_over_members(small):
    with open_output(small) as file:
        table = leg_table(file)
        last = file["conductance"][0, :, 0, 0, :]
        found = list(legs(file, 0))
        averages = conductance_averages(file)
    assert len(table.rows) == len(found) == 3
    assert f"of G the {averages.name}" in table.caption
    column = table.head.index("last G")
    for row, leg in zip(table.rows, found, strict=True):
        mean = averages.mean(last[:, leg.readings.stop - 1])
        assert row[column].text == short_quantity(mean.mean)
        assert row[column].note == f"{short_quantity(mean.low)} to {short_quantity(mean.high)}"
    assert [row[table.head.index("step")].text for row in table.rows] == [
        "0 pulse", "1 train", "2 relax",
    ]  # fmt: skip


def test_scanned_keys_of_one_name_have_a_column_each(tmp_path):
    text = SMALL.replace("members: 3", "members: 1")
    text += "scan: {protocol.0.pulse.voltage: [-4 V, -3 V], protocol.1.train.voltage: [1 V]}\n"
    with open_output(compute(tmp_path, text)) as file:
        table = leg_table(file)
        written = page(file)
    assert table.head[1:3] == ["pulse.voltage", "train.voltage"]
    assert [row[1].text for row in table.rows] == ["−4 V"] * 3 + ["−3 V"] * 3
    assert all(cell.note == "" for row in table.rows for cell in row)
    assert "point 0 of the scan" in written and "2 points of a scan" in written


def test_what_differs_from_the_defaults():
    model = inputs.loads(SMALL).model
    changed = {key.key: (key.value, key.default) for key in keys(model) if key.differs}
    assert changed == {
        "device.temperature": ("90 K", "76 K"),
        "device.lattice.nx": ("5", "28"),
        "device.lattice.ny": ("5", "28"),
        "engine.tolerance": ("0.2", "0.0333333"),
        "ensemble.members": ("3", "1"),
        "ensemble.seed": ("7", "null"),
    }
    other = "device: {barriers: {bulk: {distribution: gaussian, mean: 0.5, sigma: 0.1}}}\n"
    other += "protocol: [read: {}]"
    keyed = {key.key: key for key in keys(inputs.loads(other).model) if key.differs}
    assert keyed["device.barriers.bulk.distribution"].value == "gaussian"
    assert keyed["device.barriers.bulk.mean"] == ("device.barriers.bulk.mean", "0.5 eV", NO_DEFAULT)


@pytest.mark.parametrize(
    "source",
    sorted({*INPUTS.glob("*.yaml")} - {*INPUTS.glob("fit_*.yaml")}),
    ids=lambda path: path.stem,
)
def test_every_input_is_one_sentence(source):
    model = inputs.load(source).model
    text = sentence(model)
    assert text.endswith(".") and not text[0].islower()
    assert f"{model.ensemble.members} " in text and "None" not in text and "  " not in text
    for key in model.scan:
        assert key in text


def test_pictures_without_snapshots_show_the_rebuilt_start(tmp_path):
    output = compute(tmp_path, SMALL, ["output.snapshots=none", "output.profile=false"])
    with open_output(output) as file:
        pictures = oxygen_pictures(file)
        model = inputs.at_point(inputs.loads(SMALL).model, 0)
    device = CrossPoint.build(model, 0, 0, 0, seed=7)
    organic = np.count_nonzero(device.occupied_at_start & device.lattice.organic)
    assert "kept no snapshots" in pictures.introduction
    assert "--set output.snapshots=ends" in pictures.introduction
    assert [drawing.title for drawing in pictures.drawings] == [
        "oxygens, start", "from above, start",
    ]  # fmt: skip
    assert f"the {organic} oxygens in Gaq3" in pictures.drawings[0].caption


def test_pictures_show_the_snapshots(small):
    with open_output(small) as file:
        first, last = snapshots(file, (0, 0, 0, 0))
        counts = file["oxygen_organic"][0, 0, 0, 0, [first.reading, last.reading]]
        boxes = oxygen_pictures(file).drawings[:2]
    assert (first.reading, last.reading) == (0, file_readings(small) - 1)
    for count, box in zip(counts, boxes, strict=True):
        assert f"the {count:.0f} oxygens in Gaq3" in box.caption


def file_readings(path):
    with open_output(path) as file:
        return file["time"].shape[1]


def test_box_shows_every_oxygen_where_it_is():
    lattice = Lattice(3, 2, 2, 1, 1e-9, 2e-9, 1e-9)
    sites = np.array([0, 7, 14])
    axes = draw_box(lattice, sites).axes[0]
    (dots,) = axes.collections
    x, y, z = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 1.5], [2.5, 0.5, 2.5]]).T
    expected = sorted(zip(x + 0.45 * y, z + 0.28 * y, strict=True))
    np.testing.assert_allclose(sorted(map(tuple, dots.get_offsets())), expected)
    assert column_counts(lattice, sites).tolist() == [[1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.name)
def test_fingerprints_are_those_of_the_inputs(experiment):
    """If an input or a quick form has changed, `PROTOCOLS` has to follow."""
    source = INPUTS / f"{experiment.name}.yaml"
    resolved = [
        json.loads(inputs.load(source, settings).resolved) for settings in ((), experiment.quick)
    ]
    assert tuple(map(fingerprint, resolved)) == PROTOCOLS[experiment.name]
    assert recognise(resolved[0]) == (experiment, False)
    other = resolved[0] | {"protocol": resolved[0]["protocol"][:-1]}
    assert recognise(other) is None


def small_on_off(folder, members):
    settings = (
        f"ensemble.members={members}", "device.lattice.nx=5", "device.lattice.ny=5",
        "engine.tolerance=0.3",
    )  # fmt: skip
    return compute(folder, (INPUTS / "fig_R.yaml").read_text(), settings)


def test_an_experiment_of_the_paper_is_judged(tmp_path):
    with open_output(small_on_off(tmp_path, 2)) as file:
        written = Outline(page(file)).text
        experiment, _ = recognise(file.resolved)
        for verdict in experiment.judge(file):
            _, quantity, published, value, low, high, met = verdict.row()
            assert {quantity, published, value, f"{low} to {high}", met} <= set(written)
    assert any("Experiment R of the paper" in text for text in written)


def test_one_member_is_not_judged(tmp_path):
    with open_output(small_on_off(tmp_path, 1)) as file:
        written = page(file)
    assert "One member has no interval" in written
    assert "on/off ratio after" not in written


def test_what_is_repeated_is_named_by_its_step(tmp_path):
    text = SMALL.replace("protocol:", "protocol:\n  - repeat: {count: 2, steps: [read: {}]}")
    with open_output(compute(tmp_path, text)) as file:
        table = leg_table(file)
    steps = [row[table.head.index("step")].text for row in table.rows]
    assert steps == ["0 read", "0 read", "1 pulse", "2 train", "3 relax"]


def test_steps_of_a_scanned_protocol_have_the_names_of_their_point(tmp_path):
    pulse = "{pulse: {voltage: 1 V, duration: 1 ms}}"
    text = (
        SMALL.split("protocol:")[0]
        + f"""protocol: [{{read: {{}}}}]
scan: {{protocol: [[{pulse}, {pulse}, {pulse}], [{{relax: {{duration: 10 s}}}}]]}}
"""
    )
    with open_output(compute(tmp_path, text)) as file:
        table = leg_table(file)
    steps = [row[table.head.index("step")].text for row in table.rows]
    assert steps == ["0 pulse", "1 pulse", "2 pulse", "0 relax"]


def test_another_run_is_not_judged(small_page):
    assert "Against the paper" not in small_page


def test_provenance_names_every_attribute(small, small_page):
    with open_output(small) as file:
        attributes = file.attributes
        hops = file["hops"][0, :, 0, 0, -1].sum()
    written = Outline(small_page).text
    for name in ("created", "input_hash", "kmc_oxy_version", "mpi_size", "run_id", "seed", "tasks"):
        assert str(attributes[name]) in written
    assert set(json.loads(attributes["versions"]).values()) <= set(written)
    assert count_text(hops).strip() in written
    assert "--set output.profile=true --set ensemble.seed=7" in small_page


def test_faults_are_one_line(small, tmp_path, capsys):
    assert main(["report", str(tmp_path / "no.h5"), "-o", str(tmp_path / "x.html")]) == 1
    assert capsys.readouterr().err == f"kmc-oxy: {tmp_path / 'no.h5'} does not exist\n"
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    assert main(["report", str(text), "-o", str(tmp_path / "x.html")]) == 1
    assert "not an HDF5 file" in capsys.readouterr().err
    before = small.read_bytes()
    for name in (small, tmp_path / "page.pdf"):
        assert main(["report", str(small), "-o", str(name)]) == 1
        assert "must end in .html or .htm" in capsys.readouterr().err
    disguised = tmp_path / "run.html"
    disguised.write_bytes(before)
    assert main(["report", str(small), "-o", str(disguised)]) == 1
    assert "is the output of a run" in capsys.readouterr().err
    assert small.read_bytes() == before == disguised.read_bytes()
    assert main(["report", str(small), "-o", str(tmp_path / "no" / "x.html")]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert not list(tmp_path.glob("x.html*"))
    with pytest.raises(SystemExit) as usage:
        main(["report", str(small)])
    assert usage.value.code == 2
