"""The output of a run as an xarray dataset, with a dimension for each scanned key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kmc_oxy.storage import OutputFile, open_output

if TYPE_CHECKING:
    import xarray

#: Root attribute that lists the coordinates.
COORDINATES_KEY = "coordinates"
#: Attributes of a dataset that a reader needs.
SHOWN_ATTRIBUTES = ("units", "long_name")


def dataset_of(path: Path) -> xarray.Dataset:
    """Read an output.

    Parameters
    ----------
    path : Path

    Returns
    -------
    xarray.Dataset
        In memory. Points that form a grid are unfolded: a dimension for each scanned key.

    Raises
    ------
    StoreError
        If there is no finished run, or the file is damaged.
    ImportError
        If xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise ImportError("a dataset needs xarray: pip install 'kmc_oxy[notebook]'") from error
    with open_output(path) as file:
        scan = file.scan()
        names = _names(file)
        axes = _axes(scan)
        variables: dict[str, Any] = {}
        for name, item in file.file.items():
            if name == "point" or "scan_key" in item.attrs:
                continue
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            dimensions = [name] if item.is_scale else file.dimensions_of(name)
            if axes is not None and dimensions[:1] == ["point"]:
                dimensions[:1] = [names[key] for key in axes]
                values = values.reshape(*map(len, axes.values()), *values.shape[1:])
            variables[name] = (dimensions, values, _attributes(item))
        for key, values in (scan if axes is None else axes).items():
            dimension = "point" if axes is None else names[key]
            attributes = {**_attributes(file[f"scan:{key}"]), "scan_key": key}
            variables[names[key]] = ([dimension], values, attributes)
        stored = str(file.attributes.get(COORDINATES_KEY, "")).split()
        coordinates = {*stored, *file.shape(), *names.values()} & set(variables)
        attributes = {key: file.attributes[key] for key in ("name", "seed", "run_id")}
    return xarray.Dataset(variables, attrs=attributes).set_coords(sorted(coordinates))


def _attributes(item: h5py.Dataset) -> dict[str, str]:
    return {name: str(item.attrs[name]) for name in SHOWN_ATTRIBUTES}


def _names(file: OutputFile) -> dict[str, str]:
    """Name of the dimension of each scanned key: a Python name that nothing else has."""
    from kmc_oxy.figures import short_names

    found = {}
    for key, short in short_names(file).items():
        name = short if short not in file else key
        found[key] = name.replace(".", "_")
    return found


def _axes(scan: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
    """Values of each key along its own axis, the last running fastest; None if it is no grid."""
    points = {key: list(dict.fromkeys(values.tolist())) for key, values in scan.items()}
    grid = np.meshgrid(*(np.arange(len(axis)) for axis in points.values()), indexing="ij")
    axes = {}
    for (key, axis), index in zip(points.items(), grid, strict=True):
        axes[key] = np.array(axis, dtype=scan[key].dtype)
        if not np.array_equal(axes[key][index.ravel()], scan[key]):
            return None
    return axes


def of_leg(data: xarray.Dataset, number: int) -> xarray.Dataset:
    """The readings of one leg, shifted to the start of the dimension `reading`.

    Parameters
    ----------
    data : xarray.Dataset
        As `dataset_of` gave it.
    number : int
        Value of `leg`; there is such a leg.

    Returns
    -------
    xarray.Dataset
    """
    import xarray

    inside = data["leg"] == number
    starts, lengths = inside.argmax("reading"), inside.sum("reading")
    longest = int(lengths.max())
    numbers = xarray.DataArray(np.arange(longest), dims="reading")
    places = (starts + numbers).clip(max=data.sizes["reading"] - 1)
    found = data.drop_vars("reading").isel(reading=places if places.ndim > 1 else places.values)
    if bool((lengths < longest).any()):
        for name, variable in found.variables.items():
            if "reading" in variable.dims:
                missing = np.nan if variable.dtype.kind == "f" else -1
                found[name] = found[name].where(numbers < lengths, missing).astype(variable.dtype)
    return found.assign_coords(reading=("reading", np.arange(longest), data["reading"].attrs))
