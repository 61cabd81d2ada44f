"""Finished tasks gathered in few files, which spares parallel file systems.

A rank that has more than `limit` finished tasks in files of their own puts them into one pack.
The pack appears by rename, and only then do the single files go: killed in between, a task is
there twice, both times the same. With `single_files` of N tasks on R ranks there are at most
about sqrt(N R) single files and as many packs.
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

from kmc_oxy.storage.atomic_files import StoreError, replacing

#: A rank keeps at least this many tasks in files of their own before it packs them.
FEWEST = 8
PREFIX, SUFFIX = "pack-", ".zip"
ENTRY = re.compile(r"[0-9]{7,}\.npz")


def single_files(tasks: int, ranks: int) -> int:
    """How many single files a rank may have, so that single files and packs are few together."""
    return max(FEWEST, math.ceil(math.sqrt(tasks / ranks)))


class Packer:
    """Packs the tasks of one rank whenever it has too many single files.

    Parameters
    ----------
    pack : callable
        Puts the given tasks into one pack.
    limit : int
        How many single files may stay.
    """

    def __init__(self, pack: Callable[[Collection[int]], None], limit: int) -> None:
        self._pack = pack
        self._limit = limit
        self._singles: set[int] = set()

    def add(self, *tasks: int) -> None:
        """Take note of finished tasks in files of their own."""
        self._singles.update(tasks)
        if len(self._singles) > self._limit:
            self._pack(self._singles)
            self._singles = set()


def write_pack(folder: Path, singles: Mapping[int, Path]) -> list[int]:
    """Put task files into one pack; the caller removes them afterwards.

    Parameters
    ----------
    folder : Path
    singles : mapping of int to Path
        Tasks and their files.

    Returns
    -------
    list of int
        The tasks packed. A damaged file is left where it is, to be named later.
    """
    packed = []
    with (
        replacing(folder / f"{PREFIX}{uuid.uuid4().hex}{SUFFIX}") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for index, path in sorted(singles.items()):
            content = path.read_bytes()
            if _is_whole(content):
                archive.writestr(f"{index:07d}.npz", content)
                packed.append(index)
    return packed


def _is_whole(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def packed_tasks(names: Iterable[Path]) -> dict[int, Path]:
    """Which tasks are in packs, and in which.

    Raises
    ------
    StoreError
        If a pack is damaged.
    """
    return {
        int(entry[:-4]): path
        for path in names
        if path.name.startswith(PREFIX) and path.name.endswith(SUFFIX)
        for entry in _archive(path).namelist()
    }


def read_packed(pack: Path, index: int) -> bytes:
    """Content of the file of a task in a pack.

    Raises
    ------
    StoreError
        If the pack is damaged there.
    """
    try:
        return _archive(pack).read(f"{index:07d}.npz")
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise StoreError(_damaged(pack, error)) from error


@lru_cache(maxsize=8)
def _opened(pack: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(pack)


def close_packs() -> None:
    """Close the packs that are kept open for reading."""
    _opened.cache_clear()


def _archive(pack: Path) -> zipfile.ZipFile:
    """The pack, open for reading; a few stay open, since tasks are read one after the other."""
    try:
        archive = _opened(pack)
        # A pack cut short can end like one of the archives in it.
        if not all(ENTRY.fullmatch(name) for name in archive.namelist()):
            raise zipfile.BadZipFile("cut short")
        return archive
    except (OSError, zipfile.BadZipFile) as error:
        raise StoreError(_damaged(pack, error)) from error


def _damaged(pack: Path, error: Exception) -> str:
    return (
        f"{pack} is damaged ({error}): delete that file and run the same line again, which "
        "computes its tasks anew"
    )
