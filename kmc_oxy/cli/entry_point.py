"""The console script ``kmc-oxy``: parse, set up logging, carry out one command."""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from kmc_oxy.cli.exit_codes import EXIT_DONE, EXIT_INTERRUPTED, print_error, report_error
from kmc_oxy.cli.parser import PARALLEL_COMMANDS, parse
from kmc_oxy.cli.stop_signals import end_on_signals, ignore_signals
from kmc_oxy.process import finalize_mpi, rank

#: What is shown for a character that the terminal does not have.
PLAIN = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MICRO SIGN}": "u",
    "\N{OHM SIGN}": "ohm",
    "\N{GREEK CAPITAL LETTER OMEGA}": "ohm",
    "\N{EM DASH}": "-",
}

log = logging.getLogger("kmc_oxy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process, which then ends at a signal.

    Returns
    -------
    int
        0 done; 2 bad input or usage; 75 interrupted by a signal, and the same line resumes;
        1 anything else.
    """
    debug = False
    of_process = arguments is None
    if of_process:
        end_on_signals()
    _print_anything()
    try:
        with _no_output_of_other_ranks():
            parsed = parse(arguments)
        debug = parsed.debug
        _set_up_logging(parsed.quiet, parsed.verbose)
        if rank() > 0 and parsed.name not in PARALLEL_COMMANDS:
            # All other commands need one process only.
            return EXIT_DONE
        code: int = parsed.execute(parsed)
        if of_process:
            # The exit code is known: other ranks may still draw or print for a while.
            ignore_signals()
        # A closed pipe is noticed here and not when the interpreter exits.
        sys.stdout.flush()
        finalize_mpi()
        return code
    except KeyboardInterrupt:
        return print_error("interrupted: run the same line again", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of the pipe has closed it (`| head`).
        return EXIT_DONE
    except Exception as error:
        if debug:
            raise
        return report_error(error)
    finally:
        if of_process:
            ignore_signals()
        _detach_closed_streams()


def _print_anything() -> None:
    """Replace characters that the terminal cannot show, in place of an error."""
    codecs.register_error("kmc_oxy", _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="kmc_oxy")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in text), error.end


@contextlib.contextmanager
def _no_output_of_other_ranks() -> Iterator[None]:
    """Under MPI only rank 0 prints help and usage errors."""
    if rank() == 0:
        yield
        return
    with (
        open(os.devnull, "w") as null,
        contextlib.redirect_stderr(null),
        contextlib.redirect_stdout(null),
    ):
        yield


def _set_up_logging(quiet: bool, verbose: bool) -> None:
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    own_rank = rank()
    if own_rank > 0:
        level = max(level, logging.WARNING)
    where = f"rank {own_rank}: " if own_rank > 0 else ""
    logging.basicConfig(format=f"kmc-oxy: {where}%(message)s", level=logging.WARNING, force=True)
    log.setLevel(level)


def _detach_closed_streams() -> None:
    """Keep unwritten output of a closed pipe from turning the exit code into 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
