"""Exit codes, and the one-line messages of errors on stderr."""

from __future__ import annotations

import contextlib
import sys
import traceback

from kmc_oxy.process import LaunchError, rank

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 75


def report_error(error: Exception, debug: bool = False) -> int:
    """Print what went wrong and what to do; the exit code.

    One line an error, or one line a fault of an input.

    Parameters
    ----------
    error : Exception
    debug : bool
        Print the traceback instead.

    Returns
    -------
    int
        Exit code of the process.
    """
    # Imported here: an error may come before these rooms are needed.
    from kmc_oxy.execution import MemoryNeedError, WorkerError
    from kmc_oxy.inputs import InputError
    from kmc_oxy.process import Interrupted
    from kmc_oxy.simulation import FeedbackError
    from kmc_oxy.storage import StoreError

    if debug:
        traceback.print_exception(error)
        return EXIT_FAILED
    if isinstance(error, InputError):
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    if isinstance(error, Interrupted):
        return print_error(f"{error}: run the same line again to go on", EXIT_INTERRUPTED)
    if isinstance(error, LaunchError):
        return print_error(str(error), EXIT_FAILED) if rank() == 0 else EXIT_FAILED
    if isinstance(error, (StoreError, FeedbackError, MemoryNeedError, WorkerError)):
        return print_error(str(error), EXIT_FAILED)
    if isinstance(error, MemoryError):
        return print_error("out of memory: see `kmc-oxy validate` for what is needed", EXIT_FAILED)
    text = " ".join(str(error).split()) or "no message"
    return print_error(
        f"{type(error).__name__}: {text} (run again with --debug for the traceback)", EXIT_FAILED
    )


def print_error(message: str, code: int) -> int:
    """Print one line on stderr, with the rank under MPI; returns `code`."""
    where = f"rank {rank()}: " if rank() > 0 else ""
    with contextlib.suppress(BrokenPipeError):
        print(f"kmc-oxy: {where}{message}", file=sys.stderr, flush=True)
    return code
