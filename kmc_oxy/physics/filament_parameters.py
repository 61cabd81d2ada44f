"""Parameters of the conduction network (see `kmc_oxy.physics.filament_network`)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kmc_oxy.units import CONDUCTANCE_QUANTUM_S

#: Largest V/V0 of non-linear links: exponentials of it must fit into a double.
MAX_RATIO = 500.0
#: Range of the parameters that are not zero: products of a few of them fit into a double.
LEAST, MOST = 1e-100, 1e100


@dataclass(frozen=True)
class NetworkParameters:
    """Free parameters of the conduction network; the defaults were found by hand.

    Parameters
    ----------
    conductance_scale_S : float
        G0, the unit of all links.
    electrode_prefactor : float
        Factor of all links to LSMO.
    decay_length_m : float
        xi, decay length of the impurity states.
    cutoff_m : float
        Longest node-to-node link.
    background_share : float
        Share of the organic sites that hold a background impurity.
    barrier_height_eV : float
        phi_B, Schottky barrier at LSMO.
    level_width_eV : float
        E0, spread of the impurity levels.
    effective_mass : float
        Tunnelling mass in electron masses.
    relative_permittivity : float
        Permittivity of Gaq3, for the depletion width.
    slab_m : float
        Depth at LSMO in which oxygens are counted.
    smoothing_m : float
        Standard deviation of the lateral smoothing of that count; 0 for none.
    density_floor_per_site : float
        Density added to every column, in units of one per cubic lattice spacing.
    oxide_decay_per_m : float
        kappa, decay constant of the wave function in the excess thickness of the oxide.
    weak_points_m : float
        Standard deviation of the normal variable whose absolute value is the excess thickness
        of the oxide.
    leak_per_column : float
        Conductance in parallel to the network, in G0 for each column of sites.
    multistep_per_column : float
        Conductance of the multi-step path at zero depletion width, in G0 for each column of
        sites; 0: no such path.
    multistep_steps : float
        R, number of equal steps of that path; at least 1.
    oxide_growth_m : float
        Increase of the oxide thickness for each oxygen in the oxide; 0: constant thickness.
    patches : float
        Number of simulated patches in the junction.
    tolerance : float
        Largest relative error of a conductance.

    Raises
    ------
    ValueError
        If a parameter is out of range. All but those that may be zero are positive, and none that
        is not zero lies outside 1e-100 to 1e100.
    """

    conductance_scale_S: float = CONDUCTANCE_QUANTUM_S
    electrode_prefactor: float = 1e-3
    decay_length_m: float = 0.5e-9
    cutoff_m: float = 3e-9
    background_share: float = 0.08
    barrier_height_eV: float = 1.2
    level_width_eV: float = 0.1
    effective_mass: float = 1.0
    relative_permittivity: float = 3.2
    slab_m: float = 1e-9
    smoothing_m: float = 2.5e-9
    density_floor_per_site: float = 0.003
    oxide_decay_per_m: float = 3e9
    weak_points_m: float = 0.15e-9
    leak_per_column: float = 1e-9
    multistep_per_column: float = 0.0
    multistep_steps: float = 6.0
    oxide_growth_m: float = 0.0
    patches: float = 1.0
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        may_be_zero = (
            "background_share", "smoothing_m", "oxide_decay_per_m", "weak_points_m",
            "leak_per_column", "multistep_per_column", "oxide_growth_m",
        )  # fmt: skip
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            self._require(
                name,
                LEAST <= value <= MOST or (value == 0 and name in may_be_zero),
                f"a {'non-negative' if name in may_be_zero else 'positive'} number, from "
                f"{LEAST:g} to {MOST:g}{' or 0' if name in may_be_zero else ''}",
            )
        self._require("background_share", self.background_share <= 1, "at most 1")
        self._require("multistep_steps", self.multistep_steps >= 1, "at least 1")
        self._require("tolerance", 1e-12 <= self.tolerance < 1, "at least 1e-12 and below 1")

    def _require(self, name: str, met: bool, what: str) -> None:
        if not met:
            raise ValueError(
                f"The {name!r} parameter must be {what}. Got {getattr(self, name)} instead."
            )
