"""The layout of an output: name, type, shape, dimensions and attributes of every dataset.

It is stored in the file when the file is written, and compared when it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h5py

#: Attributes of a dataset that belong to its dimension scales.
SCALE_ATTRIBUTES = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST")


def layout_of(file: h5py.File) -> dict[str, dict[str, Any]]:
    """Describe every dataset of a file; no data are read.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    dict
        Ready for JSON.
    """
    datasets = dict(file.items())
    # HDF5 searches the file for the name of a scale; its identity is at hand.
    names = {dataset: name for name, dataset in datasets.items()}
    return {name: _description(dataset, names) for name, dataset in datasets.items()}


def _description(dataset: h5py.Dataset, names: Mapping[h5py.Dataset, str]) -> dict[str, Any]:
    return {
        "type": str(dataset.dtype),
        "shape": list(dataset.shape),
        "dimensions": [names[scale[0]] if len(scale) else "" for scale in dataset.dims],
        "attributes": {
            key: str(dataset.attrs[key]) for key in dataset.attrs if key not in SCALE_ATTRIBUTES
        },
    }


def layout_fault(file: h5py.File, stored: str) -> str | None:
    """Compare a file with the layout that was stored when it was written.

    Parameters
    ----------
    file : h5py.File
    stored : str
        JSON of `layout_of`.

    Returns
    -------
    str or None
        What is wrong with the first dataset that differs; None if none does.
    """
    wanted, found = json.loads(stored), layout_of(file)
    for name in (*wanted, *found):
        if name not in found:
            return f"its dataset {name} is missing"
        if name not in wanted:
            return f"it has a dataset {name} that the run did not write"
        for key, value in wanted[name].items():
            if found[name][key] != value:
                return f"the {key} of its dataset {name} should be {value}, not {found[name][key]}"
    return None
