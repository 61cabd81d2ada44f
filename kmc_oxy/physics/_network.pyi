"""Types of the compiled kernel in cython_ext/network."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

class FilamentKernel:
    n_nodes: int
    iterations: int
    converged: bool
    bound: float
    def __init__(
        self,
        background: NDArray[np.bool_],
        layer_z_m: Floats,
        top_link: Floats,
        stencil: Integers,
        stencil_link: Floats,
        taps_x: Floats,
        taps_y: Floats,
        *,
        slab_layers: int,
        density_per_oxygen: float,
        density_floor: float,
        width_coefficient: float,
        prefactor: float,
        wave_number_per_m: float,
        decay_per_m: float,
        depth_ratio: float,
    ) -> None: ...
    def assemble(self, occupied: NDArray[np.uint8]) -> None: ...
    def conductance(self, tolerance: float, parallel: float, most: int) -> float: ...
    def transmission(
        self, relaxation: float, exchange: float, tolerance: float, most: int
    ) -> float: ...
    def divide(self, ratio: float, tolerance: float, most: int) -> Floats: ...
    def sites(self) -> Integers: ...
    def links(self) -> tuple[Integers, Floats, Floats, Integers, Integers, Floats]: ...
