"""Pictures of the oxygens of one device: oblique view, view from above, profile along z."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.analysis import mean_over_members
from kmc_oxy.figures.style import COLOURS, MARKERS
from kmc_oxy.physics import Lattice

#: Components of y along x and z in the oblique view.
OBLIQUE = (0.45, 0.28)
#: Largest number of oxygens drawn; of more, those of every k-th column of sites.
MOST_SHOWN = 3000
ELECTRODE, ORGANIC, OXIDE = "0.55", "#e3efdd", "#d8dde6"
IN_ORGANIC, IN_OXIDE = "#b2182b", "#33527a"

Array = NDArray[np.float64]


def draw_box(lattice: Lattice, sites: NDArray[np.int64]) -> Figure:
    """Oblique view of the lattice. Oxygens are dots, darker and larger in front.

    Parameters
    ----------
    lattice : Lattice
    sites : ndarray of int
        Sites of the oxygens.
    """
    width, depth = (1e9 * length for length in lattice.box_m)
    organic, stack = 1e9 * lattice.organic_thickness_m, 1e9 * lattice.stack_m
    right, top = width + OBLIQUE[0] * depth, stack + OBLIQUE[1] * depth
    inches = 4.8
    shape = np.clip(top / (1.2 * right), 0.3, 1.2)
    figure = Figure(figsize=(inches, 0.7 + inches * shape), layout="constrained")
    axes = figure.add_subplot()
    axes.add_patch(_plane(width, depth, 0.0, facecolor=ELECTRODE, alpha=0.6))
    _walls(axes, width, depth, 0.0, organic, ORGANIC)
    if stack > organic:
        _walls(axes, width, depth, organic, stack, OXIDE)
        axes.add_patch(_plane(width, depth, organic, edgecolor="0.4", linestyle=":", fill=False))
    shown = sites[lattice.column[sites] % shown_of(lattice, sites) == 0]
    # From back to front, so that dots in front cover those behind.
    shown = shown[np.argsort(-lattice.position_m[shown, 1], kind="stable")]
    x, y, z = 1e9 * lattice.position_m[shown].T
    # Positions begin at 0; the centre of a site is half a spacing further.
    x, y = (axis + 0.5e9 * lattice.spacing_m for axis in (x, y))
    near = 1 - y / depth
    colours = np.where(lattice.organic[shown], IN_ORGANIC, IN_OXIDE)
    axes.scatter(*_seen(x, y, z), s=6 + 14 * near, c=colours, alpha=0.35 + 0.6 * near, linewidths=0)
    axes.add_patch(_plane(width, depth, stack, edgecolor="0.3", fill=False))
    for corner in (0.0, width):
        axes.plot(*_seen([corner] * 2, [0.0] * 2, [0.0, stack]), color="0.3", linewidth=0.8)
    names = [(0.0, "LSMO", "top"), (organic / 2, "Gaq3", "center"), (stack, "Co", "bottom")]
    if stack > organic:
        names.append(((organic + stack) / 2, "AlOx", "center"))
    for height, name, anchor in names:
        axes.text(1.02 * right, height + OBLIQUE[1] * depth, name, va=anchor, fontsize="small")
    axes.set_aspect("equal")
    axes.set_xlim(-0.03 * right, 1.2 * right)
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("height above LSMO z (nm)")
    # The axes end at the front face of the box.
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= width])
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= stack])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return figure


def shown_of(lattice: Lattice, sites: NDArray[np.int64]) -> int:
    """k, if every k-th column of sites is drawn in the oblique view."""
    return max(1, -(-sites.size // MOST_SHOWN))


def _seen(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> tuple[Array, Array]:
    """Oblique projection: x and z to scale, y foreshortened."""
    y = np.asarray(y)
    return np.asarray(x) + OBLIQUE[0] * y, np.asarray(z) + OBLIQUE[1] * y


def _plane(width: float, depth: float, height: float, **look: object) -> Polygon:
    corners = _seen([0.0, width, width, 0.0], [0.0, 0.0, depth, depth], [height] * 4)
    return Polygon(np.column_stack(corners), **look)  # type: ignore[arg-type]


def _walls(axes: Axes, width: float, depth: float, low: float, high: float, colour: str) -> None:
    """The back and the right wall of a slab."""
    for x, y in (((0, width), (depth, depth)), ((width, width), (0, depth))):
        corners = _seen([*x, *x[::-1]], [*y, *y[::-1]], [low, low, high, high])
        axes.add_patch(Polygon(np.column_stack(corners), facecolor=colour, linewidth=0))


def column_counts(lattice: Lattice, sites: NDArray[np.int64]) -> NDArray[np.int64]:
    """Oxygens in Gaq3 above each lateral position, shape (ny, nx)."""
    inside = sites[lattice.organic[sites]]
    counted = np.bincount(lattice.column[inside], minlength=lattice.n_columns)
    return counted.reshape(lattice.ny, lattice.nx)


def draw_from_above(lattice: Lattice, sites: NDArray[np.int64], largest: int) -> Figure:
    """Number of oxygens in Gaq3 above each lateral position.

    Parameters
    ----------
    lattice : Lattice
    sites : ndarray of int
        Sites of the oxygens.
    largest : int
        End of the colour scale; a common one makes pictures comparable.
    """
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    width, depth = (1e9 * length for length in lattice.box_m)
    image = axes.imshow(
        column_counts(lattice, sites),
        origin="lower",
        extent=(0, width, 0, depth),
        cmap="Greys",
        vmin=0,
        vmax=max(1, largest),
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=axes, label="oxygens in Gaq3 (number)")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("y (nm)")
    return figure


def draw_profiles(
    height_m: Array, organic_thickness_m: float, profiles: dict[str, NDArray[np.float64]]
) -> Figure:
    """Occupied fraction of every layer, mean over members with its 95 % interval.

    Parameters
    ----------
    height_m : ndarray, shape (layers,)
        Height of the centres of the layers above LSMO.
    organic_thickness_m : float
        Height of the boundary to AlOx.
    profiles : dict of str to ndarray, shape (members, layers)
        Label and occupied fractions of each profile.
    """
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(profiles.items()):
        found = mean_over_members(values, arithmetic=True)
        half = None if found.members < 2 else [found.mean - found.low, found.high - found.mean]
        axes.errorbar(
            1e9 * height_m,
            found.mean,
            half,
            marker=MARKERS[number],
            markersize=5,
            fillstyle="none" if number == 0 else "full",
            color=COLOURS[2 * (1 - number)],
            linestyle="--" if number == 0 else "-",
            capsize=2,
            label=name,
        )
    axes.axvline(1e9 * organic_thickness_m, color="0.4", linestyle=":")
    top = axes.get_xaxis_transform()
    boundary_nm = 1e9 * organic_thickness_m
    axes.text(boundary_nm, 1.01, "Gaq3 | AlOx", transform=top, ha="center", fontsize="small")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("height above LSMO z (nm)")
    axes.set_ylabel("occupied fraction of the layer")
    axes.legend(frameon=False)
    return figure
