"""Nested dictionaries, lists and arrays stored in one file.

The file is a zip archive in NumPy's npz format. Each array has a checksum, and reading executes
no code (no pickle).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.storage.atomic_files import StoreError


def write_tree(file: BinaryIO, tree: Mapping[str, Any]) -> None:
    """Write a tree.

    Parameters
    ----------
    file : binary file
    tree : mapping of str
        Values are dictionaries with string keys, lists, tuples, numbers, strings, bytes, None and
        arrays, nested in any way.

    Raises
    ------
    TypeError
        If the tree contains anything else.
    """
    arrays: list[NDArray[Any]] = []

    def encode(node: object) -> object:
        if isinstance(node, np.ndarray):
            arrays.append(node)
            return {"array": len(arrays) - 1}
        if isinstance(node, np.generic):
            return encode(node.item())
        if isinstance(node, bytes):
            arrays.append(np.frombuffer(node, dtype=np.uint8))
            return {"bytes": len(arrays) - 1}
        if isinstance(node, Mapping):
            if not all(isinstance(key, str) for key in node):
                raise TypeError("Only dictionaries with string keys can be stored.")
            return {"map": {key: encode(value) for key, value in node.items()}}
        if isinstance(node, tuple):
            return {"tuple": [encode(value) for value in node]}
        if isinstance(node, list):
            return [encode(value) for value in node]
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise TypeError(f"A {type(node).__name__} cannot be stored.")

    text = json.dumps(encode(tree)).encode()
    np.savez(
        file,
        allow_pickle=False,
        tree=np.frombuffer(text, dtype=np.uint8),
        **{f"array{index}": array for index, array in enumerate(arrays)},
    )


def read_tree(source: Path | BinaryIO, name: str = "") -> dict[str, Any]:
    """Read what `write_tree` wrote.

    Parameters
    ----------
    source : Path or binary file
    name : str
        Name of the source in error messages; by default its path.

    Returns
    -------
    dict

    Raises
    ------
    StoreError
        If the file is missing, truncated or damaged.
    """

    def decode(node: Any) -> Any:
        if isinstance(node, list):
            return [decode(value) for value in node]
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        if kind == "array":
            return archive[f"array{value}"]
        if kind == "bytes":
            return archive[f"array{value}"].tobytes()
        if kind == "tuple":
            return tuple(decode(item) for item in value)
        return {key: decode(item) for key, item in value.items()}

    try:
        with np.load(source, allow_pickle=False) as archive:
            tree = decode(json.loads(archive["tree"].tobytes()))
        if not isinstance(tree, dict):
            raise ValueError("not a dictionary")
        return tree
    except FileNotFoundError:
        raise StoreError(f"{source} is missing") from None
    except Exception as error:  # a damaged archive can raise nearly any exception
        raise StoreError(f"{name or source} is damaged ({error})") from error
