"""One array on several ranks: the same bytes, interruptions, faults, cells that change hands."""

import contextlib
import os
import signal
import time

import h5py
import jobs
import pytest
from jobs import LINE, Job, complaints, datasets, run

# A second or two; with lines the circuit is solved again and again, without them the ranks meet
# only where the protocol looks at the whole array.
TEXT = """
device: {lattice: {nx: 8, ny: 8}}
protocol:
  - pulse: {voltage: -4 V, duration: 100 ms}
  - program: {cell: [1, 1], voltage: 3 V, duration: 10 ms, count: 6}
  - map: {}
  - field_sweep: {amplitude: 50 mT, step: 10 mT}
  - program: {cell: [0, 1], voltage: 3 V, duration: 10 ms, max_pulses: 3, target: 1 nS}
  - train: {voltage: 2 V, duration: 10 ms, count: 4, rest: {voltage: 0 V, duration: 100 ms}}
ensemble: {members: 1, seed: 4}
"""
FREE = TEXT + "crossbar: {rows: 2, columns: 3}\n"
# Each cell follows its own state too, which no other rank knows.
FOLLOWING = FREE.replace(
    "8}}",
    "8}, feedback: {potential: network, screening_length: 0.01 nm, thermal_resistance: 1e3 K/W}}",
)
COUPLED = (
    TEXT
    + "crossbar: {rows: 2, columns: 3, line_resistance: 1 kohm}\nconductance: {patches: 10000}\n"
)


def whole_of(factory, text):
    return jobs.whole(factory.mktemp("whole"), text)


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """Datasets of the serial runs."""
    return {text: whole_of(tmp_path_factory, text) for text in (FREE, COUPLED, FOLLOWING)}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What the ranks did, told by each in a file; kernel calls may be made shorter.
SCRIPT = """
import sys, time
from mpi4py import MPI
import kmc_oxy.physics.engine
import kmc_oxy.execution.mpi.parallel_run as parallel
import kmc_oxy.execution.mpi.rank_group as team
from kmc_oxy.cli import main
rank, meet, met = MPI.COMM_WORLD.rank, team.Share.meet, []

def observed(self, *arguments):
    meeting = meet(self, *arguments)
    met.append(meeting)
    {fault}
    return meeting

team.Share.meet = observed
{before}
code = main()
moves = sum(len(meeting.moves) for meeting in met)
open("told%d" % rank, "w").write("%d %d" % (len(met), moves))
sys.exit(code)
"""


def script(here, fault="", before=""):
    path = here / "observed.py"
    path.write_text(SCRIPT.format(fault=fault or "pass", before=before))
    return path


def meetings_and_moves(here):
    """Of each rank."""
    told = sorted(here.glob("told*"))
    return [tuple(map(int, path.read_text().split())) for path in told]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("text", [FREE, COUPLED], ids=["free", "coupled"])
def test_any_number_of_ranks_gives_the_same(here, wholes, ranks, text):
    (here / "in.yaml").write_text(text)
    code, _, err = run(ranks, *LINE, "-v", script=script(here))
    assert code == 0, err
    assert datasets("out.h5") == wholes[text]
    assert err.count("1/1 tasks, 100 %") == 1 and not complaints(err)
    told = meetings_and_moves(here)
    assert len(told) == ranks and len(set(told)) == 1
    # Without lines: the map, the four readings of the write-verify, and the end.
    assert told[0][0] >= (60 if text == COUPLED else 6)
    with h5py.File("out.h5") as file:
        assert file.attrs["mpi_size"] == ranks


@pytest.mark.parametrize("text", [FREE, FOLLOWING], ids=["free", "following"])
def test_cells_change_hands(here, wholes, text):
    """Forced to move cells all the time, in the middle of stretches too, a run gives the same."""
    (here / "in.yaml").write_text(text)
    before = """
kmc_oxy.physics.engine.TRIALS_PER_CALL = 1000
team.LOOK_S = team.QUIET_S = 0.0
team.Share.is_waited_for = lambda self, steps, left: self._team.somebody_waits()

def all_in_turn(owner, load_s, processes, move_s):
    return [(cell, int(old), int(old + 1) % processes) for cell, old in enumerate(owner)]

team.moves_worth_making = all_in_turn
"""
    code, _, err = run(2, *LINE, "-q", script=script(here, before=before))
    assert code == 0, err
    assert datasets("out.h5") == wholes[text]
    meetings, moves = meetings_and_moves(here)[0]
    assert meetings > 6 and moves == 6 * meetings


def test_an_idle_rank_is_given_cells(here, wholes):
    """The second rank begins with none of the work: the first gives it some in mid-stretch."""
    (here / "in.yaml").write_text(FREE)
    before = """
begin = team.Share.__init__

def unfair(self, *arguments):
    begin(self, *arguments)
    self._owner[:] = 0
    self._owner[-1] = 1

team.Share.__init__ = unfair
"""
    code, _, err = run(2, *LINE, "-q", script=script(here, before=before))
    assert code == 0, err
    assert datasets("out.h5") == wholes[FREE]
    assert meetings_and_moves(here)[0][1] > 0


@pytest.mark.parametrize(
    ("text", "whom"), [(FREE, 1), (COUPLED, 0)], ids=["free, rank 1", "coupled, rank 0"]
)
def test_interrupted_and_resumed_by_other_numbers_of_ranks(here, tmp_path_factory, text, whom):
    text = text.replace("count: 4,", "count: 40,")  # long enough to be caught at it
    (here / "in.yaml").write_text(text)
    interruptions = 0
    for ranks, number in ((2, signal.SIGUSR1), (3, signal.SIGTERM), (0, signal.SIGUSR1)):
        job = Job(ranks, *LINE)
        if not job.wait_until_computing():  # an interruption came too late
            assert job.end()[0] == 0
            break
        time.sleep(0.1)
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(job.ranks()[whom if ranks else 0] if ranks else job.process.pid, number)
        code, _, err = job.end()
        assert code in (0, 75), err
        if code == 75:
            interruptions += 1
            assert complaints(err)[-1] == (
                f"kmc-oxy: stopped by {number.name}: run the same line again to go on"
            )
            assert os.listdir("out.h5.work/checkpoints") == ["0000000.npz"]
    assert interruptions > 0
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == whole_of(tmp_path_factory, text)


def test_checkpoints_on_a_cadence(here, wholes):
    """A checkpoint from the middle of a run that is then killed serves any number of ranks."""
    (here / "in.yaml").write_text(COUPLED)
    before = """
from functools import partial
parallel.run_task = partial(parallel.run_task, cadence_s=0.05)
"""
    fault = "if sum(m.pause == 1 for m in met) == 4: MPI.COMM_WORLD.Abort(9)"
    code, _, _ = run(2, *LINE, "-q", script=script(here, fault, before))
    assert code != 0 and not os.path.exists("out.h5")
    assert "0000000.npz" in os.listdir("out.h5.work/checkpoints")
    assert run(3, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == wholes[COUPLED]


@pytest.mark.parametrize(
    ("text", "rank"), [(FREE, 0), (COUPLED, 1)], ids=["free, rank 0", "coupled, rank 1"]
)
def test_an_exception_on_one_rank_ends_the_job(here, wholes, text, rank):
    (here / "in.yaml").write_text(text)
    fault = f"if rank == {rank} and len(met) == 3: raise RuntimeError('enough')"
    jobs.fails_once(script(here, fault), 3, rank, "enough")
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == wholes[text]


#: Places where a team is in the middle of something, and who fails there.
PLACES = {
    "before it sends cells": "Share.move, rank 0",
    "while it receives cells": "Team.receive, rank 1",
    "before it sends its cells to the first": "Share.collect, rank 1",
    "before the cells of others have come": "Share.collect, rank 0",
    "while a checkpoint is written": "WorkFolder.save_checkpoint, rank 0",
    "before the others know the task": "WorkFolder.load_checkpoint, rank 0",
}


@pytest.mark.parametrize("where", PLACES)
def test_nobody_waits_for_a_rank_that_has_failed(here, where):
    """What is under way between ranks is given up, and MPI ends in order."""
    (here / "in.yaml").write_text(FREE)
    method, _, rank = PLACES[where].partition(", rank ")
    before = f"""
from functools import partial
from kmc_oxy.simulation import Alone
from kmc_oxy.execution.mpi.rank_group import Share, Team
from kmc_oxy.storage import WorkFolder

def all_in_turn(owner, load_s, processes, move_s):
    return [(cell, int(old), int(old + 1) % processes) for cell, old in enumerate(owner)]

team.moves_worth_making = all_in_turn
parallel.run_task = partial(parallel.run_task, cadence_s=0.3)
original = {method}

def failing(*arguments, **options):
    if rank == {rank} and (met or "load" in {method!r}):
        raise RuntimeError("enough")
    return original(*arguments, **options)

{method} = failing
"""
    began = time.monotonic()
    code, _, err = run(2, *LINE, script=script(here, before=before))
    assert time.monotonic() - began < 20
    assert code == 1
    (line,) = complaints(err)
    assert "RuntimeError: enough" in line


def test_more_ranks_than_tasks_and_cells(here, tmp_path_factory):
    """Two tasks of two cells on five ranks: one rank has nothing to do."""
    text = FREE.replace("rows: 2, columns: 3", "rows: 1, columns: 2").replace(
        "members: 1", "members: 2"
    )
    text = text.replace("cell: [1, 1]", "cell: [0, 0]")
    (here / "in.yaml").write_text(text)
    code, _, err = run(5, *LINE, script=script(here))
    assert code == 0, err
    assert datasets("out.h5") == whole_of(tmp_path_factory, text)
    assert sorted(met > 0 for met, _ in meetings_and_moves(here)) == [False] + 4 * [True]
