"""Does the total rate drift? Compare the running event list with one built anew.

    python scripts/verify/total_rate_drift.py --hops 1e9

The device has barriers flat from 0 to 1 eV at 76 K, so that rates span 66 decades. After every
tenth of the hops the total rate of the running event list is compared with that of a fresh engine
put into the same state; the exit code is 1 if they ever differ.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from kmc_oxy.physics import Engine, Landscape, Lattice


def drift(hops: int, tolerance: float | None = None, seed: int = 1) -> list[tuple[int, float]]:
    """Hops made and relative difference of the total rates, at ten moments of one run."""
    lattice = Lattice(12, 12, 8, 2, 0.835e-9, 7e-9, 2e-9)
    rng = np.random.default_rng(seed)
    land = Landscape(
        rng.normal(0, 0.03, lattice.n_sites),
        lattice.bonds,
        rng.uniform(0, 1, len(lattice.bonds)),
        charge_e=-2,
    )
    occupied = rng.random(lattice.n_sites) < 0.1
    engine = Engine(land, occupied, temperature_K=76.0, seed=seed, tolerance=tolerance)
    potential = lattice.position_m[:, 2] * 1e8
    # In exact mode hops are bought with time; in capped mode with fresh edges.
    duration_s = 1e-9 if tolerance is None else 1e3
    moments = []
    for part in range(1, 11):
        while engine.hops < part * hops / 10:
            if tolerance is not None:
                potential = -potential
                engine.set_potential(potential)
            engine.advance(duration_s)
        state = engine.state_dict()
        fresh = Engine(land, engine.occupied, temperature_K=76.0, tolerance=tolerance)
        fresh.set_potential(state["potential_V"])
        fresh._kernel.use(fresh._table, state["kernel_gamma"])
        running, anew = engine._kernel.total_rate, fresh._kernel.total_rate
        moments.append((engine.hops, abs(running - anew) / anew))
    return moments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hops", type=float, default=1e9)
    parser.add_argument("--tolerance", type=float, help="capped mode instead of exact")
    arguments = parser.parse_args()
    moments = drift(int(arguments.hops), arguments.tolerance)
    for hops, difference in moments:
        print(f"{hops:14d} hops: relative drift {difference:g}")
    return int(any(difference > 0 for _, difference in moments))


if __name__ == "__main__":
    sys.exit(main())
