"""The output of a run, one HDF5 file: writing and reading it.

It is written dataset by dataset and task by task, and appears under its name when complete. Every
dataset has dimension scales, a unit and a long name, which ``xarray.open_dataset`` shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from kmc_oxy._version import KERNEL_SOURCE, UNKNOWN_SOURCE
from kmc_oxy.storage.atomic_files import (
    StoreError,
    atomic_rename,
    require_file_name,
    require_place,
    wrap_os_errors,
)
from kmc_oxy.storage.deferred_error_file import DeferredErrorFile
from kmc_oxy.storage.manifest import SCHEMA_VERSION, Manifest, digest_of
from kmc_oxy.storage.output_layout import layout_fault, layout_of
from kmc_oxy.storage.work_folder import WorkFolder

#: Approximate chunk size: small enough to stay in HDF5's cache while tasks are written.
CHUNK_BYTES = 256 * 1024
FORMAT = "kmc_oxy"
#: Oldest and newest HDF5 whose structures are used. Those of 1.10 have checksums; HDF5 can crash
#: on a damaged structure without one.
HDF5_VERSIONS = ("v110", "v110")
#: Key of the digest of the kernels' source in the attribute `versions`.
KERNEL_KEY = "kernel source"
#: Attribute with the digest of those that describe the run.
DIGEST_KEY = "manifest_digest"
#: Attribute with the layout of the datasets.
LAYOUT_KEY = "layout"
#: What h5py and the checks raise where the content of a file is damaged.
DAMAGE = (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError)


@dataclass(frozen=True)
class DatasetSpec:
    """Name, dimensions and description of one dataset of the output.

    Parameters
    ----------
    name : str
    dimensions : tuple of str
        Names of its dimensions, in their order.
    unit, long_name : str
    dtype : numpy dtype
    missing : float or int or None
        Fill value where a point of the scan has fewer readings, layers or cells than the largest.
    attributes : mapping
        Further attributes.
    """

    name: str
    dimensions: tuple[str, ...]
    unit: str
    long_name: str
    dtype: DTypeLike = np.float64
    missing: float | int | None = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class OutputFile:
    """A complete output, open for reading.

    ``output[name]`` is a dataset, and ``name in output`` tells whether it exists.

    Parameters
    ----------
    file : h5py.File

    Attributes
    ----------
    file : h5py.File
    attributes : dict
        Root attributes that describe the run.
    resolved : dict
        The resolved input.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.attributes: dict[str, Any] = dict(file.attrs)
        self._layout: str | None = self.attributes.pop(LAYOUT_KEY, None)
        self.resolved: dict[str, Any] = json.loads(self.attributes["resolved"])

    def __getitem__(self, name: str) -> h5py.Dataset:
        return self.file[name]

    def __contains__(self, name: str) -> bool:
        return name in self.file

    def shape(self) -> dict[str, int]:
        """Return the length of every dimension."""
        return {name: len(item) for name, item in self.file.items() if item.is_scale}

    def dimensions_of(self, name: str) -> list[str]:
        """Return the names of the dimensions of a dataset."""
        return [str(dimension.label or dimension[0].name[1:]) for dimension in self.file[name].dims]

    def scan(self) -> dict[str, NDArray[Any]]:
        """Return the scanned keys and their values, arrays of shape (points,)."""
        found = {}
        for dataset in self.file.values():
            if "scan_key" in dataset.attrs:
                values = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset
                found[str(dataset.attrs["scan_key"])] = np.asarray(values)
        return found

    def manifest(self) -> Manifest:
        """Return the manifest of the run that wrote this file."""
        values = {field.name: self.attributes[field.name] for field in _MANIFEST_ATTRIBUTES}
        values["overrides"] = tuple(json.loads(values["overrides"]))
        for name in ("seed", "tasks", "schema_version"):
            values[name] = int(values[name])
        values["kernel_source"] = json.loads(self.attributes["versions"]).get(
            KERNEL_KEY, UNKNOWN_SOURCE
        )
        return Manifest(**values)

    def check(self) -> None:
        """Compare the attributes with their digest, and the datasets with the layout.

        Raises
        ------
        StoreError
            If they were changed. Files of earlier versions, without digest or layout, are accepted.
        """
        advice = "compute it again, or restore the file"
        stored = self.attributes.get(DIGEST_KEY)
        if stored is not None and stored != _digest_of_attributes(self.file.attrs):
            raise StoreError(
                f"the attributes of {self.file.filename} were changed after the run: {advice}"
            )
        fault = None if self._layout is None else layout_fault(self.file, self._layout)
        if fault:
            raise StoreError(f"{self.file.filename} is damaged: {fault}: {advice}")


def _digest_of_attributes(attributes: Mapping[str, Any]) -> str:
    """Digest of the root attributes that describe the run and its datasets."""
    names = [*(field.name for field in _MANIFEST_ATTRIBUTES), "versions"]
    names += [LAYOUT_KEY] * (LAYOUT_KEY in attributes)
    content = {name: attributes[name] for name in names}
    return digest_of({k: v if isinstance(v, str) else int(v) for k, v in content.items()})


#: Fields of the manifest that are root attributes; `kernel_source` is part of `versions`.
_MANIFEST_ATTRIBUTES = [
    field
    for field in dataclasses.fields(Manifest)
    if field.name not in ("replaces", "kernel_source")
]


@contextlib.contextmanager
def open_output(path: Path) -> Iterator[OutputFile]:
    """Open a complete output for reading.

    Parameters
    ----------
    path : Path

    Yields
    ------
    OutputFile

    Raises
    ------
    StoreError
        If it does not exist, cannot be read, was not written by kmc_oxy, has another schema
        version, or lacks a dataset.
    """
    require_file_name(path, f"read {path}")
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
        try:
            opened = _checked(file, path)
        except DAMAGE as error:
            raise StoreError(f"{path} is damaged ({error})") from error
        try:
            yield opened
        except OSError as error:
            # HDF5 found a wrong checksum; an error of the operating system has a number.
            if error.errno is not None:
                raise
            raise StoreError(f"{path} is damaged ({error})") from error


def _checked(file: h5py.File, path: Path) -> OutputFile:
    if file.attrs.get("format") != FORMAT:
        raise StoreError(f"{path} was not written by kmc_oxy")
    version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}: use "
            "the version that wrote it"
        )
    opened = OutputFile(file)
    opened.manifest()
    opened.check()
    return opened


def check_no_run(path: Path) -> None:
    """Refuse to replace the output of a run, or a folder, by a file made from a run.

    Parameters
    ----------
    path : Path
        Where a picture, a page or an export is to be written.

    Raises
    ------
    StoreError
        If there is the output of a run, finished or not, or no file can be written.
    """
    require_place(path)
    if WorkFolder(path).exists():
        raise StoreError(f"{path} is the output of an unfinished run: choose another name")
    if is_output(path):
        raise StoreError(f"{path} is the output of a run: choose another name")


def is_output(path: Path) -> bool:
    """Whether a file was written by kmc_oxy as the output of a run."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


class OutputWriter:
    """Writes an output step by step.

    Used as a context manager, by `create_output`.

    Parameters
    ----------
    path : Path
        Temporary name of the output.
    shape : mapping of str to int
        Length of every dimension.
    """

    def __init__(self, path: Path, shape: Mapping[str, int]) -> None:
        self._path = path
        self._shape = dict(shape)

    def __enter__(self) -> OutputWriter:
        self._disk = DeferredErrorFile(self._path)
        self._file = h5py.File(self._disk, "w", libver=HDF5_VERSIONS)
        for dimension, length in self._shape.items():
            scale = self._file.create_dataset(
                dimension, data=np.arange(length, dtype=np.int64), fletcher32=True
            )
            scale.attrs["units"] = "1"
            scale.attrs["long_name"] = f"index of the {dimension}"
            scale.make_scale(dimension)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._disk.close()

    def create_dataset(self, spec: DatasetSpec, values: NDArray[Any] | None = None) -> None:
        """Create a dataset.

        Parameters
        ----------
        spec : DatasetSpec
        values : ndarray, optional
            Its content; by default it is filled by `write`.
        """
        shape = tuple(self._shape[dimension] for dimension in spec.dimensions)
        options: dict[str, Any] = {}
        if values is None:
            options = {
                "chunks": _chunks(spec, self._shape),
                "compression": "gzip",
                "compression_opts": 1,
                "shuffle": True,
                "fillvalue": spec.missing,
            }
        # HDF5 has no checksums for text.
        options["fletcher32"] = spec.dtype != string_type()
        dataset = self._file.create_dataset(
            spec.name, shape=shape, dtype=spec.dtype, data=values, **options
        )
        dataset.attrs["units"] = spec.unit
        dataset.attrs["long_name"] = spec.long_name
        for name, value in spec.attributes.items():
            dataset.attrs[name] = value
        for axis, dimension in enumerate(spec.dimensions):
            dataset.dims[axis].attach_scale(self._file[dimension])

    def write(self, name: str, index: tuple[int, ...], values: NDArray[Any]) -> None:
        """Write the values of one point, or of one member at a point, into a dataset.

        Parameters
        ----------
        name : str
            Name of the dataset.
        index : tuple of int
            (point,) or (point, member).
        values : ndarray
            Indexed by the remaining dimensions. They may be shorter than those of the file: the
            rest keeps the fill value.

        Raises
        ------
        OSError
            If a write to the disk has failed.
        """
        window = tuple(slice(0, length) for length in np.shape(values))
        self._file[name][(*index, *window)] = values
        self._disk.check()

    def write_attributes(self, manifest: Manifest, attributes: Mapping[str, Any]) -> None:
        """Write the root attributes, when all datasets exist.

        Parameters
        ----------
        manifest : Manifest
            Of the run.
        attributes : mapping
            Further attributes.
        """
        root = self._file.attrs
        root["format"] = FORMAT
        for field in _MANIFEST_ATTRIBUTES:
            value = getattr(manifest, field.name)
            root[field.name] = json.dumps(value) if isinstance(value, tuple) else value
        # h5py stores a str with variable length, to which HDF5's limit of 64 kB per attribute
        # does not apply.
        root["versions"] = json.dumps(versions())
        root[LAYOUT_KEY] = json.dumps(layout_of(self._file))
        root[DIGEST_KEY] = _digest_of_attributes(root)
        for name, value in attributes.items():
            root[name] = value
        root["complete"] = np.int8(1)


@contextlib.contextmanager
def create_output(
    path: Path, shape: Mapping[str, int], folder: Path | None = None
) -> Iterator[OutputWriter]:
    """Write an output, which appears under its name when the block ends without an exception.

    Parameters
    ----------
    path : Path
        Name of the output.
    shape : mapping of str to int
        Length of every dimension.
    folder : Path, optional
        Where the file is written before it is renamed, on the same file system.

    Yields
    ------
    OutputWriter

    Raises
    ------
    StoreError
        If the disk is full or the folder cannot be written; an earlier file of that name is then
        unchanged.
    """
    with (
        wrap_os_errors(f"write {path}"),
        atomic_rename(path, folder) as temporary,
        OutputWriter(temporary, shape) as writer,
    ):
        yield writer


def _chunks(spec: DatasetSpec, shape: Mapping[str, int]) -> tuple[int, ...]:
    """Chunk shape: all readings of a task if they fit, several members if they are small."""
    lengths = [shape[dimension] for dimension in spec.dimensions]
    chunks = [1] * len(lengths)
    room = max(1, CHUNK_BYTES // np.dtype(spec.dtype).itemsize)
    # From the last dimension to the first. A chunk never holds more than one point.
    for axis in range(len(lengths) - 1, -1, -1):
        if spec.dimensions[axis] == "point":
            continue
        chunks[axis] = max(1, min(lengths[axis], room))
        room //= chunks[axis]
    return tuple(chunks)


def versions() -> dict[str, str]:
    """Return the versions of everything that can influence the numbers.

    Returns
    -------
    dict of str
        Digest of the kernels' source, versions of Python and the libraries, and the platform.
    """
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


def string_type() -> np.dtype[np.object_]:
    """Return the dtype of datasets of text."""
    dtype: np.dtype[np.object_] = h5py.string_dtype()
    return dtype
