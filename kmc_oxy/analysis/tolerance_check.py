"""Whether the rate cap changes the conductance, from members that ran at two tolerances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from kmc_oxy.analysis.series import legs
from kmc_oxy.storage import OutputFile

CHECKED = "tolerance_error_conductance"


class ToleranceCheck(NamedTuple):
    """Relative difference of the conductance at the larger tolerance, where it is clearest.

    Of the last readings of all legs and cells, the one whose difference is largest in units of its
    standard error.
    """

    leg: int
    difference: float  #: mean over the members checked, relative to the mean conductance
    half_width: float  #: half of its 95 % interval, for all readings looked at together
    tolerance: float
    members: int

    @property
    def limit(self) -> float:
        """A true error is at most about 3 times the difference (docs/cap.md)."""
        return self.tolerance / 3

    @property
    def text(self) -> str:
        """The result in words."""
        text = (
            f"tolerance check: at 3 times the tolerance the conductance differs by "
            f"{100 * self.difference:+.2g} % (leg {self.leg}, {self.members} members, "
            f"95 % interval +-{100 * self.half_width:.2g} %)"
        )
        if abs(self.difference) > max(self.limit, self.half_width):
            return f"{text}: the rate cap changes it, use a smaller engine.tolerance"
        if self.half_width > self.limit:
            return f"{text}: {100 * self.limit:.2g} % is not resolved by these members"
        return f"{text}: below {100 * self.limit:.2g} %, as it should be"


def tolerance_check(file: OutputFile, point: int) -> ToleranceCheck | None:
    """The tolerance check of one point of the scan.

    Parameters
    ----------
    file : OutputFile
    point : int

    Returns
    -------
    ToleranceCheck or None
        None for a run without the check, or with fewer than two members checked.
    """
    if CHECKED not in file:
        return None
    members = int(file[CHECKED].attrs["members"])
    if members < 2:
        return None
    found = list(legs(file, point))
    last = [leg.readings.stop - 1 for leg in found]
    conductance_S = file["conductance"][point, :members, :, :, last].mean(axis=0)
    difference = file[CHECKED][point, :, :, last] / conductance_S
    error = file[f"{CHECKED}_deviation"][point, :, :, last] / conductance_S / np.sqrt(members)
    # Bonferroni: the clearest of many readings is looked at.
    quantile = float(stdtrit(members - 1, 1 - 0.025 / difference.size))
    clearness = np.abs(difference) / np.maximum(error, np.finfo(float).tiny)
    at = np.unravel_index(np.nanargmax(clearness), clearness.shape)
    return ToleranceCheck(
        leg=found[int(at[-1])].number,
        difference=float(difference[at]),
        half_width=quantile * float(error[at]),
        tolerance=float(file.resolved["engine"]["tolerance"]),
        members=members,
    )
