"""Files that are either whole or absent, and trees of arrays kept in them.

Every file appears by rename after an fsync. Nothing here knows what is stored: trees are nested
dictionaries, lists, arrays and numbers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class StoreError(Exception):
    """A result cannot be written, read or resumed; the message says what to do about it."""


@contextlib.contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn an operating-system error met while doing `action` into one clear line.

    Raises
    ------
    StoreError
        In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full: free some space and run the same line again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "no permission to write there: choose another place with -o"
        else:
            advice = error.strerror or str(error)
        raise StoreError(f"cannot {action}: {advice}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end, whole and safe on disk, or not at all."""
    with taking_place(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def taking_place(path: Path) -> Iterator[Path]:
    """Name of a file to write, which takes the place of `path` at the end, or else is removed.

    That it is safe on disk by then is for the writer to see to.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the renames done in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder, and need not.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_tree(file: BinaryIO, tree: Any) -> None:
    """Write nested dictionaries, lists, tuples, numbers, strings, bytes and arrays.

    A zip archive of NumPy's own format: each array carries a checksum, nothing is ever executed
    on reading.
    """
    arrays: list[NDArray[Any]] = []

    def skeleton(node: Any) -> Any:
        if isinstance(node, np.ndarray):
            arrays.append(node)
            return {"array": len(arrays) - 1}
        if isinstance(node, np.generic):
            return skeleton(node.item())
        if isinstance(node, bytes):
            arrays.append(np.frombuffer(node, dtype=np.uint8))
            return {"bytes": len(arrays) - 1}
        if isinstance(node, Mapping):
            if not all(isinstance(key, str) for key in node):
                raise TypeError("Only dictionaries with string keys can be stored.")
            return {"map": {key: skeleton(value) for key, value in node.items()}}
        if isinstance(node, tuple):
            return {"tuple": [skeleton(value) for value in node]}
        if isinstance(node, list):
            return [skeleton(value) for value in node]
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise TypeError(f"A {type(node).__name__} cannot be stored.")

    text = json.dumps(skeleton(tree)).encode()
    np.savez(
        file,
        allow_pickle=False,
        tree=np.frombuffer(text, dtype=np.uint8),
        **{f"array{index}": array for index, array in enumerate(arrays)},
    )


def read_tree(source: Path | BinaryIO, name: str = "") -> Any:
    """Read what `write_tree` wrote.

    Parameters
    ----------
    source : Path or binary file
    name : str
        What to call it in an error; the path if there is one.

    Raises
    ------
    StoreError
        If the file is missing, truncated or damaged.
    """

    def build(node: Any) -> Any:
        if isinstance(node, list):
            return [build(value) for value in node]
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        if kind == "array":
            return archive[f"array{value}"]
        if kind == "bytes":
            return archive[f"array{value}"].tobytes()
        if kind == "tuple":
            return tuple(build(item) for item in value)
        return {key: build(item) for key, item in value.items()}

    try:
        with np.load(source, allow_pickle=False) as archive:
            return build(json.loads(archive["tree"].tobytes()))
    except FileNotFoundError:
        raise StoreError(f"{source} is missing") from None
    except Exception as error:  # a damaged archive can make its readers raise nearly anything
        raise StoreError(f"{name or source} is damaged ({error})") from error
