"""The step `waveform`: its points, from a list or a CSV file, and their faults."""

import json
import time

import pytest

from kmc_oxy.inputs import InputError, load
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import Input

STEP = "protocol: [{waveform: {%s}}]\n"
FILE = "# scope\nt_s,drive (mV)\n-1,1000\n0,2000\n2.5,0\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "wave.csv").write_text(FILE)
    return tmp_path


def loaded(folder, keys):
    (folder / "in.yaml").write_text(STEP % keys)
    return load(folder / "in.yaml")


def faults(folder, keys):
    with pytest.raises(InputError) as caught:
        loaded(folder, keys)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def test_points_of_a_file_are_in_the_resolved_input(folder):
    found = loaded(folder, "file: wave.csv, time: t_s, voltage: drive, read_every: 1 s")
    body = found.model.protocol[0].body
    assert body.voltages == [1.0, 2.0] and body.ends_s == [1.0, 3.5]
    assert body.reading_times_s == [1.0, 2.0, 3.0]
    # The output needs the file no more.
    (folder / "wave.csv").unlink()
    assert Input.model_validate(json.loads(found.resolved)).protocol[0].body == body


def test_readings_are_at_the_end_unless_times_are_given():
    points = "points: [[0, 1 V], [1 ms, 2 V], [3 ms, 0 V]]"
    for keys, times_s in (
        ("", [3e-3]),
        (", read_every: 1.5 ms", [1.5e-3, 3e-3]),
        (", read_at: [0.5 ms, 2 ms]", [0.5e-3, 2e-3]),
    ):
        assert loads(STEP % (points + keys)).model.protocol[0].body.reading_times_s == times_s


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ("", "protocol.0.waveform", "either points or file"),
        ("points: [[0, 1]], file: wave.csv", "protocol.0.waveform", "either points or file"),
        ("points: [[0, 1], [1, 2]], time: t", "protocol.0.waveform", "must have a file"),
        ("points: [[0, 1]]", "protocol.0.waveform.points", "at least 2 item"),
        ("points: [[0, 1], [0, 2]]", "protocol.0.waveform.points.1.0", "rise from point to point"),
        ("points: [[0, 1], [1, 2 s]]", "protocol.0.waveform.points.1.1", "is a duration"),
        (
            "points: [[0, 1], [1, 2]], read_every: 2 s",
            "protocol.0.waveform.read_every",
            "at most the duration",
        ),
        (
            "points: [[0, 1], [1, 2]], read_every: 1 s, read_at: [1 s]",
            "protocol.0.waveform.read_at",
            "left out beside",
        ),
        (
            "points: [[0, 1], [1, 2]], read_at: [1 s, 1 s]",
            "protocol.0.waveform.read_at.1",
            "rise from reading to reading",
        ),
        ("file: no.csv", "protocol.0.waveform.file", "no.csv: cannot be read: no such file"),
        ("file: wave.csv", "protocol.0.waveform.file", "wave.csv:2: no column is named time"),
    ],
)
def test_a_fault_has_its_place(folder, keys, place, words):
    (line,) = faults(folder, keys)
    assert f" {place}: " in line and words in line, line


def test_all_faults_of_a_file_are_given_with_their_lines(folder):
    (folder / "wave.csv").write_text("time,voltage\n0,1\n1,x\n1,2\n2,\n")
    found = faults(folder, "file: wave.csv")
    assert [line.split("waveform.file: ")[1] for line in found] == [
        "wave.csv:3: column 'voltage': must be a number (got 'x')",
        "wave.csv:4: column 'time': must rise from row to row (1 s after 1 s)",
        "wave.csv:5: column 'voltage': is empty: a wave form has no missing values",
    ]


def test_a_file_is_not_scanned(folder):
    text = STEP % "points: [[0, 1], [1, 2]]" + "scan: {protocol.0.waveform.file: [a.csv, b.csv]}\n"
    with pytest.raises(InputError, match="a file is read once"):
        loads(text)


def test_a_long_wave_form_is_checked_in_seconds(folder):
    rows = (f"{number * 1e-3},{number % 2}" for number in range(100_001))
    (folder / "wave.csv").write_text("time,voltage\n" + "\n".join(rows) + "\n")
    began = time.process_time()
    body = loaded(folder, "file: wave.csv, read_every: 100 ms").model.protocol[0].body
    assert time.process_time() - began < 6
    assert len(body.voltages) == 100_000 and len(body.reading_times_s) == 1000
