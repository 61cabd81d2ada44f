"""Types of the compiled kernel in cython_ext/engine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_RATE_HZ: float

class Graph:
    n_sites: int
    path: int
    degree: int
    stride: int
    chunks: int
    parallel: bool
    def __init__(self, n_sites: int, bonds: NDArray[np.int32], patterned: bool = False) -> None: ...

class RateTable:
    graph: Graph
    capped: bool
    offset: int
    nbytes: int
    def __init__(self, graph: Graph, capped: bool) -> None: ...
    def fill(
        self, bonds: NDArray[np.int32], k_ij: NDArray[np.float64], k_ji: NDArray[np.float64]
    ) -> None: ...
    def close(self) -> None: ...

class Kernel:
    graph: Graph
    table: RateTable
    reach: int
    hops: int
    trials: int
    total_rate: float
    def __init__(
        self,
        graph: Graph,
        occupied: NDArray[np.uint8],
        bit_generator: np.random.BitGenerator,
        reach: int,
    ) -> None: ...
    def use(self, table: RateTable, gamma: int) -> None: ...
    def lower_gamma(self, gamma: int) -> None: ...
    def run(
        self, horizon_s: float, most_trials: int, elapsed_s: float = 0.0
    ) -> tuple[float, bool]: ...
    def occupied(self) -> NDArray[np.bool_]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, table: RateTable | None, state: dict[str, Any]) -> None: ...
