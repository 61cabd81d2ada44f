"""``kmc-oxy run``: compute a run, or what is left of it, in one process or under MPI.

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
from kmc_oxy.process import Interrupted, StopRequest, communicator, rank, size

if TYPE_CHECKING:
    from kmc_oxy.execution import Plan
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
    parser.add_argument(
        "--fresh", action="store_true", help="begin again, whatever was computed before"
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
                _compute(*begun, arguments, stop)
            except Interrupted:
                stop.raise_if_received()
                raise
        # Still inside: a signal after the end of the run must not change the exit code.
        _print_table(arguments, output)
    return EXIT_DONE


def _print_table(arguments: argparse.Namespace, output: Path) -> None:
    if not arguments.quiet:
        from kmc_oxy.cli.tables import run_table

        print(run_table(output))


def _begin(arguments: argparse.Namespace, output: Path) -> tuple[Plan, WorkFolder] | None:
    """Read the input and lock the work folder; None if the run is complete."""
    from kmc_oxy.execution import Plan, check_memory
    from kmc_oxy.storage import begin_or_resume

    plan = Plan(load_input(arguments))
    if not arguments.no_memory_check:
        check_memory(plan, size() or 1)
    work = begin_or_resume(output, plan.identity, fresh=arguments.fresh)
    if work is None:
        log.info("%s is complete already (--fresh computes it again)", output)
        return None
    log.info(
        "%d tasks, %d of them finished before; seed %d; results in %s",
        plan.n_tasks,
        len(work.finished()),
        work.manifest().seed,
        output,
    )
    return plan, work


def _compute(
    plan: Plan, work: WorkFolder, arguments: argparse.Namespace, stop: StopRequest
) -> None:
    """Compute what is left of a run in this process."""
    from kmc_oxy.execution import ProgressDisplay, assemble, run_serial

    display = ProgressDisplay(sys.stderr, verbose=arguments.verbose, quiet=arguments.quiet)
    try:
        run_serial(plan, work, stop=stop, report_progress=display)
        display.close()
        assemble(plan, work, stop=stop)
    finally:
        display.close()
        work.release()


def _compute_in_parallel(
    world: Any, arguments: argparse.Namespace, output: Path, stop: StopRequest
) -> int:
    """Compute what is left of a run as one of several ranks; the same exit code on all."""
    from kmc_oxy.execution import ProgressDisplay
    from kmc_oxy.execution.mpi import JobTerminated, run_parallel

    if world.rank == 0:
        log.info("%d ranks", world.size)
    try:
        run_parallel(
            world,
            lambda: _begin(arguments, output),
            stop=stop,
            report_progress=ProgressDisplay(
                sys.stderr, verbose=arguments.verbose, quiet=arguments.quiet
            ),
            report_error=lambda error: report_error(error, arguments.debug),
        )
    except JobTerminated as ended:
        return ended.exit_code
    return EXIT_DONE
