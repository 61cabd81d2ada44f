"""Results of finished tasks collected in few zip archives.

Parallel file systems handle few large files better than many small ones. A process with more than
`max_single_files` finished tasks in files of their own moves them into one archive. The archive
appears by rename, and the single files are removed afterwards. If the process is killed in
between, a task is stored twice with the same content.
"""

from __future__ import annotations

import io
import math
import re
import uuid
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from kmc_oxy.storage.atomic_files import StoreError, atomic_write

#: Smallest limit of single files per process.
MIN_SINGLE_FILES = 8
PREFIX, SUFFIX = "pack-", ".zip"
ENTRY = re.compile(r"[0-9]{7,}\.npz")


def max_single_files(tasks: int, processes: int) -> int:
    """Number of single files that a process may have before it archives them.

    With this limit there are at most about sqrt(tasks * processes) single files and as many
    archives.

    Parameters
    ----------
    tasks, processes : int

    Returns
    -------
    int
        sqrt(tasks / processes) rounded up, but not less than `MIN_SINGLE_FILES`.
    """
    return max(MIN_SINGLE_FILES, math.ceil(math.sqrt(tasks / processes)))


class TaskArchiver:
    """Archives the finished tasks of one process when it has too many single files.

    Parameters
    ----------
    archive : callable
        Moves the given tasks into one archive.
    limit : int
        Number of single files that may exist.
    """

    def __init__(self, archive: Callable[[Collection[int]], None], limit: int) -> None:
        self._archive = archive
        self._limit = limit
        self._tasks: set[int] = set()

    def add(self, *tasks: int) -> None:
        """Register finished tasks that have files of their own.

        Parameters
        ----------
        *tasks : int
            Their indices.
        """
        self._tasks.update(tasks)
        if len(self._tasks) > self._limit:
            self._archive(self._tasks)
            self._tasks = set()


def write_archive(folder: Path, single_files: Mapping[int, Path]) -> list[int]:
    """Copy task files into one new archive; the caller removes them afterwards.

    Parameters
    ----------
    folder : Path
        Where the archive is written.
    single_files : mapping of int to Path
        Task indices and their files.

    Returns
    -------
    list of int
        The tasks archived. Damaged files are left out, so that reading the task reports them.
    """
    archived = []
    with (
        atomic_write(folder / f"{PREFIX}{uuid.uuid4().hex}{SUFFIX}") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for index, path in sorted(single_files.items()):
            content = path.read_bytes()
            if _is_undamaged(content):
                archive.writestr(f"{index:07d}.npz", content)
                archived.append(index)
    return archived


def _is_undamaged(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def archived_tasks(paths: Iterable[Path]) -> dict[int, Path]:
    """Find the tasks that are in archives.

    Parameters
    ----------
    paths : iterable of Path
        Files of the folder of tasks; those that are not archives are ignored.

    Returns
    -------
    dict of int to Path
        Task indices and their archives.

    Raises
    ------
    StoreError
        If an archive is damaged.
    """
    return {
        int(entry[:-4]): path
        for path in paths
        if path.name.startswith(PREFIX) and path.name.endswith(SUFFIX)
        for entry in _open_checked(path).namelist()
    }


def read_archived(path: Path, index: int) -> bytes:
    """Read the file of a task from an archive.

    Parameters
    ----------
    path : Path
    index : int

    Returns
    -------
    bytes

    Raises
    ------
    StoreError
        If the archive is damaged there.
    """
    try:
        return _open_checked(path).read(f"{index:07d}.npz")
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise StoreError(_damage_message(path, error)) from error


# A few archives stay open, since tasks are read one after the other.
@lru_cache(maxsize=8)
def _open_archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def close_archives() -> None:
    """Close the archives that are kept open for reading."""
    _open_archive.cache_clear()


def _open_checked(path: Path) -> zipfile.ZipFile:
    try:
        archive = _open_archive(path)
        # The end of a truncated archive can be read as the end of one of the npz files in it.
        if not all(ENTRY.fullmatch(name) for name in archive.namelist()):
            raise zipfile.BadZipFile("truncated")
        return archive
    except (OSError, zipfile.BadZipFile) as error:
        raise StoreError(_damage_message(path, error)) from error


def _damage_message(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged ({error}): delete that file and run the same line again, which "
        "computes its tasks anew"
    )
