r"""Which law a series of an ensemble follows, members being the independent observations.

A fit by least squares takes the residuals of successive pulses as independent. They are not: an
oxygen that arrives stays, so the noise of a train is a random walk, and the evidence of 50
correlated pulses is overestimated many times over. Members are independent. Here each is reduced to
its means over a few ranges of pulse numbers, even in log N; their scatter over the M members gives
the covariance of these p means with all its correlations, and a law is fitted to their means by

.. math:: \chi^2 = M\, r^T S^{-1} r \, \frac{M - p - 2}{M - 1},

r the residuals of the means and S the covariance of one member; the last factor makes the inverse
of an estimated covariance unbiased (Hartlap, Simon and Schneider 2007,
doi 10.1051/0004-6361:20066170). Two laws with k parameters each are compared by Akaike's criterion
chi^2 + 2 k. Neither law is assumed to be exact, so the difference scatters as in Vuong's test
(1989, doi 10.2307/1912557): its variance follows from that of the means, which enter it linearly
with the difference of the two fitted curves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from kmc_oxy.analysis.laws import LAWS, solve
from kmc_oxy.analysis.statistics import Estimate

Array = NDArray[np.float64]

#: Ranges of pulse numbers: two more than the exponential law has parameters.
RANGES = 5
#: With fewer members the covariance is too uncertain: with 8, log N with its one parameter less was
#: preferred in 15 of 40 ensembles that followed an exponential; with 16 to 32 in none of 240, and
#: the exponential in one of 240 that followed log N.
FEWEST_MEMBERS = 16


@dataclass(frozen=True)
class Comparison:
    """Two laws on the same series.

    Parameters
    ----------
    preference : Estimate
        Akaike's criterion of the rival minus that of log N, with its 95 % interval: positive where
        log N is the better one. NaN if there are too few members, or they do not scatter.
    misfit, rival_misfit : float
        Chi-square over its degrees of freedom of log N and of the rival; about 1 for a law that
        holds.
    """

    preference: Estimate
    misfit: float
    rival_misfit: float


def compare_with_log(values: Array, rival: str) -> Comparison:
    """Compare a law with log N.

    Parameters
    ----------
    values : ndarray, shape (members, pulses)
        From the first pulse on.
    rival : str
        Key of `LAWS`.
    """
    members, pulses = values.shape
    averages = range_averages(pulses)
    means = values @ averages.T / values.mean()
    unknown = Comparison(Estimate(math.nan, math.nan, math.nan), math.nan, math.nan)
    if members < FEWEST_MEMBERS or np.linalg.matrix_rank(means - means.mean(axis=0)) < RANGES:
        return unknown
    unbiased = (members - RANGES - 2) / (members - 1)
    # In coordinates in which the covariance is the unit matrix chi^2 is a plain sum of squares.
    root = np.linalg.cholesky(np.cov(means.T) / (members * unbiased))
    whiten = np.linalg.inv(root)
    number = np.arange(1.0, pulses + 1)
    residuals, parameters = {}, {}
    for name in ("log", rival):
        law = LAWS[name]
        *_, residuals[name] = solve(law, number, whiten @ means.mean(axis=0), whiten @ averages)
        parameters[name] = len(law.linear) + len(law.nonlinear)
    squares = {name: float(each @ each) for name, each in residuals.items()}
    gain = squares[rival] - squares["log"] + 2 * (parameters[rival] - parameters["log"])
    apart = residuals[rival] - residuals["log"]
    # The covariance of the whitened means is 1/unbiased, since `whiten` has that factor in it.
    deviation = 2 * math.sqrt(float(apart @ apart) * unbiased)
    half = float(stdtrit(members - 1, 0.975)) * deviation
    return Comparison(
        Estimate(gain, gain - half, gain + half),
        squares["log"] / (RANGES - parameters["log"]),
        squares[rival] / (RANGES - parameters[rival]),
    )


def range_averages(pulses: int) -> Array:
    """Matrix that takes a series to its means over the ranges, shape (`RANGES`, pulses)."""
    edges = np.geomspace(1.0, pulses + 1.0, RANGES + 1)[1:-1]
    index = np.searchsorted(edges, np.arange(1, pulses + 1), side="right")
    matrix = (index == np.arange(RANGES)[:, None]).astype(np.float64)
    averages: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return averages
