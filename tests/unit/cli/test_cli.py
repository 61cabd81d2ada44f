import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from jobs import datasets
from matplotlib.image import imread

from kmc_oxy import cli
from kmc_oxy.cli import parser
from kmc_oxy.cli.input_arguments import typed_text
from kmc_oxy.cli.parser import COMMANDS
from kmc_oxy.storage import open_output

TEXT = """
name: a test
device: {lattice: {nx: 8, ny: 8}}
protocol:
  - pulse: {voltage: 3 V, duration: 10 ms}
  - train: {voltage: -2 V, duration: 1 ms, count: 10}
ensemble: {members: 3}
"""
# Long enough to be interrupted inside a task: half a second of hops in each member.
SLOW = """
device: {lattice: {nx: 16, ny: 16}}
protocol:
  - train: {voltage: 1 V, duration: 10 ms, count: 90, rest: {voltage: 0 V, duration: 1 s}}
ensemble: {members: 2, seed: 4}
"""


#: The end of a line that writes a file, and the ending of its name.
WRITERS = (
    (["run", "in.yaml"], ".h5"),
    (["plot", "whole.h5"], ".png"),
    (["report", "whole.h5"], ".html"),
    (["export", "whole.h5", "--to", "csv"], ".csv"),
    (["export", "whole.h5", "--to", "vtkhdf"], ".vtkhdf"),
    (["export", "whole.h5", "--to", "aihwkit"], ".csv"),
    (["export", "whole.h5", "--to", "crosssim"], ""),
)
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    (tmp_path / "slow.yaml").write_text(SLOW)
    # One process a command: what several do is in test_local_processes.py.
    monkeypatch.setenv("KMC_OXY_SERIAL", "1")
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Datasets of the slow run without any interruption."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "slow.yaml").write_text(SLOW)
    arguments = ["run", str(folder / "slow.yaml"), "-o", str(folder / "out.h5"), "-q"]
    assert cli.main(arguments) == 0
    return datasets(folder / "out.h5")


def command(*arguments):
    return [sys.executable, "-m", "kmc_oxy", *arguments]


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=120, **options
    )


def exit_code(arguments):
    """Of the command in this process, where argparse leaves by SystemExit."""
    try:
        return cli.main(arguments)
    except SystemExit as stop:
        return stop.code


def test_run_twice_info_and_plot(here):
    done = run("run", "in.yaml", "-o", "out.h5")
    assert done.returncode == 0, done.stderr
    assert "3/3 tasks, 100 %" in done.stderr and "hops/s" in done.stderr
    assert "mean over 3 members" in done.stdout and "leg 1: " in done.stdout
    assert sorted(os.listdir()) == ["in.yaml", "out.h5", "slow.yaml"]
    before = (here / "out.h5").stat()

    again = run("run", "in.yaml", "-o", "out.h5")
    assert again.returncode == 0 and "complete already" in again.stderr
    assert again.stdout == done.stdout
    assert (here / "out.h5").stat() == before

    info = run("info", "out.h5")
    assert info.returncode == 0 and "complete    yes" in info.stdout
    with h5py.File("out.h5") as file:
        assert str(file.attrs["seed"]) in info.stdout
    for name in ("conductance", "profile", "point x member x row x column x reading"):
        assert name in info.stdout

    plotted = run("plot", "out.h5", "-o", "fig.png")
    assert plotted.returncode == 0, plotted.stderr
    image = imread("fig.png")
    assert image.shape[0] > 300 and image.shape[1] > 300 and image[..., :3].std() > 0.05

    with xarray.open_dataset("out.h5") as data:
        assert data["conductance"].dims == ("point", "member", "row", "column", "reading")


def test_output_defaults_to_the_name_of_the_input(here):
    assert cli.main(["run", "in.yaml", "--set", "ensemble.members=1", "-q"]) == 0
    assert (here / "in.h5").exists()


def test_quiet_is_quiet(here):
    done = run("run", "in.yaml", "-o", "out.h5", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_input_is_refused_until_fresh(here, capsys):
    line = ["run", "in.yaml", "-o", "out.h5"]
    changed = [*line, "--set", "ensemble.members=2"]
    assert cli.main([*line, "-q"]) == 0
    assert cli.main(changed) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "another input" in text and "--fresh" in text
    assert cli.main([*changed, "--fresh", "-q"]) == 0
    with h5py.File("out.h5") as file:
        assert file["conductance"].shape[1] == 2
        assert "members=2" in file.attrs["overrides"]


def test_validate(here, capsys):
    assert cli.main(["validate", "in.yaml", "--set", "ensemble.seed=9"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for text in ("3 = 1 points x 3 members", "896 per cell", "67 per cell", "hops", "memory", "9"):
        assert text in printed.out
    assert sorted(os.listdir()) == ["in.yaml", "slow.yaml"]


def test_validate_reports_every_fault_on_its_line(here, capsys):
    lines = [
        "device: {temperature: 76 V}",
        "device2: {}",
        "protocol:",
        "  - train: {voltage: 2, duration: -1 ms, count: 5}",
        "  - puls: {voltage: 1}",
        "ensemble: {members: 0}",
    ]
    (here / "bad.yaml").write_text("\n".join(lines) + "\n")
    for name in ("validate", "run"):
        assert cli.main([name, "bad.yaml"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        places = [line.split(":")[:2] for line in printed.err.splitlines()]
        assert places == [["bad.yaml", str(n)] for n in (1, 2, 4, 5, 6)]
    assert not (here / "bad.h5").exists() and not (here / "bad.h5.work").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "absent.yaml"], 2, "absent.yaml"),
        (["run", "in.yaml", "--set", "nonsense"], 2, "a.b=c"),
        (["run", "in.yaml", "--set", "protocol=[{pulse: {voltage: 1, duration: 1, read: false}}]"],
         2, "must contain a reading"),
        (["run", "in.yaml", "-o", "in.yaml"], 1, "in.yaml"),
        (["run", "in.yaml", "-o", "in.yaml", "--fresh"], 1, "in.yaml"),
        (["run", "in.yaml", "-o", "in.yaml/out.h5"], 1, "in.yaml"),
        (["run", "in.yaml", "-o", "/proc/out.h5"], 1, "/proc"),
        (["info", "absent.h5"], 1, "absent.h5 does not exist"),
        (["info", "in.yaml"], 1, "in.yaml"),
        (["plot", "in.yaml", "-o", "x.png"], 1, "in.yaml"),
        (["plot", "absent.h5", "-o", "x.png"], 1, "absent.h5"),
        (["export", "absent.h5", "--to", "csv", "-o", "x.csv"], 1, "absent.h5"),
        (["export", "in.yaml", "--to", "png", "-o", "x.png"], 2, "invalid choice"),
        (["export", "in.yaml", "--to", "csv"], 2, "usage"),
        (["run"], 2, "usage"),
        (["frobnicate"], 2, "usage"),
        ([], 2, "usage"),
    ],
)  # fmt: skip
def test_faults_have_their_code_and_no_traceback(here, capsys, arguments, code, message):
    assert exit_code(arguments) == code
    text = capsys.readouterr().err
    assert message in text and "Traceback" not in text
    assert text.count("\n") == 1 or "usage" in text
    assert (here / "in.yaml").read_text() == TEXT


def test_tracebacks_are_for_debug(here):
    done = run("info", "absent.h5", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_unexpected_errors_are_one_line(here, monkeypatch, capsys):
    def fail(path):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("kmc_oxy.cli.tables.info_table", fail)
    assert cli.main(["info", "x.h5"]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "RuntimeError: two lines" in text and "--debug" in text
    with pytest.raises(RuntimeError):
        cli.main(["info", "x.h5", "--debug"])


def test_a_closed_pipe_is_no_error(here):
    assert run("run", "in.yaml", "-o", "out.h5", "-q").returncode == 0
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as broken:
        done = subprocess.run(
            command("info", "out.h5"), stdout=broken, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0 and done.stderr == b""


def test_a_closed_log_does_not_stop_a_run(here):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as broken:
        done = subprocess.run(
            command("run", "in.yaml", "-o", "out.h5", "-v"),
            stdout=subprocess.PIPE, stderr=broken, check=False,
        )  # fmt: skip
    assert done.returncode == 0 and (here / "out.h5").exists()


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import atexit, sys; from kmc_oxy.cli import main;"
        "atexit.register(lambda: print([m for m in "
        "('numpy', 'h5py', 'matplotlib', 'pydantic', 'mpi4py') if m in sys.modules]));"
        "main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: kmc-oxy") and done.stdout.endswith("[]\n")
    assert all(name in done.stdout and line in done.stdout for name, line in COMMANDS.items())


def test_a_command_is_a_module_and_a_line(monkeypatch, capsys):
    """One module with two functions, and its line in the table: the parser needs no more."""
    command = types.ModuleType("kmc_oxy.cli.count")
    command.add_arguments = lambda parser: parser.add_argument("number", type=int)
    command.execute = lambda arguments: arguments.number
    monkeypatch.setitem(sys.modules, "kmc_oxy.cli.count", command)
    monkeypatch.setattr(parser, "COMMANDS", {**COMMANDS, "count": "return a number"})
    assert cli.main(["count", "3"]) == 3
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "return a number" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_stops_with_75_and_the_same_line_goes_on(here, whole, number):
    process = subprocess.Popen(
        command("run", "slow.yaml", "-o", "out.h5"), stderr=subprocess.PIPE, text=True
    )
    # Wait until it is computing, by its own word.
    assert "2 tasks" in process.stderr.readline()
    time.sleep(0.1)
    sent = time.monotonic()
    process.send_signal(number)
    _, text = process.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert process.returncode == 75, text
    assert number.name in text and "same line again" in text
    assert not (here / "out.h5").exists() and (here / "out.h5.work").is_dir()
    assert os.listdir(here / "out.h5.work" / "checkpoints") == ["0000000.npz"]

    info = run("info", "out.h5")
    assert info.returncode == 0 and "0 of 2 tasks finished" in info.stdout

    again = run("run", "slow.yaml", "-o", "out.h5")
    assert again.returncode == 0, again.stderr
    assert datasets("out.h5") == whole


def started(*arguments):
    """A command in its own process, from the moment at which it hears signals."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    heard = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught, 16) & heard:
            break
    return process


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_signal_at_any_moment_of_any_command_leaves_nothing_half_written(here):
    """In imports, checks, the estimate of the cost, drawing, writing and the final assembly."""
    rng = random.Random()
    assert run("run", "in.yaml", "-o", "whole.h5", "-q").returncode == 0
    lines = [
        (["validate", "in.yaml"], None),
        (["info", "whole.h5"], None),
        (["run", "in.yaml", "-o", "new.h5"], "new.h5"),
        *(
            ([*line, "-o", f"new{ending}"], f"new{ending}")
            for line, ending in WRITERS[1:]
            if "aihwkit" not in line and "crosssim" not in line
        ),
    ]
    for line, written in lines:
        began = time.monotonic()
        assert run(*line).returncode == 0
        duration_s = time.monotonic() - began
        before = {path.name for path in here.iterdir()} - {written, "new.h5.work"}
        for _ in range(2):
            (here / (written or "absent")).unlink(missing_ok=True)
            process = started(*line)
            time.sleep(rng.uniform(0, duration_s))
            number = rng.choice(STOPPING)
            process.send_signal(number)
            _, text = process.communicate(timeout=30)
            assert "Traceback" not in text and "Error" not in text, text
            assert list(here.rglob("*.tmp")) == []
            after = {path.name for path in here.iterdir()} - {written, "new.h5.work"}
            assert after == before
            if process.returncode == 75:
                (last,) = [row for row in text.splitlines() if "same line again" in row]
                assert f"stopped by {signal.Signals(number).name}" in last
            else:
                assert process.returncode == 0
                assert written is None or (here / written).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("place", ["import", "writing", "destructor"])
def test_a_signal_is_heard_where_exceptions_are_lost(here, number, place):
    line = ["plot", "whole.h5", "-o", "new.png"]
    assert run("run", "in.yaml", "-o", "whole.h5", "-q").returncode == 0
    send = f"import os; os.kill(os.getpid(), {int(number)})"
    code = {
        "import": "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'kmc_oxy.storage.output_file': {send}\n"
        "sys.meta_path.insert(0, Finder())\n",
        "writing": "from matplotlib.figure import Figure\n"
        "def savefig(self, target, **options):\n"
        "    target.write(b'half')\n"
        f"    {send}\n"
        "Figure.savefig = savefig\n",
        "destructor": "import kmc_oxy.storage.output_file as output_file\n"
        "class Lost:\n"
        "    def __del__(self):\n"
        f"        {send}\n"
        "output_file.is_output = lambda path: bool(Lost())\n",
    }[place]
    code += f"import sys; from kmc_oxy.cli import main; sys.argv[1:] = {line}; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 75
    assert done.stderr == f"kmc-oxy: stopped by {number.name}: run the same line again\n"
    assert sorted(os.listdir()) == ["in.yaml", "slow.yaml", "whole.h5"]


def test_killed_at_random_moments_nothing_finished_is_lost(here, whole):
    """kill -9 wherever it falls: start-up, hops, checkpoint, task file, assembly."""
    rng = np.random.default_rng()
    kills, finished = 0, set()
    folder = here / "out.h5.work" / "tasks"
    while True:
        process = subprocess.Popen(command("run", "slow.yaml", "-o", "out.h5", "-q"))
        try:
            process.wait(timeout=rng.uniform(0.3, 2.5) if kills < 8 else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            assert process.returncode == 0
            break
        kills += 1
        if (here / "out.h5").exists():
            assert datasets("out.h5") == whole
        elif folder.exists():
            now = {name for name in os.listdir(folder) if name.endswith(".npz")}
            assert now >= finished
            finished = now
    assert kills > 0
    assert datasets("out.h5") == whole
    assert run("run", "slow.yaml", "-o", "out.h5", "-q").returncode == 0
    assert not (here / "out.h5.work").exists() and not (here / "out.h5.tmp").exists()


def test_two_runs_on_one_output(here):
    process = subprocess.Popen(
        command("run", "slow.yaml", "-o", "out.h5"), stderr=subprocess.PIPE, text=True
    )
    try:
        assert "2 tasks" in process.stderr.readline()
        second = run("run", "slow.yaml", "-o", "out.h5")
        assert second.returncode == 1 and "another run is writing" in second.stderr
    finally:
        _, text = process.communicate(timeout=60)
    assert process.returncode == 0, text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_any_terminal_can_show_every_command(here, encoding):
    (here / "\N{GREEK SMALL LETTER MU}.yaml").write_text(
        "name: \N{GREEK CAPITAL LETTER OMEGA} \N{MULTIPLICATION SIGN} \N{SNOWMAN}\n"
        "device: {lattice: {nx: 4, ny: 4}}\nensemble: {members: 2, seed: 1}\n"
        "crossbar: {rows: 2}\nprotocol: [{train: {voltage: -2 V, duration: 1 us, count: 9}}]\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    name = "\N{GREEK SMALL LETTER MU}.yaml"
    for arguments in (
        ["validate", name],
        ["run", name, "-o", "\N{GREEK SMALL LETTER MU}.h5"],
        ["info", "\N{GREEK SMALL LETTER MU}.h5"],
        ["report", "\N{GREEK SMALL LETTER MU}.h5", "-o", "p.html"],
        ["export", "\N{GREEK SMALL LETTER MU}.h5", "--to", "csv", "-o", "t.csv"],
        ["validate", name, "--set", "name=5"],
    ):
        done = subprocess.run(
            command(*arguments), capture_output=True, check=False, timeout=120, env=environment
        )
        assert done.returncode == (2 if "--set" in arguments else 0), done.stderr
        assert b"Error" not in done.stderr
        (done.stdout + done.stderr).decode(encoding)
    assert "\N{SNOWMAN}" in (here / "p.html").read_text(encoding="utf-8")


TYPED = "\N{MICRO SIGN}\N{GREEK CAPITAL LETTER OMEGA} \N{SNOWMAN}"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("utf8", ["0", "1"])
def test_a_setting_arrives_as_typed_in_any_locale(here, locale, utf8):
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": utf8}
    line = [os.fsencode(word) for word in command("run", "in.yaml", "-o", "out.h5", "-q", "--set")]
    done = subprocess.run(
        [*line, f"name={TYPED}".encode()], capture_output=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with open_output(here / "out.h5") as file:
        assert file.resolved["name"] == file.attributes["name"] == TYPED
        assert json.loads(file.attributes["overrides"]) == [f"name={TYPED}"]
    info = subprocess.run(
        command("info", "out.h5"), capture_output=True, check=True,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert f"settings    name={TYPED}\n" in info.stdout.decode()
    for name in (b"\xb5", b"\xb5=1", b"name=\xb5"):
        done = subprocess.run([*line, name], capture_output=True, check=False, env=environment)
        assert done.returncode == 2 and b"is not UTF-8 text" in done.stderr


def test_a_setting_in_latin_1(monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("latin-1", "surrogateescape"))
    assert typed_text("name=\xb5") == "name=\N{MICRO SIGN}"
    # A terminal in UTF-8 whose locale says Latin-1.
    assert typed_text("name=\xc2\xb5") == "name=\N{MICRO SIGN}"


def test_a_run_in_another_thread(here):
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(cli.main(["run", "in.yaml", "-o", "out.h5", "-q"]))
    )
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert codes == [0] and (here / "out.h5").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("place", [".", "folder", "folder/"])
def test_a_folder_as_output_is_refused_in_one_line(here, capsys, place):
    (here / "folder").mkdir()
    for arguments in (
        ["run", "in.yaml"],
        ["plot", "whole.h5"],
        ["export", "whole.h5", "--to", "csv"],
    ):
        if arguments[0] != "run" and not (here / "whole.h5").exists():
            assert cli.main(["run", "in.yaml", "-o", "whole.h5", "-q"]) == 0
        capsys.readouterr()
        assert cli.main([*arguments, "-o", place]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "folder" in line and "--debug" not in line


def _make_place(folder, kind, ending):
    """A place that is no file, and what the message says of it."""
    place = folder / f"{kind}{ending}"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(place))
    elif kind == "device":
        place.symlink_to("/dev/full")
    elif kind == "absent":
        (folder / "file").write_text("mine")
        place = folder / "file" / place.name
    return place


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "absent"])
def test_a_place_that_is_no_file_is_refused_before_anything_is_computed(
    here, capsys, kind, monkeypatch
):
    assert cli.main(["run", "in.yaml", "-o", "whole.h5", "-q"]) == 0
    capsys.readouterr()
    for module, name in (("execution.whole_run", "run_serial"), ("figures.run_figure", "draw")):
        monkeypatch.setattr(f"kmc_oxy.{module}.{name}", None)
    for number, (line, ending) in enumerate(WRITERS):
        folder = here / str(number)
        folder.mkdir()
        place = _make_place(folder, kind, ending)
        before = sorted(path.name for path in folder.iterdir())
        for fresh in ([], ["--fresh"]) if line[0] == "run" else ([],):
            assert cli.main([*line, "-o", str(place), *fresh]) == 1
            (text,) = capsys.readouterr().err.strip().splitlines()
            assert str(folder) in text and "--debug" not in text
            assert "a device or a pipe" in text or kind == "absent"
        assert sorted(path.name for path in folder.iterdir()) == before
        assert not place.is_file()
    assert cli.main(["info", str(place)]) == 1
    assert cli.main(["plot", str(place), "-o", "fig.png"]) == 1


def test_a_missing_folder_is_made_for_a_run_and_named_for_the_rest(here, capsys):
    assert cli.main(["run", "in.yaml", "-o", "new/folder/whole.h5", "-q"]) == 0
    for line, ending in WRITERS[1:]:
        capsys.readouterr()
        line = [line[0], "new/folder/whole.h5", *line[2:]]
        assert cli.main([*line, "-o", f"absent/place{ending}"]) == 1
        (text,) = capsys.readouterr().err.strip().splitlines()
        assert "there is no folder" in text and "absent" in text
    assert not (here / "absent").exists()


def test_a_folder_that_may_not_be_written(here, capsys, monkeypatch):
    """With the answer of the system given, since root may write anywhere."""
    assert cli.main(["run", "in.yaml", "-o", "whole.h5", "-q"]) == 0
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    for line, ending in WRITERS[1:]:
        capsys.readouterr()
        assert cli.main([*line, "-o", f"place{ending}"]) == 1
        (text,) = capsys.readouterr().err.strip().splitlines()
        assert "no permission to write there" in text
    if os.geteuid() != 0:
        (here / "closed").mkdir(mode=0o500)
        assert cli.main(["run", "in.yaml", "-o", "closed/out.h5"]) == 1
        assert "no permission" in capsys.readouterr().err


def test_the_second_file_of_an_export_never_replaces_a_run(here, capsys):
    train = (
        "protocol=[{train: {voltage: 3 V, duration: 1 ms, count: 9}}, "
        "{train: {voltage: -3 V, duration: 1 ms, count: 9}}]"
    )
    assert cli.main(["run", "in.yaml", "-o", "whole.json", "-q", "--set", train]) == 0
    before = (here / "whole.json").read_bytes()
    assert cli.main(["export", "whole.json", "--to", "aihwkit", "-o", "whole.csv"]) == 1
    assert "whole.json is the output of a run" in capsys.readouterr().err
    assert (here / "whole.json").read_bytes() == before and not (here / "whole.csv").exists()


@pytest.mark.parametrize("ending", ["pgf", "raw", "rgba", "svgz", "ps", "xyz"])
def test_other_formats_of_matplotlib_are_refused_before_drawing(here, capsys, ending, monkeypatch):
    monkeypatch.setattr("kmc_oxy.figures.run_figure.draw", None)
    (here / f"fig.{ending}").write_text("mine")
    assert cli.main(["plot", "absent.h5", "-o", f"fig.{ending}"]) == 1
    text = capsys.readouterr().err
    assert f"cannot draw a '{ending}' file" in text and "png, pdf, svg, eps, jpg" in text
    assert (here / f"fig.{ending}").read_text() == "mine"


def test_every_format_of_a_figure_is_drawn(here):
    assert cli.main(["run", "in.yaml", "-o", "out.h5", "-q"]) == 0
    heads = {
        "png": b"\x89PNG",
        "pdf": b"%PDF",
        "svg": b"<?xml",
        "eps": b"%!PS",
        "jpg": b"\xff\xd8",
        "jpeg": b"\xff\xd8",
        "tif": b"II",
        "tiff": b"II",
        "webp": b"RIFF",
        "PNG": b"\x89PNG",
    }
    for ending, head in heads.items():
        assert cli.main(["plot", "out.h5", "-o", f"fig.{ending}", "-q"]) == 0
        assert (here / f"fig.{ending}").read_bytes().startswith(head)
    assert cli.main(["plot", "out.h5", "-o", "fig", "-q"]) == 0
    assert (here / "fig").read_bytes().startswith(heads["png"])
