"""``kmc-oxy run``: compute a run, or what is left of it, in one process, several, or under MPI.

Heavy rooms are imported inside functions: a rank installs its signal handlers before.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc_oxy.cli.exit_codes import EXIT_DONE, report_error
from kmc_oxy.cli.input_arguments import add_input_arguments, load_input
from kmc_oxy.cli.local_processes import add_jobs_argument, local_processes
from kmc_oxy.process import Interrupted, StopRequest, communicator, rank, size

if TYPE_CHECKING:
    from kmc_oxy.execution import LivePage, Plan, Progress
    from kmc_oxy.storage import WorkFolder

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a simulation. The same line again goes on with what is unfinished, and "
        "returns at once when all is complete."
    )
    add_input_arguments(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT.h5", type=Path, help="default: the input's name with .h5"
    )
    add_jobs_argument(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="begin again, whatever was computed before"
    )
    parser.add_argument(
        "--progress",
        choices=("text", "json"),
        default="text",
        help="json: a line of JSON every second on the standard output, for other programs",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="write OUT.live.html beside the output, a page with the progress and the conductances "
        "so far; a browser shows it anew every few seconds",
    )
    parser.add_argument(
        "--no-memory-check",
        action="store_true",
        help="start even if the run needs more memory than is available",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the input and say what the run would cost"
    )


def execute(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        from kmc_oxy.cli import validate

        return validate.execute(arguments) if rank() == 0 else EXIT_DONE
    output = arguments.output or Path(Path(arguments.input).with_suffix(".h5").name)
    processes = local_processes(arguments, lambda: _useful_processes(arguments, output))
    with StopRequest().active() as stop:
        world = communicator()
        if world is not None:
            code = _compute_in_parallel(world, arguments, output, stop)
            if code == EXIT_DONE and world.rank == 0:
                _print_table(arguments, output)
            return code
    stop.raise_if_received()
    # A process alone can end at a signal while it reads its input; ranks have to end together.
    begun = _begin(arguments, output)
    with StopRequest().active() as stop:
        if begun is not None:
            try:
                _compute(*begun, arguments, processes, stop)
            except Interrupted:
                stop.raise_if_received()
                raise
        # Still inside: a signal after the end of the run must not change the exit code.
        _print_table(arguments, output)
    return EXIT_DONE


def _useful_processes(arguments: argparse.Namespace, output: Path) -> int:
    """Number of processes that the run can use; 1 if its input has faults, to be reported once."""
    from kmc_oxy.execution import Plan, useful_processes
    from kmc_oxy.inputs import InputError, load

    try:
        plan = Plan(load(arguments.input, arguments.set))
    except InputError:
        return 1
    return useful_processes(plan, output, fresh=arguments.fresh)


def _print_table(arguments: argparse.Namespace, output: Path) -> None:
    if not arguments.quiet:
        from kmc_oxy.cli.tables import run_table

        print(run_table(output))


def _begin(arguments: argparse.Namespace, output: Path) -> tuple[Plan, WorkFolder] | None:
    """Read the input and lock the work folder; None if the run is complete."""
    from kmc_oxy.execution import Plan, begin

    plan = Plan(load_input(arguments))
    work = begin(
        plan,
        output,
        ranks=size() or 1,
        fresh=arguments.fresh,
        memory_check=not arguments.no_memory_check,
    )
    return None if work is None else (plan, work)


def _compute(
    plan: Plan,
    work: WorkFolder,
    arguments: argparse.Namespace,
    processes: int,
    stop: StopRequest,
) -> None:
    """Compute what is left of a run in this process or its workers."""
    from kmc_oxy.execution import complete

    progress = _Progress(arguments)
    progress.begin((plan, work))
    try:
        complete(plan, work, processes=processes, stop=stop, report_progress=progress)
    finally:
        progress.close()


class _Progress:
    """What shows the progress of a run: lines or a bar, and the live page with ``--watch``."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from kmc_oxy.execution import ProgressDisplay, progress_json

        self._watch = arguments.watch
        self._page: LivePage | None = None
        if arguments.progress == "json":
            self._display = ProgressDisplay(sys.stdout, verbose=True, line=progress_json)
        else:
            self._display = ProgressDisplay(
                sys.stderr, verbose=arguments.verbose, quiet=arguments.quiet
            )

    def begin(self, begun: tuple[Plan, WorkFolder] | None) -> tuple[Plan, WorkFolder] | None:
        """Begin the live page of a run, and return the run."""
        from kmc_oxy.execution import LivePage

        if self._watch and begun is not None:
            self._page = LivePage(*begun)
            log.info("live page: %s", self._page.path)
        return begun

    def __call__(self, progress: Progress) -> None:
        self._display(progress)
        if self._page is not None:
            self._page(progress)

    def close(self) -> None:
        self._display.close()
        if self._page is not None:
            self._page.close()


def _compute_in_parallel(
    world: Any, arguments: argparse.Namespace, output: Path, stop: StopRequest
) -> int:
    """Compute what is left of a run as one of several ranks; the same exit code on all."""
    from kmc_oxy.execution.mpi import JobTerminated, run_parallel

    if world.rank == 0:
        log.info("%d ranks", world.size)
    progress = _Progress(arguments)

    def fail(error: Exception) -> int:
        progress.close()
        return report_error(error, arguments.debug)

    try:
        run_parallel(
            world,
            lambda: progress.begin(_begin(arguments, output)),
            stop=stop,
            report_progress=progress,
            report_error=fail,
        )
    except JobTerminated as ended:
        return ended.exit_code
    finally:
        progress.close()
    return EXIT_DONE
