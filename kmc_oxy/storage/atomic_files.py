"""Files that appear under their name complete or not at all.

A file is written under a temporary name, synchronised to the disk and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Temporary files that are being written.
_unfinished: set[Path] = set()


class StoreError(Exception):
    """A result cannot be written, read or resumed; the message says what to do about it."""


@contextlib.contextmanager
def wrap_os_errors(action: str) -> Iterator[None]:
    """Raise operating-system errors of the block as a `StoreError` with advice in one line.

    Parameters
    ----------
    action : str
        What the block does, to complete "cannot ...".

    Raises
    ------
    StoreError
        In place of any OSError with an error number. One without comes from HDF5.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full: free some space and run the same line again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "no permission to write there: choose another place with -o"
        elif error.errno == errno.ENAMETOOLONG:
            advice = "the name is too long: choose a shorter one with -o"
        else:
            advice = error.strerror or str(error)
        raise StoreError(f"cannot {action}: {advice}") from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without an exception.

    Parameters
    ----------
    path : Path

    Yields
    ------
    binary file
        Synchronised to the disk before it is renamed.

    Raises
    ------
    OSError
        If the file cannot be written; `path` is then unchanged.
    """
    with atomic_rename(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_rename(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Rename a temporary file to `path` when the block ends, or remove it after an exception.

    Parameters
    ----------
    path : Path
    folder : Path, optional
        Where the temporary file is, on the same file system; by default beside `path`.

    Yields
    ------
    Path
        Name of the temporary file. The block writes it and synchronises it to the disk.

    Raises
    ------
    OSError
        If the file cannot be renamed; `path` is then unchanged.
    StoreError
        If `path` is a folder, device or pipe.
    """
    require_file_name(path, f"write {path}")
    path = Path(os.path.realpath(path))  # the file that a link names is replaced, not the link
    temporary = temporary_path((folder or path.parent) / path.name)
    _unfinished.add(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
        _unfinished.discard(temporary)
    fsync_folder(path.parent)


def remove_unfinished() -> None:
    """Remove the temporary files of this process, before it ends without leaving its blocks."""
    for temporary in _unfinished.copy():
        with contextlib.suppress(OSError):
            temporary.unlink()


def require_file_name(path: Path, action: str) -> None:
    """Refuse what exists and is no file, where a file is read or written.

    Opening a pipe would wait for its other end, and a device would be replaced by a file.

    Parameters
    ----------
    path : Path
    action : str
        As in `wrap_os_errors`.

    Raises
    ------
    StoreError
        If `path` is a folder, device or pipe, or is no name that a file can have.
    """
    with wrap_os_errors(action):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
    if stat.S_ISDIR(mode):
        raise StoreError(f"{path} is a folder: give the name of a file")
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is a device or a pipe: give the name of a file")


def require_place(path: Path) -> None:
    """Refuse, before anything is computed, a name under which no file can be written.

    Parameters
    ----------
    path : Path

    Raises
    ------
    StoreError
        As `require_file_name`; if the folder is missing or may not be written; or if the name is
        too long for `atomic_write`.
    """
    require_file_name(path, f"write {path}")
    target = Path(os.path.realpath(path))
    with wrap_os_errors(f"write {path}"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary_path(target).lstat()
        if not target.parent.is_dir():
            raise StoreError(f"cannot write {path}: there is no folder {target.parent}")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def temporary_path(path: Path) -> Path:
    """A name beside `path` that no other file has."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def fsync_folder(folder: Path) -> None:
    """Make the renames done in `folder` survive a power failure.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OSError
        If the folder cannot be synchronised.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not support fsync of a folder and do not need it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
