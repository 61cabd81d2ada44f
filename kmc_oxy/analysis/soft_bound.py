r"""Fit of the non-linear soft bound to a train, compared with other laws.

With g = (G - Gmin)/(Gmax - Gmin) a pulse changes g by (Fusi and Abbott 2007, doi 10.1038/nn1859;
Frascaroli 2018, doi 10.1038/s41598-018-25376-x; Brivio 2021, doi 10.3389/fnins.2021.580909)

.. math:: g \leftarrow g + a_p (1 - g)^{\gamma_p}, \qquad g \leftarrow g - a_d\, g^{\gamma_d}.

Many small steps follow its closed form. It is compared by AICc with the linear hard bound (equal
steps until the bound is reached) and the logarithm. Steps of a real train are not small, so the
parameters of the result are those of the recursion itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from kmc_oxy.analysis.laws import above_rounding, corrected_akaike, fit
from kmc_oxy.analysis.update_curves import DIRECTION, Trains
from kmc_oxy.storage import StoreError

#: Smallest number of pulses of a train that is fitted.
SHORTEST_FITTED = 8
#: Above this exponent the soft bound approaches an exponential dG(G), a logarithmic train, and
#: only the bound changes.
LARGEST_GAMMA = 10.0
#: Largest distance of the bound, in units of the total change of the train.
FARTHEST_BOUND = 100.0

Array = NDArray[np.float64]


def soft_bound(pulses: ArrayLike, start: float, rate: float, gamma: float) -> Array:
    """Closed form of the non-linear soft bound for pulses that raise g.

    Pulses that lower it are its mirror image, ``1 - soft_bound(n, 1 - start, a_d, gamma_d)``.

    Parameters
    ----------
    pulses : array_like
        Numbers of pulses n.
    start : float
        g before the first one, below 1.
    rate, gamma : float
        a, small, and the exponent.

    Returns
    -------
    ndarray
        ``1 - [(1-g0)^(1-gamma) + (gamma-1) a n]^(-1/(gamma-1))``; an exponential for gamma = 1.
    """
    n = np.asarray(pulses, dtype=np.float64)
    if gamma == 1:
        return np.asarray(1 - (1 - start) * np.exp(-rate * n))
    # Below 1 the bound is reached after a finite number of pulses.
    inner = np.maximum((1 - start) ** (1 - gamma) + (gamma - 1) * rate * n, 0.0)
    return np.asarray(1 - inner ** (-1 / (gamma - 1)))


@dataclass(frozen=True)
class SoftBound:
    """The non-linear soft bound of one polarity, as a recursion in siemens.

    G <- G + step [(bound - G)/(bound - start)]^gamma

    Parameters
    ----------
    start_S, bound_S : float
        Before the first pulse, and where the steps vanish.
    step_S : float
        Signed first step.
    gamma : float
    residual_S : float
        Root mean square deviation from the mean train fitted.
    determined : bool
        Whether the train fixes bound and exponent; if not, they only describe it together.
    """

    start_S: float
    bound_S: float
    step_S: float
    gamma: float
    residual_S: float
    determined: bool

    def train_S(self, pulses: int) -> Array:
        """Conductances before the first and after every of `pulses` pulses."""
        distance_S = self.bound_S - self.start_S
        return self.start_S + distance_S * (
            1 - _recursion(pulses, self.step_S / distance_S, self.gamma)
        )

    def rate(self, range_S: float) -> float:
        """The a of g = (G - Gmin)/(Gmax - Gmin), for Gmax - Gmin = `range_S`."""
        distance_S = abs(self.bound_S - self.start_S)
        return float(abs(self.step_S) / range_S * (range_S / distance_S) ** self.gamma)


def _recursion(pulses: int, share: float, gamma: float) -> Array:
    """Distance to the bound, 1 before the first pulse: h <- h - share h^gamma."""
    distance = np.ones(pulses + 1)
    for number in range(pulses):
        here = distance[number]
        distance[number + 1] = max(here - share * here**gamma, 0.0)
    return distance


def fit_soft_bound(trains: Trains) -> SoftBound:
    """Fit the recursion to the mean train by least squares.

    Raises
    ------
    StoreError
        If the train is too short, or its conductance does not change.
    """
    mean_S = trains.mean_S
    pulses = len(mean_S) - 1
    excursion_S = float(np.max(trains.sign * (mean_S - mean_S[0])))
    if pulses < SHORTEST_FITTED or excursion_S <= 0:
        raise StoreError(
            f"the {DIRECTION[trains.sign]} trains have {pulses} pulses and change the conductance "
            f"by {trains.sign * max(excursion_S, 0.0):.3g} S: the soft bound needs at least "
            f"{SHORTEST_FITTED} pulses and a change"
        )
    closed = fit(np.arange(1, pulses + 1), mean_S[1:], "nlsb").parameters
    target = trains.sign * (mean_S - mean_S[0]) / excursion_S

    def model(free: Array) -> Array:
        found: Array = np.exp(free[0]) * (1 - _recursion(pulses, free[1], free[2]))
        return found

    # The bound never lies inside the excursion by more than the noise, allowed a half of it here.
    lower, upper = [np.log(0.5), 1e-6, 0.0], [np.log(FARTHEST_BOUND), 1.0, LARGEST_GAMMA]
    far = abs(closed["a"] - mean_S[0]) / excursion_S
    first = abs(mean_S[1] - mean_S[0]) / excursion_S
    starts = [
        [np.log(distance), first / distance, gamma]
        for distance, gamma in ((far, 1 + closed["gamma - 1"]), (1.1, 2.0), (2.0, 5.0))
    ]
    results = [
        optimize.least_squares(
            lambda free: model(free) - target,
            np.clip(start, lower, upper),
            bounds=(lower, upper),
            x_scale=[0.3, 0.1, 1.0],
            xtol=1e-10,
            ftol=1e-10,
            gtol=1e-10,
        )
        for start in starts
    ]
    best = min(results, key=lambda result: float(result.cost))
    distance_S = trains.sign * excursion_S * float(np.exp(best.x[0]))
    return SoftBound(
        start_S=float(mean_S[0]),
        bound_S=float(mean_S[0]) + distance_S,
        step_S=float(best.x[1]) * distance_S,
        gamma=float(best.x[2]),
        residual_S=excursion_S * float(np.sqrt(np.mean(best.fun**2))),
        determined=not np.any(np.isclose(best.x, upper, rtol=1e-3)),
    )


def compare_laws(trains: Trains) -> dict[str, float]:
    """AICc of the soft bound, the linear hard bound and the logarithm on the mean train.

    Parameters
    ----------
    trains : Trains
        With at least `SHORTEST_FITTED` pulses.

    Returns
    -------
    dict of str to float
        ``nlsb``, ``hard``, ``log`` in the order of AICc, the best first. Differences below
        `analysis.UNDECIDED_BELOW` decide nothing.
    """
    values_S = trains.mean_S[1:]
    number = np.arange(1, len(values_S) + 1)
    found = {law: fit(number, values_S, law).aicc for law in ("nlsb", "log")}
    found["hard"] = _hard_bound_aicc(number, values_S)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _hard_bound_aicc(number: NDArray[np.int64], values_S: Array) -> float:
    """AICc of a + b min(N, n), the best n of a fine grid."""
    count = len(number)

    def squares(last: float) -> float:
        design = np.column_stack([np.ones(count), np.minimum(number, last)])
        solution = np.linalg.lstsq(design, values_S / scale_S, rcond=None)[0]
        return float(np.sum((design @ solution - values_S / scale_S) ** 2))

    scale_S = float(np.max(np.abs(values_S))) or 1.0
    least = min(squares(last) for last in np.linspace(1.1, count, 10 * count))
    # Two of the line, its end and the variance.
    return corrected_akaike(above_rounding(least, count) * scale_S**2, count, parameters=4)
