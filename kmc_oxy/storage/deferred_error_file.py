"""A file object for HDF5 that reports write errors after HDF5 has closed the file.

When a write fails (a full disk), HDF5 keeps failing while it closes the file and then aborts the
process. The file object here stores the first error and keeps unwritten data in memory, so that
HDF5 can still read what it wrote. The caller then closes HDF5 normally and raises the error.
"""

from __future__ import annotations

import os
from pathlib import Path


class DeferredErrorFile:
    """A new file, passed to `h5py.File` in place of a name; its `write` never raises.

    Parameters
    ----------
    path : Path
        Created, or truncated.

    Attributes
    ----------
    error : OSError or None
        The first write error. After it the content on disk is not valid.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._position = 0
        self._size = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first write error.

        Raises
        ------
        OSError
            If there was one.
        """
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Synchronise the content to the disk and close the file.

        Raises
        ------
        OSError
            The first write error, if there was one.
        """
        try:
            self.check()
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, as `io.IOBase.seek`."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def truncate(self, size: int | None = None) -> int:
        """Set the size in bytes, by default to the position."""
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def write(self, content: bytes | bytearray | memoryview) -> int:
        """Write at the position; on failure store the error and keep the rest in memory."""
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
        """Read at the position, including data that could not be written to disk."""
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

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)
