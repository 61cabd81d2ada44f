"""The physics: lattice, landscape, kinetic Monte Carlo, conductance, spin, circuit of an array.

Every module takes numbers and arrays and can be used alone. May import `kmc_oxy.units` only.
"""

import importlib.util

if importlib.util.find_spec("kmc_oxy.physics._engine") is None:
    raise ImportError(
        f"The compiled kernels are missing in {__path__[0]}. In a source tree install with "
        "`pip install -e .`, or start Python in another folder to use the installed package."
    )

from kmc_oxy.physics import potential
from kmc_oxy.physics.crossbar import CrossbarSolver, solve_crossbar, vector_matrix
from kmc_oxy.physics.engine import WINDOWS_PER_DECADE, Engine
from kmc_oxy.physics.filament_network import FilamentNetwork, current
from kmc_oxy.physics.filament_parameters import MAX_RATIO, NetworkParameters
from kmc_oxy.physics.hopping_landscape import Landscape
from kmc_oxy.physics.lattice import Lattice
from kmc_oxy.physics.line_voltages import programming_voltages, reading_voltages
from kmc_oxy.physics.potential import screened_potential_V
from kmc_oxy.physics.random_streams import Purpose, generator
from kmc_oxy.physics.spin_valve import SpinParameters, SpinValve

__all__ = [
    "MAX_RATIO",
    "WINDOWS_PER_DECADE",
    "CrossbarSolver",
    "Engine",
    "FilamentNetwork",
    "Landscape",
    "Lattice",
    "NetworkParameters",
    "Purpose",
    "SpinParameters",
    "SpinValve",
    "current",
    "generator",
    "potential",
    "programming_voltages",
    "reading_voltages",
    "screened_potential_V",
    "solve_crossbar",
    "vector_matrix",
]
