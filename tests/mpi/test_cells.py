"""One array on several ranks: the same bytes, interruptions, failures, cells that move."""

import contextlib
import os
import signal
import time

import h5py
import jobs
import pytest
from jobs import LINE, Job, datasets, messages, run

# A second or two. With line resistance the ranks synchronise at every solve of the circuit, without
# it only where the protocol reads the whole array.
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
# The potential of each cell depends on its own state too, which no other rank has.
FEEDBACK = FREE.replace(
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
    return {text: whole_of(tmp_path_factory, text) for text in (FREE, COUPLED, FEEDBACK)}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Each rank writes the numbers of its synchronisations and moves into a file. `fault` runs after
# each synchronisation, `before` before the command.
SCRIPT = """
import dataclasses, sys, time
from mpi4py import MPI
import kmc_oxy.physics.engine
import kmc_oxy.execution.mpi.distributed_cells as cells
import kmc_oxy.execution.mpi.parallel_run as parallel
from kmc_oxy.cli import main
rank, results = MPI.COMM_WORLD.rank, []
run_task, synchronize = parallel.run_task, cells.DistributedCells.synchronize

def observed(self, *arguments):
    result = synchronize(self, *arguments)
    results.append(result)
    {fault}
    return result

def checkpoints_every(interval_s):
    def run(session, *arguments, **options):
        session = dataclasses.replace(session, checkpoint_interval_s=interval_s)
        run_task(session, *arguments, **options)
    parallel.run_task = run

cells.DistributedCells.synchronize = observed
{before}
code = main()
moves = sum(len(result.moves) for result in results)
open("counts%d" % rank, "w").write("%d %d" % (len(results), moves))
sys.exit(code)
"""


def script(here, fault="", before=""):
    path = here / "observed.py"
    path.write_text(SCRIPT.format(fault=fault or "pass", before=before))
    return path


def counts_of_ranks(here):
    """Numbers of synchronisations and of moves, for each rank."""
    return [tuple(map(int, path.read_text().split())) for path in sorted(here.glob("counts*"))]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("text", [FREE, COUPLED], ids=["free", "coupled"])
def test_any_number_of_ranks_gives_the_same(here, wholes, ranks, text):
    (here / "in.yaml").write_text(text)
    code, _, err = run(ranks, *LINE, "-v", script=script(here))
    assert code == 0, err
    assert datasets("out.h5") == wholes[text]
    assert err.count("1/1 tasks, 100 %") == 1 and not messages(err)
    counts = counts_of_ranks(here)
    assert len(counts) == ranks and len(set(counts)) == 1
    # Without line resistance: the map, the four readings of the write-verify, and the end.
    assert counts[0][0] >= (60 if text == COUPLED else 6)
    with h5py.File("out.h5") as file:
        assert file.attrs["mpi_size"] == ranks


@pytest.mark.parametrize("text", [FREE, FEEDBACK], ids=["free", "feedback"])
def test_cells_move_between_ranks(here, wholes, text):
    """A run gives the same if all cells are moved all the time, in mid-segment too."""
    (here / "in.yaml").write_text(text)
    before = """
kmc_oxy.physics.engine.TRIALS_PER_CALL = 1000
cells.POLL_WAITING_S = cells.REBALANCE_PAUSE_S = 0.0
cells.DistributedCells.should_rebalance = lambda self, steps, left: self._group.others_waiting()

def all_in_turn(owner, load_s, processes, move_s):
    return [(cell, int(old), int(old + 1) % processes) for cell, old in enumerate(owner)]

cells.balancing_moves = all_in_turn
"""
    code, _, err = run(2, *LINE, "-q", script=script(here, before=before))
    assert code == 0, err
    assert datasets("out.h5") == wholes[text]
    synchronizations, moves = counts_of_ranks(here)[0]
    assert synchronizations > 6 and moves == 6 * synchronizations


def test_an_idle_rank_is_given_cells(here, wholes):
    """The second rank begins with one cell of six; the first gives it some in mid-segment."""
    (here / "in.yaml").write_text(FREE)
    before = """
begin = cells.DistributedCells.__init__

def unfair(self, *arguments):
    begin(self, *arguments)
    self._owner[:] = 0
    self._owner[-1] = 1

cells.DistributedCells.__init__ = unfair
"""
    code, _, err = run(2, *LINE, "-q", script=script(here, before=before))
    assert code == 0, err
    assert datasets("out.h5") == wholes[FREE]
    assert counts_of_ranks(here)[0][1] > 0


@pytest.mark.parametrize(
    ("text", "receiver"), [(FREE, 1), (COUPLED, 0)], ids=["free, rank 1", "coupled, rank 0"]
)
def test_interrupted_and_resumed_by_other_numbers_of_ranks(here, tmp_path_factory, text, receiver):
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
            os.kill(job.ranks()[receiver if ranks else 0] if ranks else job.process.pid, number)
        code, _, err = job.end()
        assert code in (0, 75), err
        if code == 75:
            interruptions += 1
            assert messages(err)[-1] == (
                f"kmc-oxy: stopped by {number.name}: run the same line again to go on"
            )
            assert os.listdir("out.h5.work/checkpoints") == ["0000000.npz"]
    assert interruptions > 0
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == whole_of(tmp_path_factory, text)


def test_checkpoints_at_intervals(here, wholes):
    """A checkpoint from the middle of a run that is then killed serves any number of ranks."""
    (here / "in.yaml").write_text(COUPLED)
    fault = "if sum(r.pause == 1 for r in results) == 4: MPI.COMM_WORLD.Abort(9)"
    code, _, _ = run(2, *LINE, "-q", script=script(here, fault, "checkpoints_every(0.05)"))
    assert code != 0 and not os.path.exists("out.h5")
    assert "0000000.npz" in os.listdir("out.h5.work/checkpoints")
    assert run(3, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == wholes[COUPLED]


@pytest.mark.parametrize(
    ("text", "rank"), [(FREE, 0), (COUPLED, 1)], ids=["free, rank 0", "coupled, rank 1"]
)
def test_an_exception_on_one_rank_ends_the_job(here, wholes, text, rank):
    (here / "in.yaml").write_text(text)
    fault = f"if rank == {rank} and len(results) == 3: raise RuntimeError('enough')"
    jobs.fails_once(script(here, fault), 3, rank, "enough")
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == wholes[text]


#: Functions during which communication is pending, and the rank that fails in them.
FAILURES = {
    "before it sends cells": "DistributedCells.move_cells, rank 0",
    "while it receives cells": "RankGroup.receive, rank 1",
    "before it sends its cells to the root": "DistributedCells.gather, rank 1",
    "before the root has received all cells": "DistributedCells.gather, rank 0",
    "while a checkpoint is written": "WorkFolder.save_checkpoint, rank 0",
    "before the root has sent the task": "WorkFolder.load_checkpoint, rank 0",
}


@pytest.mark.parametrize("when", FAILURES)
def test_no_rank_waits_for_one_that_has_failed(here, when):
    """Pending communication is completed, and MPI ends normally."""
    (here / "in.yaml").write_text(FREE)
    method, _, rank = FAILURES[when].partition(", rank ")
    before = f"""
from kmc_oxy.execution.mpi.distributed_cells import DistributedCells
from kmc_oxy.execution.mpi.rank_group import RankGroup
from kmc_oxy.storage import WorkFolder

def all_in_turn(owner, load_s, processes, move_s):
    return [(cell, int(old), int(old + 1) % processes) for cell, old in enumerate(owner)]

cells.balancing_moves = all_in_turn
checkpoints_every(0.1)
original = {method}

def failing(*arguments, **options):
    if rank == {rank} and (results or "load" in {method!r}):
        raise RuntimeError("enough")
    return original(*arguments, **options)

{method} = failing
"""
    began = time.monotonic()
    code, _, err = run(2, *LINE, script=script(here, before=before))
    assert time.monotonic() - began < 20
    assert code == 1
    (line,) = messages(err)
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
    assert sorted(count > 0 for count, _ in counts_of_ranks(here)) == [False] + 4 * [True]
