"""A file that never fails under HDF5.

When a write fails (a full disk), HDF5 keeps failing while it closes the file and then brings
down the process. This file remembers the first error, holds what could not be written in memory
so that HDF5 still reads back what it wrote, and lets the caller stop and report.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class PatientFile:
    """A new file for h5py, in place of a name.

    Parameters
    ----------
    path : Path
        Created, or emptied.

    Attributes
    ----------
    error : OSError or None
        The first failure; what is on disk is worthless after it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._position = 0
        self._size = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Make the content safe on disk and close the file; raises the first failure."""
        try:
            self.check()
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; as for any file."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Present position."""
        return self._position

    def flush(self) -> None:
        """Nothing is buffered here."""

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def write(self, content: Any) -> int:
        """Write at the present position; never fails."""
        view = memoryview(content).cast("B")
        start = self._position
        written = 0
        while self.error is None and written < len(view):
            try:
                written += os.pwrite(self._descriptor, view[written:], start + written)
            except OSError as error:
                self.error = error
        if written < len(view):
            self._unwritten.append((start + written, bytes(view[written:])))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def read(self, count: int = -1) -> bytes:
        """Read at the present position, what could not be written included."""
        start = self._position
        stop = self._size if count < 0 else min(start + count, self._size)
        found = bytearray(os.pread(self._descriptor, max(0, stop - start), start))
        found.extend(bytes(max(0, stop - start - len(found))))
        for offset, content in self._unwritten:
            low, high = max(offset, start), min(offset + len(content), stop)
            if low < high:
                found[low - start : high - start] = content[low - offset : high - offset]
        self._position = start + len(found)
        return bytes(found)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)
