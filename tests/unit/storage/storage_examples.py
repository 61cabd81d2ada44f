"""A manifest, an identity and an output that several tests of the storage use."""

import numpy as np

from kmc_oxy.storage import DatasetSpec, RunIdentity, begin_or_resume, create_output
from kmc_oxy.storage.manifest import Manifest

SHAPE = {"point": 2, "member": 3, "row": 1, "column": 1, "reading": 4}


def manifest(**changes):
    values = {
        "input_hash": "abc",
        "seed": 7,
        "tasks": 3,
        "input_yaml": "protocol: []\n",
        "resolved": "{}",
        "overrides": ("a.b=1",),
        "kmc_oxy_version": "1",
        "created": "2026-01-01T00:00:00+00:00",
        "run_id": "x",
        "kernel_source": "k",
    }
    return Manifest(**{**values, **changes})


def identity(**changes):
    values = {
        "input_hash": "h",
        "seed": 3,
        "tasks": 6,
        "input_yaml": "protocol: 1\n",
        "resolved": "{}",
        "overrides": (),
    }
    return RunIdentity(**{**values, **changes})


def complete(output, wanted=None):
    """A finished run with one dataset."""
    work = begin_or_resume(output, wanted or identity(), fresh=output.exists())
    with create_output(output, SHAPE) as file:
        file.create_dataset(
            DatasetSpec("g", ("point", "member", "reading"), "S", "a conductance", missing=np.nan)
        )
        for point in range(2):
            for member in range(3):
                file.write("g", (point, member), np.arange(4.0 - point) + 10 * member)
        file.write_attributes(work.manifest(), {"mpi_size": 1})
    work.remove()
    return output
