"""`plot`, `report`, `info` and `validate` of a fit, from the command line."""

import re

import fit_examples
import pytest
from matplotlib.image import imread

from kmc_oxy import cli


@pytest.fixture
def fit(tiny_fit, tmp_path):
    return fit_examples.copied(tiny_fit, tmp_path)


def last_line(capsys, arguments, code):
    assert cli.main(list(map(str, arguments))) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("name", ["fig.png", "fig.svg", "fig.pdf"])
def test_plot(fit, tmp_path, name):
    assert cli.main(["plot", str(fit), "-o", str(tmp_path / name), "-q"]) == 0
    assert (tmp_path / name).stat().st_size > 10_000
    if name.endswith("png"):
        assert imread(tmp_path / name)[..., :3].std() > 0.05


def test_names_of_figure_and_page_by_default(fit):
    (fit / "report.html").unlink()
    assert cli.main(["plot", str(fit), "-q"]) == 0
    assert cli.main(["report", str(fit), "-q"]) == 0
    assert (fit / "fit.png").exists() and (fit / "report.html").exists()


def test_fit_writes_the_page(tiny_fit):
    assert "<!DOCTYPE html>" in (tiny_fit / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["plot", "report"])
def test_a_run_needs_the_name_of_what_is_written(tmp_path, command, capsys):
    with pytest.raises(SystemExit) as usage:
        cli.main([command, str(tmp_path / "out.h5")])
    assert usage.value.code == 2
    assert "required: -o/--output" in capsys.readouterr().err


def test_faults_are_one_line(fit, tmp_path, capsys):
    assert "is no folder of a fit" in last_line(capsys, ["plot", tmp_path], 1)
    assert "is no folder of a fit" in last_line(capsys, ["report", tmp_path], 1)
    assert "is no folder of a fit" in last_line(capsys, ["info", tmp_path], 1)
    assert "cannot draw a 'gif'" in last_line(capsys, ["plot", fit, "-o", "x.gif"], 1)
    assert "must end in .html" in last_line(capsys, ["report", fit, "-o", "x.png"], 1)
    assert "--data: belongs to" in last_line(capsys, ["plot", fit, "--data", "x.csv"], 2)
    (fit / "evaluations.h5").write_text("text")
    assert "is damaged" in last_line(capsys, ["report", fit], 1)


def test_commands_of_runs_say_what_a_fit_is(fit, tmp_path, capsys):
    export = ["export", "--to", "csv", "-o", tmp_path / "x.csv"]
    for path in (fit, fit / "evaluations.h5"):
        line = last_line(capsys, [*export, path], 1)
        assert f"{path} is a fit: run its best device (kmc-oxy run {fit / 'best.yaml'} " in line
    (tmp_path / "empty").mkdir()
    assert "is a folder" in last_line(capsys, [*export, tmp_path / "empty"], 1)
    path = fit_examples.write_fit(tmp_path)
    assert last_line(capsys, ["run", path, "-o", tmp_path / "o.h5"], 2) == (
        f"{path}: is a fit file: kmc-oxy fit {path}"
    )
    best = fit / "best.yaml"
    assert last_line(capsys, ["fit", best, "-o", tmp_path / "o", "-j", "1"], 2) == (
        f"{best}: is an input: kmc-oxy run {best}"
    )
    (tmp_path / "no.yaml").write_text("colour: red\n")
    assert cli.main(["run", str(tmp_path / "no.yaml")]) == 2
    assert "colour: unknown key" in capsys.readouterr().err


def test_info(fit, capsys):
    assert cli.main(["info", str(fit)]) == 0
    text = capsys.readouterr().out
    assert "complete     yes" in text and "2 generation(s), 8 set(s)" in text
    assert "on the devices of the check" in text and "sets searched" in text
    (fit / "evaluations.h5").unlink()
    (fit / "generation-00004.npz").unlink()
    assert cli.main(["info", str(fit)]) == 0
    text = capsys.readouterr().out
    assert "complete     no" in text and "check" not in text and "lowest cost" in text


def test_validate(tmp_path, capsys):
    path = fit_examples.write_fit(tmp_path)
    assert cli.main(["validate", str(path), "--set", "search.evaluations=1000"]) == 0
    text = capsys.readouterr().out
    assert "1000 sets at most" in text and "3 at first, 6 at most" in text
    assert "2,572 to 6,072: 1 a set and member" in text
    assert "2 in a first look" in text
    assert "hops" in text and "core(s)" in text
    assert re.search(r"^memory  +about .*B per process$", text, re.MULTILINE)
    rows = [line.split() for line in text.splitlines()]
    assert ["trains", "2", "6", "0", "0", "1"] in rows
    assert ["findings", "0", "0", "3", "0", "1"] in rows
    assert cli.main(["validate", str(path), "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_validate_reports_every_fault(tmp_path, capsys):
    text = fit_examples.FIT.replace("members: 3", "members: 1").replace("-10 %", "-10 furlong")
    path = fit_examples.write_fit(tmp_path, text.replace("nx: 4", "nx: four"))
    assert cli.main(["validate", str(path), "--set", "search.sead=1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert any("findings.targets.0" in line and "furlong" in line for line in lines)
    assert any("search.members" in line for line in lines)
    assert any("device.lattice.nx" in line for line in lines)
    assert any("did you mean seed" in line for line in lines)
