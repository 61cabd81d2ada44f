"""Conductance of one cross-point: a resistor network of impurity levels in Gaq3.

Nodes are the oxygens in the organic layers and a quenched background of other impurities.
Electrons tunnel between nodes and between nodes and electrodes; near LSMO they do so through a
Schottky barrier which the oxygens themselves make thinner (paper, figure 5a). Links, for node
heights ``z`` above LSMO and in units of the conductance scale G0:

- density at LSMO: ``n(x, y)`` = Gaussian-smoothed number of oxygens below the slab's depth, per
  volume, plus a floor; depletion width ``W = sqrt(2 eps eps0 phi_B / (e^2 n))``
- weight of a node: ``w = -phi_B max(1 - z/W, 0)^2 / E0``, from the distance of its level to the
  Fermi level
- node to LSMO: ``prefactor exp(-2 S + w)``, ``S = k0 (z - z^2/(2W))`` for ``z < W``, else
  ``k0 W/2 + (z - W)/xi``; ``k0 = sqrt(2 m phi_B)/hbar``
- node to Co: ``exp(-2 (d - z)/xi - 2 kappa t)``, ``d`` the organic thickness, ``t`` the excess
  thickness of the oxide in that column (thin places are the weak points); with `oxide_growth_m`
  it grows by that much for every oxygen in the oxide of the column
- node to node: ``exp(-2 r/xi + (w_i + w_j)/2)`` up to a cut-off, ``r`` the distance to the nearest
  periodic image

The low-bias conductance solves Kirchhoff's equations on this network. In parallel to it there is a
small leak and, optionally, a multi-step path through gap states of the depletion region: ``R``
equal steps, each with an R-th of the exponent ``k0 W``, conduct ``g exp(-k0 W/R)`` a column. The
result of one simulated patch is multiplied by the number of patches in the junction.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy  # loads its submodules at their first use: most runs use none
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics._network import FilamentKernel
from kmc_oxy.physics.depletion_layer import DepletionLayer
from kmc_oxy.physics.filament_geometry import lengths_m, stencil
from kmc_oxy.physics.filament_parameters import MAX_RATIO, MOST, NetworkParameters
from kmc_oxy.physics.lattice import Lattice

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

#: sqrt(2 m_e * 1 eV)/hbar: decay constant of an electron under a barrier of 1 eV.
WAVE_NUMBER_PER_M_SQRT_EV = 5.123e9
MIN_RATIO = 1e-4  #: V/V0 below which non-linear links are linear to rounding.
MAX_NEWTON_STEPS = 200  #: for the potentials of non-linear links; fewer than ten are usual.


class FilamentNetwork:
    """The conduction network of one cross-point, with its quenched disorder.

    A reading is a function of the occupation alone. No solve starts from an earlier one, so there
    is no state to save, and a resumed run repeats every reading bit for bit. (With the
    preconditioner a solve from scratch takes some ten steps; an earlier solution as the start would
    save a few of them.) Only the last assembly and its result are kept, for further results of the
    same occupation.

    Parameters
    ----------
    lattice : Lattice
    background : array_like of bool, shape (n_sites,)
        Sites that hold a background impurity; only organic sites count.
    weak_point_m : array_like of float, shape (n_columns,)
        Excess thickness of the oxide over each column, m, not negative.
    parameters : NetworkParameters, optional

    Raises
    ------
    ValueError
        If an array has the wrong shape or values, or the slab does not reach the first layer.
    """

    def __init__(
        self,
        lattice: Lattice,
        background: ArrayLike,
        weak_point_m: ArrayLike,
        parameters: NetworkParameters | None = None,
    ) -> None:
        self.lattice = lattice
        self.parameters = p = NetworkParameters() if parameters is None else parameters
        self.background = _sites("background", background, lattice.n_sites) & lattice.organic
        self.weak_point_m = _lengths("weak_point_m", weak_point_m, lattice.n_columns)
        layer_z_m = lattice.layer_z_m[: lattice.organic_layers]
        if not p.slab_m > layer_z_m[0]:
            raise ValueError(
                "The 'slab_m' parameter must reach beyond the centre of the first layer, "
                f"{layer_z_m[0]:.3g} m. Got {p.slab_m} instead."
            )
        self._leak = p.leak_per_column * lattice.n_columns
        self.leak_S = self._leak * p.conductance_scale_S * p.patches
        self._past = self._leak  # in G0: all conductance in parallel to the assembled network
        self._organic = lattice.organic_layers * lattice.n_columns
        self._assembled: bytes | None = None
        self._solved: float | None = None
        # An exponent that overflows is a link of zero.
        with np.errstate(over="ignore", under="ignore"):
            self._rest_top_link = np.exp(
                -2 * (lattice.organic_thickness_m - layer_z_m)[:, None] / p.decay_length_m
                - 2 * p.oxide_decay_per_m * self.weak_point_m
            )
        # The kernel reads this table in place: a change counts from the next assembly.
        self._top_link = self._rest_top_link.copy()
        self._wave_number_per_m = WAVE_NUMBER_PER_M_SQRT_EV * np.sqrt(
            p.effective_mass * p.barrier_height_eV
        )
        self._depletion = DepletionLayer(lattice, p)
        self._kernel = self._make_kernel(layer_z_m)

    def _make_kernel(self, layer_z_m: NDArray[np.float64]) -> FilamentKernel:
        lattice, p, depletion = self.lattice, self.parameters, self._depletion
        displacements = stencil(lattice, p.cutoff_m)
        shape = (lattice.organic_layers, lattice.ny, lattice.nx)
        with np.errstate(under="ignore"):
            strength = np.exp(-2 * lengths_m(displacements, lattice) / p.decay_length_m)
        return FilamentKernel(
            self.background[: self._organic].reshape(shape),
            layer_z_m,
            self._top_link,
            displacements,
            strength,
            depletion.taps_x,
            depletion.taps_y,
            slab_layers=depletion.slab_layers,
            density_per_oxygen=depletion.density_per_oxygen_per_m3,
            density_floor=depletion.density_floor_per_m3,
            width_coefficient=depletion.width_coefficient,
            prefactor=p.electrode_prefactor,
            wave_number_per_m=self._wave_number_per_m,
            decay_per_m=1 / p.decay_length_m,
            depth_ratio=p.barrier_height_eV / p.level_width_eV,
        )

    @classmethod
    def draw(
        cls,
        lattice: Lattice,
        parameters: NetworkParameters,
        background_rng: np.random.Generator,
        weak_point_rng: np.random.Generator,
    ) -> FilamentNetwork:
        """A network whose quenched disorder is drawn from two streams of random numbers."""
        background = np.zeros(lattice.n_sites, dtype=bool)
        background[lattice.organic] = (
            background_rng.random(np.count_nonzero(lattice.organic)) < parameters.background_share
        )
        thickness = np.abs(weak_point_rng.standard_normal(lattice.n_columns))
        return cls(lattice, background, parameters.weak_points_m * thickness, parameters)

    def conductance(
        self, occupied: ArrayLike, method: Literal["fast", "reference"] = "fast"
    ) -> float:
        """Low-bias conductance of the junction.

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)
        method : {"fast", "reference"}
            "fast": conjugate gradients until a rigorous bound of the error is below the
            tolerance. "reference": factorisation of the whole matrix.

        Returns
        -------
        float
            S; finite; at most a relative ``tolerance`` above the exact value. Zero only if there is
            neither leak nor multi-step path and no links join the electrodes.

        Raises
        ------
        ValueError
            If `occupied` has the wrong shape or values other than 0 and 1, or `method` is unknown.
        RuntimeError
            If the iteration does not converge, or the conductance is no number that a double holds.
        """
        if method not in ("fast", "reference"):
            raise ValueError(
                f"The 'method' parameter must be 'fast' or 'reference'. Got {method!r} instead."
            )
        self._assemble(occupied)
        if method == "reference":
            relative = _direct_conductance(*self._kernel.links()[1:])
        else:
            relative = self._solve()
        p = self.parameters
        found = float((relative + self._past) * p.conductance_scale_S * p.patches)
        # Without leak, links below the smallest double leave the electrodes apart.
        open_circuit = relative == 0 and not (p.leak_per_column or p.multistep_per_column)
        if not np.isfinite(found) or (found <= 0 and not open_circuit):
            raise RuntimeError(
                f"The conductance of the filament network of {self._kernel.n_nodes} nodes is "
                f"beyond the range of numbers: {relative} of the network and {self._past} in "
                f"parallel to it, times {p.conductance_scale_S * p.patches} S, is {found} S."
            )
        return found

    def depletion_width_m(self, occupied: ArrayLike) -> NDArray[np.float64]:
        """Depletion width W at LSMO of each column, as used by the links of the network.

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)

        Returns
        -------
        ndarray, shape (ny, nx)
            m.
        """
        return self._depletion.widths_m(_sites("occupied", occupied, self.lattice.n_sites))

    def node_potentials_V(
        self, occupied: ArrayLike, voltage_V: float, link_nonlinearity_V: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Potentials of the nodes if every link carries ``I = g V0 sinh(dV/V0)``.

        They minimise the convex co-content, ``sum g V0^2 cosh(dV/V0)`` over the network's links.

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)
        voltage_V : float
            V of LSMO; Co is at 0.
        link_nonlinearity_V : float
            V0 of a link, at least 1/`MAX_RATIO` of the voltage.

        Returns
        -------
        site : ndarray of int, shape (n_nodes,)
        potential_V : ndarray, shape (n_nodes,)
            To 1e-5 of the voltage.

        Raises
        ------
        ValueError, RuntimeError
            As `conductance`; or if V0 is out of range.
        """
        ratio = abs(voltage_V) / link_nonlinearity_V if link_nonlinearity_V > 0 else np.nan
        if not ratio <= MAX_RATIO:
            raise ValueError(
                "The 'link_nonlinearity_V' parameter must be positive and at least "
                f"1/{MAX_RATIO:.0f} of the {abs(voltage_V):g} V applied. "
                f"Got {link_nonlinearity_V} instead."
            )
        self._assemble(occupied)
        # Below this ratio links are linear to rounding, and potentials scale with the voltage.
        solved = max(ratio, MIN_RATIO)
        potential = self._kernel.divide(solved, 1e-5 * solved, MAX_NEWTON_STEPS)
        self._check_convergence()
        return self._kernel.sites(), potential * (voltage_V / solved)

    def spin_transmission(
        self, occupied: ArrayLike, relaxation: float, exchange: float, tolerance: float = 1e-4
    ) -> float:
        """Spin accumulation that arrives at the oxide, relative to that in LSMO.

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)
        relaxation : float
            Spin relaxation at every node, as a conductance to ground in G0; not negative.
        exchange : float
            Spin conductance that exchange adds to a node-to-node link, relative to hopping.
        tolerance : float
            Largest absolute error of the result.

        Returns
        -------
        float
            Between 0 and 1. Current through the leak counts as unpolarised. See
            `kmc_oxy.physics.spin_valve`.

        Raises
        ------
        ValueError, RuntimeError
            As `conductance`; or if a number is out of range.
        """
        for name, value, least in (
            ("relaxation", relaxation, 0.0),
            ("exchange", exchange, 0.0),
            ("tolerance", tolerance, 1e-9),
        ):
            if not least <= value <= MOST:
                raise ValueError(
                    f"The {name!r} parameter must be at least {least} and at most {MOST:g}. "
                    f"Got {value} instead."
                )
        self._assemble(occupied)
        relative = self._solve()
        share = self._kernel.transmission(relaxation, exchange, tolerance, self._max_iterations())
        self._check_convergence()
        if not relative > 0:
            return 0.0
        found = float(share * relative / (relative + self._past))
        if not np.isfinite(found):
            raise RuntimeError(
                "The spin accumulation is beyond the range of numbers: the links and the "
                f"relaxation of {relaxation} are too far apart."
            )
        # An error of the solution must not give a state of negative conductance.
        return min(max(found, 0.0), 1.0)

    def _assemble(self, occupied: ArrayLike) -> None:
        p = self.parameters
        sites = _sites("occupied", occupied, self.lattice.n_sites)
        key = (sites if p.oxide_growth_m else sites[: self._organic]).tobytes()
        if key == self._assembled:
            return
        self._assembled = self._solved = None
        if p.oxide_growth_m:
            in_oxide = sites[self._organic :].reshape(-1, self.lattice.n_columns).sum(axis=0)
            with np.errstate(under="ignore"):
                thinner = np.exp(-2 * p.oxide_decay_per_m * p.oxide_growth_m * in_oxide)
                np.multiply(self._rest_top_link, thinner, out=self._top_link)
        if p.multistep_per_column:
            exponent = self._wave_number_per_m * self._depletion.widths_m(sites) / p.multistep_steps
            with np.errstate(under="ignore"):
                steps = float(np.exp(-exponent).sum())
            self._past = self._leak + p.multistep_per_column * steps
        self._kernel.assemble(sites[: self._organic].view(np.uint8))
        self._assembled = key

    def _solve(self) -> float:
        """Conductance of the assembled network in G0, without the leak."""
        if self._solved is None:
            solved = self._kernel.conductance(
                self.parameters.tolerance, self._past, self._max_iterations()
            )
            self._check_convergence()
            self._solved = solved
        return self._solved

    def _max_iterations(self) -> int:
        """Largest number of iterations; ten to thirty are usual."""
        return 1000 + self._kernel.n_nodes

    def _check_convergence(self) -> None:
        if not self._kernel.converged:
            raise RuntimeError(
                f"The filament network of {self._kernel.n_nodes} nodes did not converge in "
                f"{self._kernel.iterations} steps."
            )


def current(
    conductance_S: ArrayLike, voltage_V: ArrayLike, nonlinearity_V: float
) -> NDArray[np.float64]:
    """Current of a junction at finite bias, ``I = G V0 sinh(V/V0)`` (A).

    Parameters
    ----------
    conductance_S : array_like
        Low-bias conductance G.
    voltage_V : array_like
        Broadcast against `conductance_S`.
    nonlinearity_V : float
        V0; infinite for an ohmic junction.

    Raises
    ------
    ValueError
        If V0 is not positive, or a current is no finite number.
    """
    if not nonlinearity_V > 0:
        raise ValueError(
            f"The 'nonlinearity_V' parameter must be positive. Got {nonlinearity_V} instead."
        )
    conductance_S, voltage_V = np.asarray(conductance_S, float), np.asarray(voltage_V, float)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found: NDArray[np.float64]
        if np.isinf(nonlinearity_V):
            found = conductance_S * voltage_V
        else:
            found = conductance_S * nonlinearity_V * np.sinh(voltage_V / nonlinearity_V)
    if not np.isfinite(found).all():
        raise ValueError(
            "The 'nonlinearity_V' parameter must be large enough for finite currents. "
            f"Got {nonlinearity_V} at up to {np.abs(voltage_V).max()} V instead."
        )
    return found


def _direct_conductance(
    bottom: Floats, top: Floats, first: Integers, second: Integers, link: Floats
) -> float:
    """Two-terminal conductance by a sparse direct solve, in units of G0."""
    n = bottom.size
    links = scipy.sparse.coo_array((link, (first, second)), shape=(n, n)).tocsr()
    links = links + links.T
    # A cluster without a link to an electrode carries no current and makes the matrix singular.
    n_clusters, cluster = scipy.sparse.csgraph.connected_components(links, directed=False)
    tied = np.bincount(cluster, bottom + top, n_clusters)[cluster] > 0
    if not tied.any():
        return 0.0
    links, bottom, top = links[tied][:, tied], bottom[tied], top[tied]
    matrix = scipy.sparse.diags_array(links.sum(axis=1) + bottom + top) - links
    v = scipy.sparse.linalg.splu(
        matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    ).solve(bottom)
    pair = scipy.sparse.triu(links).tocoo()
    drop = v[pair.coords[0]] - v[pair.coords[1]]
    return float(bottom @ (1 - v) ** 2 + top @ v**2 + pair.data @ drop**2)


def _sites(name: str, values: ArrayLike, n_sites: int) -> NDArray[np.bool_]:
    """`values` as a contiguous boolean array with one entry a site."""
    array = np.asarray(values)
    number = array.dtype.kind in "iuf" and np.isin(array, (0, 1)).all()
    if array.shape != (n_sites,) or not (array.dtype == bool or number):
        raise _shape_error(name, f"a boolean array of shape ({n_sites},)", array)
    return np.ascontiguousarray(array, dtype=bool)


def _lengths(name: str, values: ArrayLike, n_columns: int) -> NDArray[np.float64]:
    """`values` as an array of finite non-negative lengths, one a column."""
    array = np.asarray(values)
    number = array.dtype.kind in "iuf" and (np.isfinite(array) & (array >= 0)).all()
    if array.shape != (n_columns,) or not number:
        wanted = f"an array of finite non-negative lengths of shape ({n_columns},)"
        raise _shape_error(name, wanted, array)
    return array.astype(float)


def _shape_error(name: str, wanted: str, array: NDArray[Any]) -> ValueError:
    got = f"an array of shape {array.shape} and type {array.dtype}"
    if array.dtype.kind == "f" and np.isnan(array).any():
        got += " with NaN"
    return ValueError(f"The {name!r} parameter must be {wanted}. Got {got} instead.")
