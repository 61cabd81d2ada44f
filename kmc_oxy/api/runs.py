"""``kmc_oxy.run``: the command ``kmc-oxy run``, from Python."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from kmc_oxy.api.child_run import ChildError, run_in_child
from kmc_oxy.api.given_input import GivenInput, file_of, load_given
from kmc_oxy.api.notebook_bar import NotebookBar, is_wanted
from kmc_oxy.api.result import Result
from kmc_oxy.execution import (
    MemoryNeedError,
    Plan,
    ProgressDisplay,
    WorkerError,
    begin,
    complete,
    useful_processes,
)
from kmc_oxy.process import Interrupted, StopRequest, is_in_job, is_in_shell_of_slurm, size
from kmc_oxy.simulation import FeedbackError
from kmc_oxy.storage import StoreError


class RunError(Exception):
    """A run failed; the text is what the command line prints."""


def run(
    input: GivenInput,
    output: str | PathLike[str] | None = None,
    jobs: int | None = None,
    progress: bool = True,
    *,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
    memory_check: bool = True,
    **overrides: Any,
) -> Result:
    """Run a simulation, or go on with it, as ``kmc-oxy run`` does.

    Ctrl-C, or the stop button of a notebook, stops after a checkpoint, and the same call resumes.

    Parameters
    ----------
    input : str, path, mapping or Input
        Name of a file, YAML text (with a line break or ``": "``), a mapping with the keys of an
        input file, or a checked input.
    output : str or path, optional
        File of the results. Default: the name of the input file with the ending .h5, in the
        working directory; for an input that is no file, a temporary file, which is removed with
        the `Result`.
    jobs : int, optional
        Number of processes on this machine. Default: one for each core that may be used, if there
        are several tasks and memory for them; one inside a job of MPI or Slurm.
    progress : bool
        Whether progress is shown: as a bar in a notebook if tqdm is installed, else on the
        standard error.
    settings : mapping of str, optional
        Dotted key -> value, as ``--set``: ``{"ensemble.members": 4}``.
    fresh : bool
        Begin again, whatever was computed before, as ``--fresh``.
    memory_check : bool
        Refuse a run that needs more memory than is available; False: ``--no-memory-check``.
    **overrides
        As `settings`, with ``__`` for the dot: ``ensemble__members=4``.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        With every fault of the input, one a line.
    RunError
        If the run fails. What is finished is kept, unless the output is temporary.
    KeyboardInterrupt
        If a signal stopped the run.
    """
    plan = Plan(load_given(input, settings, overrides))
    folder = None
    if output is None:
        source = file_of(input)
        folder = tempfile.TemporaryDirectory(prefix="kmc_oxy-") if source is None else None
        name = "run.h5" if source is None else source.with_suffix(".h5").name
        output = Path(folder.name, name) if folder else name
    path = Path(output)
    try:
        processes = _processes(jobs, plan, path, fresh)
        display = _display(progress)
        try:
            if processes > 1:
                run_in_child(plan.loaded, path, processes, fresh, memory_check, display)
            else:
                _run_here(plan, path, fresh, memory_check, display)
        finally:
            display.close()
    except (StoreError, FeedbackError, MemoryNeedError, WorkerError, ChildError) as error:
        raise RunError(str(error)) from error
    except Interrupted as stopped:
        raise KeyboardInterrupt(f"{stopped}: run the same line again to go on") from None
    return Result(path.absolute(), folder)


def _display(progress: bool) -> NotebookBar | ProgressDisplay:
    if progress and is_wanted():
        return NotebookBar()
    return ProgressDisplay(sys.stderr, quiet=not progress)


def _processes(jobs: int | None, plan: Plan, output: Path, fresh: bool) -> int:
    if jobs is not None and jobs < 1:
        raise RunError(f"jobs must be a whole number from 1 on (got {jobs!r})")
    if (size() or 1) > 1:
        raise RunError(
            "kmc_oxy.run starts its own processes and is called in several ranks of an MPI job: "
            "start kmc-oxy run by the launcher, or call it in one rank with KMC_OXY_SERIAL=1"
        )
    if is_in_job():
        return (jobs or 1) if is_in_shell_of_slurm() else 1
    return useful_processes(plan, output, fresh=fresh) if jobs is None else jobs


def _run_here(
    plan: Plan,
    output: Path,
    fresh: bool,
    memory_check: bool,
    display: ProgressDisplay | NotebookBar,
) -> None:
    with StopRequest().active() as stop:
        work = begin(plan, output, fresh=fresh, memory_check=memory_check)
        if work is None:
            return
        try:
            complete(plan, work, processes=1, stop=stop, report_progress=display)
        except Interrupted:
            stop.raise_if_received()
            raise
