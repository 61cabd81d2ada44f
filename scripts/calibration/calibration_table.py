"""What the calibration compares, what it may change, and what it runs: the table in code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

CHEAP = (
    "device.lattice.nx=20", "device.lattice.ny=20", "ensemble.members=4", "ensemble.seed=101",
    "engine.tolerance=0.3", "engine.reach=1", "conductance.tolerance=1e-4",
)  # fmt: skip
#: A criterion's range is shrunk by this share of its width: a set that just meets it by chance
#: of a small ensemble would not be met again.
MARGIN = 0.1


@dataclass(frozen=True)
class Parameter:
    """A free parameter: its key, the range that physics leaves it, and the first step.

    With `factor`, steps multiply.
    """

    key: str
    low: float
    high: float
    step: float
    why: str
    factor: bool = False

    def moved(self, value: float, direction: int, halvings: int) -> float | None:
        """The value one step away, or None if that leaves the range."""
        share = direction / 2**halvings
        found = value * self.step**share if self.factor else value + self.step * share
        found = float(f"{found:.6g}")
        return found if self.low * (1 - 1e-9) <= found <= self.high * (1 + 1e-9) else None


PARAMETERS = (
    Parameter("device.site_energy.oxide_offset", -0.55, -0.38, 0.02,
              "escape from AlOx: threshold of potentiation between 1.75 V and 2 V"),
    Parameter("device.site_energy.first_layer_binding", 0.35, 0.52, 0.01,
              "escape from LSMO: threshold of depression between -1 V and -2.8 V"),
    Parameter("device.site_energy.disorder", 0.0, 0.05, 0.01, "a few kT at 76 K to kT at 500 K"),
    Parameter("device.barriers.first_layer_exit.high", 0.15, 0.6, 0.03,
              "flat barriers, at most the 1 eV of the paper"),
    Parameter("device.barriers.first_layer_lateral.low", 0.0, 0.5, 0.25, "as above"),
    Parameter("device.barriers.interface.high", 0.15, 1.0, 0.15, "as above"),
    Parameter("device.barriers.oxide.low", 0.0, 0.5, 0.25,
              "ions in an amorphous oxide: no barrier need be below some tenths of an eV"),
    Parameter("device.barriers.oxide.high", 0.5, 1.0, 0.2, "at most 1 eV"),
    Parameter("device.field.oxide_share", 0.3, 0.55, 0.05, "what AlOx takes of V"),
    Parameter("device.barriers.slow_share", 0.0, 0.9, 0.2, "a share"),
    Parameter("device.oxygen.filling", 0.05, 0.15, 0.01, "a few per cent of molecules"),
    Parameter("conductance.density_floor", 0.003, 0.16, 1.5,
              "fixed charge, up to twice the background impurities", factor=True),
    Parameter("conductance.level_width", 0.05, 0.15, 1.15,
              "spread of molecular levels, 0.05 to 0.15 eV", factor=True),
    Parameter("conductance.slab", 0.5e-9, 1.2e-9, 0.1e-9, "about the first layer, 0.83 nm"),
    Parameter("spin.relaxation", 1e-6, 1e-3, 3.0, "tau_s unknown to decades", factor=True),
)  # fmt: skip


@dataclass(frozen=True)
class Observation:
    """What is compared: quantities of a row of the table, their range and the unit of a residual.

    Parameters
    ----------
    row, part : str
        Id of the experiment, and what the names of the quantities contain.
    low, high : float
        Range in which the criterion is met; infinite for none.
    unit : float
        A distance of this much from the range is a residual of 1.
    fixes : str
        Parameters that the observation fixes.
    scale : callable
        Applied to quantity, range and unit's argument before the distance is taken.
    """

    row: str
    part: str
    low: float
    high: float
    unit: float
    fixes: str
    scale: Callable[[float], float] = float

    def residual(self, value: float) -> float:
        """Distance from the range, in units; 0 inside."""
        if not math.isfinite(value):
            return 10.0
        low, high, x = (self.scale(end) for end in (self.low, self.high, value))
        margin = MARGIN * (high - low) if math.isfinite(high - low) else 0.0
        return min(max(low + margin - x, x - high + margin, 0.0) / self.unit, 10.0)


def _decades(value: float) -> float:
    return math.log10(max(value, 1e-6)) if math.isfinite(value) else value


def _compressed(value: float) -> float:
    """Differences of AICc: a hundred is not ten times as bad as ten."""
    return math.asinh(value / 10) if math.isfinite(value) else value


_INF = math.inf
OBSERVATIONS = (
    Observation("R", "at 100 K", 3e3, 3e4, 0.3,
                "density_floor, level_width, slab; first_layer_exit.high", _decades),
    Observation("2", "over the one after +3", -1 / 20, 1 / 20, 0.05, "spin.relaxation"),
    Observation("4a", "relaxation after set", -_INF, -0.1, 0.3, "slow_share, disorder"),
    Observation("4a", "relaxation after reset", 0.1, _INF, 0.3, "slow_share, disorder"),
    Observation("4a", "one patch", 0.0, 1.0, 1.0,
                "density_floor, first_layer_exit.high", _decades),
    Observation("T", "-1 V pulse", -5, 5, 5, "first_layer_binding, slow_share"),
    Observation("T", "+1.75 V pulse", -5, 5, 5, "oxide_offset, interface.high"),
    Observation("T", "-2 V pulse", -_INF, -5, 5, "first_layer_binding"),
    Observation("T", "+2.5 V pulse", 5, _INF, 5, "oxide_offset"),
    Observation("3a", "dynamic range of", 0.3, 0.8, 0.2,
                "oxide_offset, interface.high, density_floor", _decades),
    Observation("3a", "gained by a longer", 0.05, _INF, 0.1, "interface.high"),
    Observation("3a", "rise a pulse", 0.02, _INF, 0.1, "interface.high, disorder"),
    Observation("3a", "AICc minus", 5, _INF, 2.0,
                "interface.high, disorder", _compressed),
    Observation("3b", "dynamic range of", 3.0, 8.0, 0.2,
                "first_layer_binding, first_layer_exit.high, slab", _decades),
    Observation("3b", "gained by a longer", 0.3, _INF, 0.5, "first_layer_exit.high"),
    Observation("3b", "AICc minus", 5, _INF, 1.0,
                "first_layer_exit.high, first_layer_lateral.low", _compressed),
    Observation("X", "+3 and -3 V", 4.0, 12.0, 3.0, "slow_share, oxide_offset, density_floor"),
    Observation("4c", "independent, of the exponential law", 5, _INF, 1.0,
                "first_layer_exit.high, first_layer_lateral.low", _compressed),
    Observation("4c", "independent, of the power law", 5, _INF, 1.0,
                "slab, level_width, first_layer_lateral.low", _compressed),
    Observation("4d", "slope", -_INF, -1.0, 10.0,
                "first_layer_exit.high, density_floor, oxygen.filling"),
)  # fmt: skip


@dataclass(frozen=True)
class Reduced:
    """A row's protocol as the search runs it.

    Parameters
    ----------
    row : str
    how : str
        What is less than in the full protocol.
    settings : tuple of str
        On top of `CHEAP`.
    steps : int, optional
        Only so many steps of the protocol are kept.
    """

    row: str
    how: str
    settings: tuple[str, ...] = ()
    steps: int | None = None


_ROUND = "protocol.2.repeat.steps"
#: The cheap ones first: an evaluation ends once it costs more than the best.
REDUCED = (
    Reduced("R", "as it is"),
    Reduced("2", "as it is"),
    Reduced("4a", "4 cycles of 20", ("protocol.1.repeat.count=4",)),
    Reduced("T", "50 ms only", ("scan.protocol.5.pulse.duration=[50 ms]",)),
    Reduced("3a", "1 ms and 50 ms only; 8 members, since few oxygens move", (
        "ensemble.members=8", "scan.protocol.3.train.duration=[1 ms, 50 ms]")),
    Reduced("3b", "1 ms and 50 ms only", ("scan.protocol.4.train.duration=[1 ms, 50 ms]",)),
    Reduced("X", "+-3 V writes only, 2 members", ("ensemble.members=2",), steps=7),
    Reduced("4c", "120 pulses of 400", ("protocol.4.train.count=120",)),
    Reduced("4d", "one round of ten, 3 pulses of 50 in the same time", (
        *(f"{_ROUND}.{step}.train.count=3" for step in range(1, 50, 2)),
        *(f"{_ROUND}.{step}.train.rest.duration=132.9 s" for step in range(1, 50, 2)),
        "protocol.2.repeat.count=1")),
)  # fmt: skip
