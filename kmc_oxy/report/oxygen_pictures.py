"""Pictures of the oxygens of one device before and after a run, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kmc_oxy._version import __version__
from kmc_oxy.analysis import MAX_VALUES, lattice_of, legs, snapshots
from kmc_oxy.figures import column_counts, draw_box, draw_from_above, draw_profiles, shown_of
from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import Lattice, Purpose, generator
from kmc_oxy.simulation import oxygens
from kmc_oxy.storage import OutputFile
from kmc_oxy.units import duration_text

Sites = NDArray[np.int64]


class Drawing(NamedTuple):
    """A figure with its caption and description."""

    figure: Figure
    title: str
    caption: str
    alt: str


class OxygenPictures(NamedTuple):
    """Pictures of one device, and their introduction."""

    introduction: str
    drawings: list[Drawing]


def oxygen_pictures(file: OutputFile) -> OxygenPictures:
    """Oxygens of the first member at the first point of the scan, at the first and last reading.

    Of an array, the cell that is programmed first. If the run stored no snapshots, the first
    occupation is drawn again from its seed.
    """
    shape = file.shape()
    cell = next((leg.cell for leg in legs(file, 0) if leg.cell), (0, 0))
    device = (0, 0, *cell)
    lattice = lattice_of(file, 0)
    which = "member 0"
    which += f", cell {list(cell)}" if shape["row"] * shape["column"] > 1 else ""
    which += ", point 0 of the scan" if shape["point"] > 1 else ""
    if "oxygen_site" in file:
        stored = snapshots(file, device, ends_only=True)
        moments = {
            name: (snapshot.sites, _when(file, device, snapshot.reading))
            for name, snapshot in zip(("first reading", "last reading"), stored, strict=False)
        }
        introduction = (
            f"One device of the run ({which}), as its snapshots have it: "
            + "; ".join(f"{name}: {when}" for name, (_, when) in moments.items())
            + "."
        )
    else:
        moments = {"start": (_rebuilt(file, device), "before the protocol")}
        introduction = (
            "The run kept no snapshots of its oxygens (output.snapshots: none), so where they were "
            f"in the end is not known. Shown is the start of one device ({which}), before "
            "anything was done to it, drawn anew from the input and the seed by kmc_oxy "
            f"{__version__}{_other_version(file)}. To keep the first and the last reading, run "
            "with --set output.snapshots=ends; all readings, with output.snapshots=all."
        )
    drawings = [*_boxes(lattice, moments), *_maps(lattice, moments), *_profiles(file, device)]
    return OxygenPictures(introduction, drawings)


def _rebuilt(file: OutputFile, device: tuple[int, int, int, int]) -> Sites:
    """Sites of the oxygens before the protocol, drawn from the same random stream as in the run."""
    point, *cell = device
    given = at_point(Input.model_validate(file.resolved), point).device
    stream = generator(int(file.attributes["seed"]), Purpose.OXYGEN, *cell)
    return np.flatnonzero(oxygens(given, lattice_of(file, point), stream))


def _other_version(file: OutputFile) -> str:
    version = str(file.attributes["kmc_oxy_version"])
    return "" if version == __version__ else f" (the run is of version {version})"


def _when(file: OutputFile, device: tuple[int, int, int, int], reading: int) -> str:
    point, _, row, column = device
    time = duration_text(float(file["time"][point, reading]))
    volts = float(file["voltage"][point, row, column, reading])
    after = f", after {volts:+g} V" if volts else ""
    return f"{time} after the protocol began{after}".replace("-", "\N{MINUS SIGN}")


def _boxes(lattice: Lattice, moments: dict[str, tuple[Sites, str]]) -> Iterator[Drawing]:
    for name, (sites, when) in moments.items():
        inside = int(np.count_nonzero(lattice.organic[sites]))
        share = shown_of(lattice, sites)
        part = f" Only every {share}th column of sites is drawn." if share > 1 else ""
        yield Drawing(
            draw_box(lattice, sites),
            f"oxygens, {name}",
            f"Lengths in nm. Red: the {inside:,} oxygens in Gaq3; blue: the "
            f"{sites.size - inside:,} in AlOx; those in front are larger and darker.{part}",
            f"Oblique view of the lattice at the {name}, {when}: {inside:,} of {sites.size:,} "
            "oxygens are in Gaq3.",
        )


def _maps(lattice: Lattice, moments: dict[str, tuple[Sites, str]]) -> Iterator[Drawing]:
    counts = {name: column_counts(lattice, sites) for name, (sites, _) in moments.items()}
    largest = max(int(count.max()) for count in counts.values())
    for name, (sites, _) in moments.items():
        places = int(np.count_nonzero(counts[name]))
        yield Drawing(
            draw_from_above(lattice, sites, largest),
            f"from above, {name}",
            "Number of oxygens in Gaq3 above each place of the LSMO electrode; lengths in nm.",
            f"Map at the {name}: oxygens in Gaq3 above {places:,} of {lattice.n_columns:,} places, "
            f"at most {int(counts[name].max())} above one.",
        )


def _profiles(file: OutputFile, device: tuple[int, int, int, int]) -> Iterator[Drawing]:
    if "profile" not in file:
        return
    point, _, row, column = device
    lattice = lattice_of(file, point)
    last = int(np.count_nonzero(file["leg"][point] >= 0)) - 1
    members = slice(max(1, MAX_VALUES // lattice.n_layers))
    layers = slice(lattice.n_layers)
    profiles = {
        name: file["profile"][point, members, row, column, reading, layers]
        for name, reading in {"first reading": 0, "last reading": last}.items()
    }
    first, after = (values[:, 0].mean() for values in profiles.values())
    count = len(profiles["last reading"])
    mean = f"Mean over {count:,} members, with its 95 % interval." if count > 1 else "One device."
    yield Drawing(
        draw_profiles(lattice.layer_z_m, lattice.organic_thickness_m, profiles),
        "layer by layer",
        f"Occupied fraction of the sites of each layer against its height (nm). {mean}",
        f"Chart of the occupied fraction of {lattice.n_layers} layers. In the layer next to LSMO "
        f"it is {first:.3g} at the first and {after:.3g} at the last reading.",
    )
