r"""Which sets of a generation are run on all members after a first look at all of them on a few.

**Clearly worse.** All sets have the same members in the first look, so the jackknife error of a
cost is that of its difference from the lowest one. A set is clearly worse if its cost lies above
the lowest one by more than the quantile `CLEARLY` of Student's t, with one degree of freedom less
than members, times that error. With one member there is no error, and every difference is clear. A
quantity of the whole ensemble has no scatter of members and counts as exact.

**At least half.** The better half of a generation by the first look, rounded up, is run on all
members in any case: CMA-ES moves its mean to the better half of a generation, so that an error of
the first look costs a rank there only if the set belongs to the worse half. Sets without a device,
or whose first look gives no number where that of another set does, are worse than all others and
are not replaced: fewer than half are kept if fewer than half give a number. If no set gives one, as
where a quantity needs more members, all are run. A set of which a device failed is not among them
in any case (`fit_session`).

**Ranks.** A set that is left out keeps the cost of its first look if that lies above those of all
sets that were run on all members, and otherwise is raised above them by as little as a number can
be. Among each other they keep the order of the first look. CMA-ES uses ranks alone: the better half
has positive weights and is ranked by full costs, and the sets left out are in the worse half
anyway. TPE splits all sets so far into good and bad ones by their costs: with fewer members a cost
is larger on average, by the variance of the mean, so that no set enters the good ones by a lucky
first look, and the raised costs stay as close to the measured ones as the order allows. A set that
is left out is never the best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]

#: Probability with which a set of equal cost is not called clearly worse.
CLEARLY = 0.9


def kept_sets(costs: Array, errors: Array, members: int) -> list[int]:
    """The sets to be run on all members.

    Parameters
    ----------
    costs : ndarray, shape (sets,)
        Of the first look; infinite for a set without a device or a number.
    errors : ndarray, shape (sets,)
        Standard errors of their differences from the lowest one; NaN if they are not known.
    members : int
        Members of the first look.

    Returns
    -------
    list of int
        Their indices, increasing.
    """
    has_number = np.isfinite(costs)
    if not has_number.any():
        return list(range(len(costs)))
    is_better = np.zeros(len(costs), dtype=bool)
    is_better[np.argsort(costs, kind="stable")[: (len(costs) + 1) // 2]] = True
    # With one member the limit is NaN.
    is_near = costs <= costs.min() + stdtrit(members - 1, CLEARLY) * errors
    return [int(index) for index in np.flatnonzero(has_number & (is_better | is_near))]


def ranked_behind(costs: Array, first_costs: Array, is_left_out: NDArray[np.bool_]) -> Array:
    """Costs of a generation in which the sets left out come after all others.

    Parameters
    ----------
    costs : ndarray, shape (sets,)
        On all members; infinite for a set without a device.
    first_costs : ndarray, shape (sets,)
        Of the first look.
    is_left_out : ndarray of bool, shape (sets,)

    Returns
    -------
    ndarray, shape (sets,)
        Above the largest finite cost of the others for the sets left out; infinite if there is
        none.
    """
    ranked = np.where(is_left_out, np.inf, costs)
    known = ranked[np.isfinite(ranked)]
    last = known.max() if known.size else np.inf
    for index in np.argsort(first_costs, kind="stable"):
        if is_left_out[index]:
            last = ranked[index] = max(first_costs[index], np.nextafter(last, np.inf))
    return ranked
