"""Advisory file locks, released when the process that holds them ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def try_lock(path: Path, *, shared: bool = False, create: bool = True) -> int | None:
    """Lock a file if no other process holds a conflicting lock; does not wait.

    Parameters
    ----------
    path : Path
    shared : bool
        Take a shared lock, which several processes can hold, instead of an exclusive one.
    create : bool
        Create the file if it does not exist.

    Returns
    -------
    int or None
        Open file descriptor that holds the lock until it is closed. None if another process holds
        a conflicting lock. A descriptor without a lock, and a warning, if the file system does not
        support locks.

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


def lock_folder(path: Path) -> int | None:
    """Create a folder if it does not exist, and lock the file ``lock`` in it; does not wait.

    Parameters
    ----------
    path : Path
        The folder. Whoever holds the lock may remove the file or the folder.

    Returns
    -------
    int or None
        As `try_lock`.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    file = path / "lock"
    while True:
        path.mkdir(parents=True, exist_ok=True)
        # The process that holds the lock may remove the file or the folder at this moment.
        with contextlib.suppress(FileNotFoundError):
            descriptor = try_lock(file)
            if descriptor is None or is_open_as(descriptor, file):
                return descriptor
            os.close(descriptor)


def is_open_as(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the file that is open as `descriptor`.

    Parameters
    ----------
    descriptor : int
    path : Path

    Returns
    -------
    bool
        False also if the file has been removed.
    """
    try:
        return os.stat(path).st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
