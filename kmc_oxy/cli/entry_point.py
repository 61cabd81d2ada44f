"""The command line ``kmc-oxy``: arguments, exit codes, and what is printed.

Heavy modules are imported by the commands that need them, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc_oxy._version import __version__
from kmc_oxy.process import launcher

if TYPE_CHECKING:
    from kmc_oxy.execution import Plan
    from kmc_oxy.process import StopRequest
    from kmc_oxy.storage import WorkFolder


EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 75

#: Keys of `export.FORMATS`, here so that the parser need not import them.
EXPORT_FORMATS = ("csv", "xyz", "vtkhdf", "aihwkit", "crosssim")

log = logging.getLogger("kmc_oxy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        In place of those of the process.

    Returns
    -------
    int
        0 done; 2 bad input or usage; 75 interrupted by a signal, and the same line goes on from
        there; 1 anything else.
    """
    rank = launcher.rank()
    with contextlib.ExitStack() as silence:
        if rank > 0:
            nowhere = silence.enter_context(open(os.devnull, "w"))
            silence.enter_context(contextlib.redirect_stderr(nowhere))
            silence.enter_context(contextlib.redirect_stdout(nowhere))
        parsed = build_parser().parse_args(arguments)
    level = logging.ERROR if parsed.quiet else logging.DEBUG if parsed.verbose else logging.INFO
    if rank > 0:
        level = max(level, logging.WARNING)
    where = f"rank {rank}: " if rank > 0 else ""
    logging.basicConfig(format=f"kmc-oxy: {where}%(message)s", level=logging.WARNING, force=True)
    log.setLevel(level)
    if rank > 0 and parsed.command is not _run:
        # One process is enough.
        return EXIT_DONE
    try:
        code: int = parsed.command(parsed)
        # A reader that has gone is noticed here and not at interpreter exit.
        sys.stdout.flush()
        launcher.finalize_mpi()
        return code
    except KeyboardInterrupt:
        return _complain("interrupted: run the same line again", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader took what it wanted (`| head`).
        return EXIT_DONE
    except Exception as error:
        if parsed.debug:
            raise
        return _explain(error)
    finally:
        _give_up_closed_streams()


def _give_up_closed_streams() -> None:
    """Let nothing that a closed pipe still owes turn the exit code into the interpreter's 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explain_on_one_rank(parsed: argparse.Namespace, error: Exception) -> int:
    """`_explain`, or with ``--debug`` the traceback, on behalf of all ranks."""
    if parsed.debug:
        traceback.print_exception(error)
        return EXIT_FAILED
    return _explain(error)


def _explain(error: Exception) -> int:
    """Say in one line what went wrong and what to do; an input's faults have one line each."""
    from kmc_oxy.inputs import InputError
    from kmc_oxy.process import Interrupted
    from kmc_oxy.protocol import ProtocolError
    from kmc_oxy.simulation import FeedbackError
    from kmc_oxy.storage import StoreError

    if isinstance(error, InputError):
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    if isinstance(error, ProtocolError):
        return _complain(str(error), EXIT_BAD_INPUT)
    if isinstance(error, Interrupted):
        return _complain(f"{error}: run the same line again to go on", EXIT_INTERRUPTED)
    if isinstance(error, launcher.LaunchError):
        return _complain(str(error), EXIT_FAILED) if launcher.rank() == 0 else EXIT_FAILED
    if isinstance(error, (StoreError, FeedbackError)):
        return _complain(str(error), EXIT_FAILED)
    if isinstance(error, MemoryError):
        return _complain("out of memory: see `kmc-oxy validate` for what is needed", EXIT_FAILED)
    text = " ".join(str(error).split()) or "no message"
    return _complain(
        f"{type(error).__name__}: {text} (run again with --debug for the traceback)", EXIT_FAILED
    )


def _complain(message: str, code: int) -> int:
    where = f"rank {launcher.rank()}: " if launcher.rank() > 0 else ""
    with contextlib.suppress(BrokenPipeError):
        print(f"kmc-oxy: {where}{message}", file=sys.stderr, flush=True)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    loudness.add_argument("-v", "--verbose", action="store_true", help="say more, more often")
    with_input = argparse.ArgumentParser(add_help=False)
    with_input.add_argument("input", metavar="INPUT.yaml", help="what to simulate")
    with_input.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a dotted key of the input, e.g. ensemble.members=8; may be repeated",
    )

    parser = argparse.ArgumentParser(
        prog="kmc-oxy",
        description="Kinetic Monte Carlo of oxygen in molecular memristors.",
        epilog="Exit codes: 0 done, 2 bad input or usage, 75 interrupted and resumable, "
        "1 anything else.",
    )
    parser.add_argument("--version", action="version", version=f"kmc-oxy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        parents=[common, with_input],
        help="run a simulation, or go on with it",
        description="Run a simulation. The same line again goes on with what is unfinished, and "
        "returns at once when all is complete.",
    )
    run.add_argument(
        "-o", "--output", metavar="OUT.h5", type=Path, help="default: the input's name with .h5"
    )
    run.add_argument(
        "--fresh", action="store_true", help="begin again, whatever was computed before"
    )
    run.set_defaults(command=_run)

    validate = commands.add_parser(
        "validate",
        parents=[common, with_input],
        help="check an input and say what it would cost",
        description="Report every fault of an input, or what a run of it would be.",
    )
    validate.set_defaults(command=_validate)

    info = commands.add_parser(
        "info", parents=[common], help="say what is in an output, finished or not"
    )
    info.add_argument("output", metavar="OUT.h5", type=Path)
    info.set_defaults(command=_info)

    plot = commands.add_parser(
        "plot", parents=[common], help="draw the natural figure of a finished run"
    )
    plot.add_argument("input", metavar="OUT.h5", type=Path)
    plot.add_argument("-o", "--output", metavar="FIG.png", type=Path, required=True)
    plot.set_defaults(command=_plot)

    report = commands.add_parser(
        "report",
        parents=[common],
        help="write a finished run as one page for a colleague",
        description="Write a finished run as one HTML page with everything in it: what was run, "
        "the verdicts where it is an experiment of the paper, the figures of `plot`, the readings "
        "with their intervals, the oxygens before and after, input and provenance. The page needs "
        "no network, and the same run gives the same bytes.",
    )
    report.add_argument("input", metavar="OUT.h5", type=Path)
    report.add_argument("-o", "--output", metavar="REPORT.html", type=Path, required=True)
    report.set_defaults(command=_report)

    export = commands.add_parser(
        "export",
        parents=[common],
        help="write a finished run for another program",
        description="Write a finished run in another program's format. Unless told otherwise, csv "
        "has everything, xyz and vtkhdf the first member, aihwkit and crosssim all members, and "
        "all but csv the first point of the scan and cell (0, 0).",
    )
    export.add_argument("input", metavar="OUT.h5", type=Path)
    export.add_argument(
        "--to",
        required=True,
        choices=EXPORT_FORMATS,
        help="table of readings; oxygens for OVITO or ASE; oxygens for ParaView; update curve for "
        "aihwkit (CSV, and parameters in a JSON beside it); for CrossSim (a folder)",
    )
    export.add_argument("-o", "--output", metavar="PATH", type=Path, required=True)
    export.add_argument("--point", metavar="N", type=int, help="point of the scan")
    export.add_argument("--member", metavar="N", type=int, help="device (csv, xyz, vtkhdf)")
    export.add_argument("--cell", metavar=("ROW", "COLUMN"), type=int, nargs=2, help="of an array")
    export.set_defaults(command=_export)
    return parser


def _load(parsed: argparse.Namespace) -> Plan:
    from kmc_oxy.execution import Plan
    from kmc_oxy.inputs import load

    return Plan(load(parsed.input, parsed.set))


def _run(parsed: argparse.Namespace) -> int:
    from kmc_oxy.process import Interrupted, StopRequest

    output = parsed.output or Path(Path(parsed.input).with_suffix(".h5").name)
    with StopRequest().active() as stop:
        world = launcher.communicator()
        if world is not None:
            code = _compute_in_parallel(world, parsed, output, stop)
            if code != EXIT_DONE or world.rank > 0:
                return code
        else:
            try:
                _compute(parsed, output, stop)
            except Interrupted:
                stop.raise_if_received()
                raise
    if not parsed.quiet:
        from kmc_oxy.cli.tables import run_table

        print(run_table(output))
    return EXIT_DONE


def _begin(
    parsed: argparse.Namespace, output: Path, stop: StopRequest
) -> tuple[Plan, WorkFolder] | None:
    """Read the input and lock the work folder; None if the run is complete."""
    from kmc_oxy.storage import begin_or_resume

    plan = _load(parsed)
    plan.check()
    stop.raise_if_received()
    work = begin_or_resume(output, plan.identity, fresh=parsed.fresh)
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


def _compute(parsed: argparse.Namespace, output: Path, stop: StopRequest) -> None:
    """Do what is left to do of a run, in this process alone."""
    from kmc_oxy.execution import ProgressDisplay, assemble, run_serial

    begun = _begin(parsed, output, stop)
    if begun is None:
        return
    plan, work = begun
    display = ProgressDisplay(sys.stderr, verbose=parsed.verbose, quiet=parsed.quiet)
    try:
        run_serial(plan, work, stop=stop, report_progress=display)
        display.close()
        assemble(plan, work, stop=stop)
    finally:
        display.close()
        work.release()


def _compute_in_parallel(
    world: Any, parsed: argparse.Namespace, output: Path, stop: StopRequest
) -> int:
    """Do what is left to do of a run as one of several ranks; the same exit code on all."""
    from kmc_oxy.execution import ProgressDisplay
    from kmc_oxy.execution.mpi import JobTerminated, run_parallel

    if world.rank == 0:
        log.info("%d ranks", world.size)
    try:
        run_parallel(
            world,
            lambda: _begin(parsed, output, stop),
            stop=stop,
            report_progress=ProgressDisplay(
                sys.stderr, verbose=parsed.verbose, quiet=parsed.quiet
            ),
            report_error=lambda error: _explain_on_one_rank(parsed, error),
        )
    except JobTerminated as ended:
        return ended.exit_code
    return EXIT_DONE


def _validate(parsed: argparse.Namespace) -> int:
    from kmc_oxy.cli.tables import cost_table
    from kmc_oxy.execution import estimate

    plan = _load(parsed)
    plan.check()
    if not parsed.quiet:
        print(cost_table(plan, estimate(plan)))
    return EXIT_DONE


def _info(parsed: argparse.Namespace) -> int:
    from kmc_oxy.cli.tables import info_table

    print(info_table(parsed.output))
    return EXIT_DONE


def _plot(parsed: argparse.Namespace) -> int:
    from kmc_oxy.figures import plot

    plot(parsed.input, parsed.output)
    log.info("figure in %s", parsed.output)
    return EXIT_DONE


def _report(parsed: argparse.Namespace) -> int:
    from kmc_oxy.report import report

    report(parsed.input, parsed.output)
    log.info("page in %s", parsed.output)
    return EXIT_DONE


def _export(parsed: argparse.Namespace) -> int:
    from kmc_oxy.export import Selection, export

    cell = None if parsed.cell is None else (parsed.cell[0], parsed.cell[1])
    selection = Selection(parsed.point, parsed.member, cell)
    written = export(parsed.input, parsed.to, parsed.output, selection)
    log.info("written: %s", ", ".join(map(str, written)))
    return EXIT_DONE
