"""Advisory locks on files, which end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def lock(path: Path, *, shared: bool = False, create: bool = True) -> int | None:
    """Try to lock a file, without waiting.

    Parameters
    ----------
    path : Path
    shared : bool
        Tolerate others that ask for a shared lock as well.
    create : bool
        Make the file if there is none.

    Returns
    -------
    int or None
        An open descriptor that holds the lock until it is closed; None if another process holds
        the lock.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            os.close(descriptor)
            raise
        log.warning("No file locks for %s: do not run twice on one output", path)
    return descriptor


def is_current(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the file that was opened as `descriptor`."""
    try:
        return os.stat(path).st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
