"""The part of a run that is exported; text files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from kmc_oxy.storage import OutputFile, StoreError, atomic_write

#: Dimensions of a quantity that is recorded at every reading.
READING = ("point", "member", "row", "column", "reading")


@dataclass(frozen=True)
class Selection:
    """The part of a run that is exported.

    None selects everything in a table and index 0 in other formats; update curves take all members.

    Parameters
    ----------
    point, member : int or None
    cell : (int, int) or None
        Row and column.
    """

    point: int | None = None
    member: int | None = None
    cell: tuple[int, int] | None = None

    def check(self, file: OutputFile) -> None:
        """Check the indices against a file.

        Raises
        ------
        StoreError
            If the file has no such point, member or cell.
        """
        shape = file.shape()
        row, column = self.cell or (None, None)
        for name, index in zip(READING, (self.point, self.member, row, column), strict=False):
            if index is not None and not 0 <= index < shape[name]:
                raise StoreError(f"the run has {shape[name]} {name}s, counted from 0; no {index}")

    @property
    def one(self) -> tuple[int, int, int, int]:
        """Point, member, row and column of a single device."""
        return (self.point or 0, self.member or 0, *(self.cell or (0, 0)))

    def some(self, name: str, length: int) -> Iterator[int]:
        """Selected indices of a dimension."""
        row, column = self.cell or (None, None)
        chosen = {"point": self.point, "member": self.member, "row": row, "column": column}[name]
        return iter(range(length) if chosen is None else (chosen,))


@contextlib.contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when it is complete, or not at all."""
    with atomic_write(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()
