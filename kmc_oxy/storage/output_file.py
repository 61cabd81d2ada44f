"""The final HDF5 file: written piece by piece and whole or not at all, and read again.

Every dataset has its dimensions as scales, a unit and a long name, so that
``xarray.open_dataset`` shows them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kmc_oxy._version import KERNEL_SOURCE, UNKNOWN_SOURCE
from kmc_oxy.storage.atomic_files import StoreError, explained, sync_folder
from kmc_oxy.storage.hdf5_disk_file import PatientFile
from kmc_oxy.storage.work_folder import SCHEMA_VERSION, Manifest, WorkFolder

#: Chunks hold about this much, so that they stay in HDF5's cache while tasks stream in.
CHUNK_BYTES = 256 * 1024
FORMAT = "kmc_oxy"
#: Stands in the attribute `versions` for the source of the compiled kernels.
KERNEL_KEY = "kernel source"


@dataclass(frozen=True)
class Dataset:
    """Name, dimensions and description of one dataset of the final file.

    Parameters
    ----------
    name : str
    dimensions : tuple of str
        Dimensions of the file, in their order.
    unit, long_name : str
    dtype : type
    missing : float or int or None
        Stands where a point of the scan has fewer readings, layers or cells than another.
    attributes : mapping
        Written beside unit and long_name.
    """

    name: str
    dimensions: tuple[str, ...]
    unit: str
    long_name: str
    dtype: Any = np.float64
    missing: float | int | None = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class OutputFile:
    """A complete output, open for reading.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.attributes: dict[str, Any] = {key: file.attrs[key] for key in file.attrs}
        self.resolved: dict[str, Any] = json.loads(self.attributes["resolved"])

    def __getitem__(self, name: str) -> h5py.Dataset:
        return self.file[name]

    def __contains__(self, name: str) -> bool:
        return name in self.file

    def shape(self) -> dict[str, int]:
        """Length of every dimension."""
        return {name: len(item) for name, item in self.file.items() if item.is_scale}

    def dimensions_of(self, name: str) -> list[str]:
        """Names of a dataset's dimensions."""
        return [str(dimension.label or dimension[0].name[1:]) for dimension in self.file[name].dims]

    def scan(self) -> dict[str, NDArray[Any]]:
        """Scanned keys and their value at each point."""
        found = {}
        for dataset in self.file.values():
            if "scan_key" in dataset.attrs:
                values = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset
                found[str(dataset.attrs["scan_key"])] = np.asarray(values)
        return found

    def manifest(self) -> Manifest:
        """The manifest of the run that wrote this file."""
        values = {field.name: self.attributes[field.name] for field in _COPIED}
        values["overrides"] = tuple(json.loads(values["overrides"]))
        for name in ("seed", "tasks", "schema_version"):
            values[name] = int(values[name])
        values["kernel_source"] = json.loads(self.attributes["versions"]).get(
            KERNEL_KEY, UNKNOWN_SOURCE
        )
        return Manifest(**values)


#: Fields of the manifest that are root attributes; that of the kernels is among the versions.
_COPIED = [
    field
    for field in dataclasses.fields(Manifest)
    if field.name not in ("replaces", "kernel_source")
]


@contextlib.contextmanager
def open_output(path: Path) -> Iterator[OutputFile]:
    """Open a complete output for reading.

    Raises
    ------
    StoreError
        If there is none, or it is not one of ours or of another schema version.
    """
    if not path.exists():
        hint = " (a run was begun there: finish it first)" if WorkFolder(path).exists() else ""
        raise StoreError(f"{path} does not exist{hint}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if isinstance(error, PermissionError):
            raise StoreError(f"cannot read {path}: no permission") from error
        raise StoreError(f"{path} is not an HDF5 file, or is damaged") from error
    with file:
        if file.attrs.get("format") != FORMAT:
            raise StoreError(f"{path} was not written by kmc_oxy")
        version = file.attrs.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}: use "
                "the version that wrote it"
            )
        try:
            opened = OutputFile(file)
            opened.manifest()
        except (KeyError, ValueError) as error:
            raise StoreError(f"{path} is damaged ({error})") from error
        yield opened


class FinalFile:
    """Writes the final file piece by piece; it appears under its name only when complete.

    Parameters
    ----------
    output : Path
        Name of the file.
    shape : mapping of str to int
        Length of every dimension.
    """

    def __init__(self, output: Path, shape: Mapping[str, int]) -> None:
        self.output = output
        self.shape = dict(shape)
        self._temporary = output.with_name(output.name + ".tmp")

    def __enter__(self) -> FinalFile:
        self._disk = PatientFile(self._temporary)
        self._file = h5py.File(self._disk, "w")
        for dimension, length in self.shape.items():
            scale = self._file.create_dataset(dimension, data=np.arange(length, dtype=np.int64))
            scale.attrs["units"] = "1"
            scale.attrs["long_name"] = f"index of the {dimension}"
            scale.make_scale(dimension)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._file.close()
            self._disk.close()
            if kind is None:
                os.replace(self._temporary, self.output)
                sync_folder(self.output.parent)
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def create(self, item: Dataset, values: NDArray[Any] | None = None) -> None:
        """Add a dataset, whole or to be filled by `put`."""
        shape = tuple(self.shape[dimension] for dimension in item.dimensions)
        options: dict[str, Any] = {}
        if values is None:
            options = {
                "chunks": _chunks(item, self.shape),
                "compression": "gzip",
                "compression_opts": 1,
                "shuffle": True,
                "fillvalue": item.missing,
            }
        dataset = self._file.create_dataset(
            item.name, shape=shape, dtype=item.dtype, data=values, **options
        )
        dataset.attrs["units"] = item.unit
        dataset.attrs["long_name"] = item.long_name
        for name, value in item.attributes.items():
            dataset.attrs[name] = value
        for axis, dimension in enumerate(item.dimensions):
            dataset.dims[axis].attach_scale(self._file[dimension])

    def put(self, name: str, place: tuple[int, ...], values: NDArray[Any]) -> None:
        """Write one task's array at `place` (point, member) or (point,)."""
        # A point with fewer readings or layers than the largest leaves the rest missing.
        window = tuple(slice(0, length) for length in np.shape(values))
        self._file[name][(*place, *window)] = values
        self._disk.check()

    def describe(self, manifest: Manifest, attributes: Mapping[str, Any]) -> None:
        """Write the root attributes."""
        root = self._file.attrs
        root["format"] = FORMAT
        for field in _COPIED:
            value = getattr(manifest, field.name)
            root[field.name] = json.dumps(value) if isinstance(value, tuple) else value
        # Text of any length: an attribute itself is limited to 64 kB unless it is of variable
        # length, as h5py makes every str.
        root["versions"] = json.dumps(versions())
        for name, value in attributes.items():
            root[name] = value
        root["complete"] = np.int8(1)


@contextlib.contextmanager
def final_file(output: Path, shape: Mapping[str, int]) -> Iterator[FinalFile]:
    """`FinalFile` whose failures to write are StoreErrors.

    Raises
    ------
    StoreError
        If the disk is full or the folder cannot be written; nothing computed is lost.
    """
    with explained(f"write {output}"), FinalFile(output, shape) as file:
        yield file


def _chunks(item: Dataset, shape: Mapping[str, int]) -> tuple[int, ...]:
    """Chunk shape: whole readings of a task where they fit, several members if they are small."""
    lengths = [shape[dimension] for dimension in item.dimensions]
    chunks = [1] * len(lengths)
    room = max(1, CHUNK_BYTES // np.dtype(item.dtype).itemsize)
    # Layers and readings first, points never together: a scan grows by points.
    for axis in range(len(lengths) - 1, -1, -1):
        if item.dimensions[axis] == "point":
            continue
        chunks[axis] = max(1, min(lengths[axis], room))
        room //= chunks[axis]
    return tuple(chunks)


def versions() -> dict[str, str]:
    """Versions of everything that could have a say in the numbers."""
    import scipy

    return {
        KERNEL_KEY: KERNEL_SOURCE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "platform": platform.platform(),
    }


def string_type() -> np.dtype[Any]:
    """Type of datasets of text."""
    return h5py.string_dtype()
