import sys

import pytest

from kmc_oxy.process import launcher

VARIABLES = (*launcher.RANK_VARIABLES, *launcher.SIZE_VARIABLES, "SLURM_PROCID")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # An earlier test may have imported it.
    monkeypatch.delitem(sys.modules, "mpi4py.run", raising=False)


@pytest.mark.parametrize(
    ("environment", "rank", "size"),
    [
        ({}, 0, None),
        ({"PMI_RANK": "3", "PMI_SIZE": "4"}, 3, 4),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"}, 1, 2),
        ({"PMIX_RANK": "2"}, 2, None),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, 5, 8),
        # A batch script itself, and a shell on a node.
        ({"SLURM_PROCID": "0"}, 0, None),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, 0, 1),
    ],
)
def test_rank_and_size_from_the_environment(monkeypatch, environment, rank, size):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (launcher.rank(), launcher.size()) == (rank, size)


@pytest.mark.parametrize("environment", [{}, {"PMI_RANK": "0", "PMI_SIZE": "1"}])
def test_one_process_loads_no_mpi(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert launcher.communicator() is None


@pytest.mark.parametrize("module", ["mpi4py", "mpi4py.MPI"])
def test_ranks_without_mpi4py_are_told_so(monkeypatch, module):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(launcher.LaunchError, match=r"started as 2 ranks.*install mpi4py"):
        launcher.communicator()


def test_one_process_can_say_that_it_is_alone(monkeypatch):
    """A shell of a Slurm job with several tasks has the variables of a rank."""
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(launcher.LaunchError, match="KMC_OXY_SERIAL=1"):
        launcher.communicator()
    monkeypatch.setenv("KMC_OXY_SERIAL", "1")
    assert launcher.communicator() is None and launcher.rank() == 0
