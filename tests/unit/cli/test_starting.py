"""Commands for a start: `init`, `schema`, `completion` and `run --dry-run`."""

import json
import shutil
import subprocess

import pytest

from kmc_oxy import cli
from kmc_oxy.cli.parser import COMMANDS
from kmc_oxy.fit import load_fit
from kmc_oxy.inputs import load
from kmc_oxy.inputs.schema import shipped_names

KINDS = shipped_names("templates")


@pytest.mark.parametrize("kind", KINDS)
def test_init_writes_an_input_that_can_be_loaded(tmp_path, kind):
    path = tmp_path / "my.yaml"
    assert cli.main(["init", kind, "-o", str(path)]) == 0
    (load_fit if kind == "fit" else load)(path)


def test_init_lists_the_kinds_and_prints_one(capsys):
    assert cli.main(["init"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(KINDS)
    assert all(line.endswith((".", ").")) for line in listed)
    assert cli.main(["init", "iv"]) == 0
    assert "sweep: {amplitude" in capsys.readouterr().out


def test_init_overwrites_nothing(tmp_path, capsys):
    path = tmp_path / "my.yaml"
    path.write_text("mine")
    assert cli.main(["init", "iv", "-o", str(path)]) == 2
    assert path.read_text() == "mine"
    assert "exists: choose another name" in capsys.readouterr().err
    assert cli.main(["init", "puls"]) == 2
    assert "did you mean pulses?" in capsys.readouterr().err


def test_schema_is_printed_as_json(capsys):
    assert cli.main(["schema"]) == 0
    assert "protocol" in json.loads(capsys.readouterr().out)["required"]
    assert cli.main(["schema", "fit"]) == 0
    assert "experiments" in json.loads(capsys.readouterr().out)["required"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_completes_commands_and_options(capsys, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out

    def completed(*words):
        line = " ".join(words)
        test = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _kmc_oxy; echo ${{COMPREPLY[@]}}"
        # zsh evaluates the function of bash in its own emulation; here bash runs both.
        text = script.replace("autoload -U +X bashcompinit && bashcompinit\n", "")
        found = subprocess.run(["bash", "-c", text + test], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        return found.stdout.split()

    assert set(completed("kmc-oxy", "''")) == set(COMMANDS)
    assert completed("kmc-oxy", "va") == ["validate"]
    assert completed("kmc-oxy", "run", "--dry") == ["--dry-run"]
    assert completed("kmc-oxy", "export", "vtk") == ["vtkhdf"]


def test_a_dry_run_says_what_validate_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(
        "device: {lattice: {nx: 8, ny: 8}}\nprotocol: [{read: {}}]\nensemble: {seed: 1}\n"
    )
    assert cli.main(["validate", "in.yaml"]) == 0
    expected = capsys.readouterr().out
    assert cli.main(["run", "in.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out == expected
    assert [path.name for path in tmp_path.iterdir()] == ["in.yaml"]
