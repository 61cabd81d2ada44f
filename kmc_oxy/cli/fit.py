"""``kmc-oxy fit``: fit the parameters of a device, or go on with a fit.

Heavy rooms are imported inside functions: a rank installs its signal handlers before.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc_oxy.cli.exit_codes import EXIT_DONE, report_error
from kmc_oxy.cli.input_arguments import load_fit_file, typed_text
from kmc_oxy.cli.local_processes import add_jobs_argument, local_processes
from kmc_oxy.process import Interrupted, StopRequest, communicator, usable_cores

if TYPE_CHECKING:
    from kmc_oxy.execution import Plan, Progress
    from kmc_oxy.fit import FitFolder, FitSession
    from kmc_oxy.storage import WorkFolder

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fit the free parameters of a device to measured curves or published findings "
        "(docs/fitting.md). The same line again goes on with what is unfinished."
    )
    parser.add_argument("input", metavar="FIT.yaml", help="what is fitted to what")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, help="default: the fit file's name"
    )
    add_jobs_argument(parser)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        type=typed_text,
        default=[],
        help="set a dotted key of the fit file, e.g. search.evaluations=500; may be repeated",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin again, whatever was computed before"
    )


def execute(arguments: argparse.Namespace) -> int:
    if local_processes(arguments, usable_cores) > 1:
        log.warning("one process: several need mpi4py and mpiexec (pip install 'kmc_oxy[mpich]')")
    folder = arguments.output or Path(Path(arguments.input).with_suffix("").name)
    with StopRequest().active() as stop:
        from kmc_oxy.fit import FitFolder

        world = communicator()
        with FitFolder(folder) as found:
            if world is not None:
                code = _fit_in_parallel(world, arguments, found, stop)
                if code == EXIT_DONE and world.rank == 0:
                    _show_result(arguments, folder)
                return code
            try:
                _fit(arguments, found, stop)
            except Interrupted:
                stop.raise_if_received()
                raise
            _show_result(arguments, folder)
    return EXIT_DONE


def _begin(arguments: argparse.Namespace, folder: FitFolder) -> FitSession:
    """Read the fit file and bring the fit to its present state."""
    from kmc_oxy.fit import FitSession

    fit = load_fit_file(arguments)
    folder.begin_or_resume(fit, fresh=arguments.fresh)
    session = FitSession(fit, folder)
    finished = len(session.generations)
    if finished:
        log.info("%d generations finished before; results in %s", finished, folder.path)
    return session


def _next(session: FitSession) -> tuple[Plan, WorkFolder] | None:
    """The next generation, or the results of the fit if there is none."""
    from kmc_oxy.fit import write_results

    found = session.next_generation()
    if found is None:
        write_results(session)
    return found


def _fit(arguments: argparse.Namespace, folder: FitFolder, stop: StopRequest) -> None:
    """Compute what is left of a fit in this process."""
    from kmc_oxy.execution import run_serial
    from kmc_oxy.fit import SessionProgress

    session = _begin(arguments, folder)
    line = SessionProgress(session)
    while (begun := _next(session)) is not None:
        display = _display(arguments, line)
        try:
            run_serial(*begun, stop=stop, report_progress=display)
            display.close()
            session.finish(*begun)
        finally:
            display.close()
            begun[1].release()
        if stop():
            raise Interrupted


def _display(arguments: argparse.Namespace, line: Callable[[Progress], str]) -> Any:
    from kmc_oxy.execution import ProgressDisplay

    return ProgressDisplay(sys.stderr, verbose=arguments.verbose, quiet=arguments.quiet, line=line)


def _fit_in_parallel(
    world: Any, arguments: argparse.Namespace, folder: FitFolder, stop: StopRequest
) -> int:
    """Compute what is left of a fit as one of several ranks; the same exit code on all."""
    from kmc_oxy.execution.mpi import JobTerminated, run_parallel
    from kmc_oxy.fit import SessionProgress

    if world.rank == 0:
        log.info("%d ranks", world.size)
    sessions: list[FitSession] = []
    lines: list[SessionProgress] = []

    def begin() -> tuple[Plan, WorkFolder] | None:
        if not sessions:
            sessions.append(_begin(arguments, folder))
            lines.append(SessionProgress(sessions[0]))
        return _next(sessions[0])

    def finish(plan: Plan, work: WorkFolder) -> None:
        display.close()
        sessions[0].finish(plan, work)

    def report_progress(progress: Progress) -> None:
        display(progress)

    try:
        is_unfinished = True
        while is_unfinished:
            display = _display(arguments, lambda progress: lines[0](progress))
            is_unfinished = run_parallel(
                world,
                begin,
                stop=stop,
                report_progress=report_progress,
                report_error=lambda error: report_error(error, arguments.debug),
                finish=finish,
            )
    except JobTerminated as ended:
        return ended.exit_code
    return EXIT_DONE


def _show_result(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the page of the fit and print its table."""
    from kmc_oxy.fit import result_table
    from kmc_oxy.report import report_fit

    page = folder / "report.html"
    report_fit(folder, page)
    log.info("page in %s", page)
    if not arguments.quiet:
        print(result_table(folder))
