"""Positions of the oxygens for OVITO and ASE (extended XYZ) and ParaView (VTKHDF)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from kmc_oxy.analysis import lattice_of, snapshots
from kmc_oxy.export.selection import Selection, text_file
from kmc_oxy.storage import (
    DeferredErrorFile,
    OutputFile,
    atomic_rename,
)


def write_xyz(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """Extended XYZ, a frame a snapshot. Oxygens are indistinguishable: their order is arbitrary."""
    stored = snapshots(file, selection.one)
    lattice = lattice_of(file, selection.one[0])
    point, member, row, column = selection.one
    angstrom = lattice.position_m * 1e10
    (width, depth), height = (length * 1e10 for length in lattice.box_m), lattice.stack_m * 1e10
    cell = f"{width:.8g} 0 0 0 {depth:.8g} 0 0 0 {height:.8g}"
    with text_file(out) as text:
        for snapshot in stored:
            at = snapshot.reading
            values = {
                "point": point,
                "member": member,
                "row": row,
                "column": column,
                "reading": at,
                "time": float(file["time"][point, at]),
                "pulse": int(file["pulse"][point, at]),
                "voltage": float(file["voltage"][point, row, column, at]),
                "conductance": float(file["conductance"][point, member, row, column, at]),
            }
            text.write(
                f"{snapshot.sites.size}\n"
                f'Lattice="{cell}" Properties=species:S:1:pos:R:3:layer:I:1 pbc="T T F" '
                + " ".join(f"{name}={value!r}" for name, value in values.items())
                + "\n"
            )
            for site in snapshot.sites:
                x, y, z = angstrom[site]
                text.write(f"O {x:.6f} {y:.6f} {z:.6f} {lattice.layer[site]}\n")
    return [out]


def write_vtkhdf(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """VTKHDF image data: occupied sites on a regular grid in nm, x fastest; time in s.

    The grid has one layer spacing, that of Gaq3. The array ``height_nm`` has the true heights.
    """
    stored = snapshots(file, selection.one)
    lattice = lattice_of(file, selection.one[0])
    extent = (lattice.n_layers, lattice.ny, lattice.nx)
    spacing_nm = lattice.spacing_m * 1e9
    layer_nm = lattice.organic_thickness_m / lattice.organic_layers * 1e9
    steps = len(stored)
    with _hdf5(out) as target:
        root = target.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 0], dtype=np.int64)
        root.attrs["Type"] = np.bytes_("ImageData")
        root.attrs["WholeExtent"] = np.array(
            [0, lattice.nx - 1, 0, lattice.ny - 1, 0, lattice.n_layers - 1], dtype=np.int64
        )
        root.attrs["Origin"] = np.array([0.0, 0.0, lattice.layer_z_m[0] * 1e9])
        root.attrs["Spacing"] = np.array([spacing_nm, spacing_nm, layer_nm])
        root.attrs["Direction"] = np.eye(3).ravel()
        data = root.create_group("PointData")
        occupied = data.create_dataset(
            "occupied",
            shape=(steps, *extent),
            dtype=np.uint8,
            chunks=(1, *extent),
            compression="gzip",
            compression_opts=1,
        )
        for step, snapshot in enumerate(stored):
            frame = np.zeros(lattice.n_sites, dtype=np.uint8)
            frame[snapshot.sites] = 1
            occupied[step] = frame.reshape(extent)
        data["organic"] = lattice.organic.astype(np.uint8).reshape(1, *extent)
        data["height_nm"] = (lattice.position_m[:, 2] * 1e9).reshape(1, *extent)
        times = root.create_group("Steps")
        times.attrs["NSteps"] = np.int64(steps)
        readings = [snapshot.reading for snapshot in stored]
        times["Values"] = file["time"][selection.one[0]][readings]
        # Constant arrays are stored once: the offset of every step is 0.
        for name, offsets in {
            "occupied": np.arange(steps),
            "organic": np.zeros(steps),
            "height_nm": np.zeros(steps),
        }.items():
            times[f"PointDataOffsets/{name}"] = offsets.astype(np.int64)
    return [out]


@contextlib.contextmanager
def _hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file that appears under its name when it is complete, or not at all."""
    with atomic_rename(path) as temporary:
        disk = DeferredErrorFile(temporary)
        with h5py.File(disk, "w") as target:
            yield target
        disk.close()
