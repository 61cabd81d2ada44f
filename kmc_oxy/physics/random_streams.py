"""Random streams: one for every purpose that draws random numbers.

A stream is named by (seed, purpose, key). Streams that differ in any part are statistically
independent. A further member, cell or purpose therefore changes no number of any other stream.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """Purpose of a random stream. The numbers are part of the file format: never reuse one."""

    HOPS = 1  #: residence-time engine: waiting times and hops
    BARRIERS = 2  #: quenched barriers of the bonds
    SITE_ENERGIES = 3  #: Gaussian disorder of the site energies
    OXYGEN = 4  #: initial positions of the oxygens
    BACKGROUND = 5  #: background impurity sites of the conduction network
    WEAK_POINTS = 6  #: lateral variation of the oxide's thickness


def seed_sequence(seed: int, purpose: Purpose, *key: int) -> np.random.SeedSequence:
    """Seed sequence of the stream `purpose`, `key`; the key's length is part of its name."""
    return np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """A numpy generator on the stream `purpose`, `key`."""
    return np.random.Generator(np.random.PCG64DXSM(seed_sequence(seed, purpose, *key)))
