"""The factor that brings measured curves closest to drawn ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import branches
from kmc_oxy.figures.panel import PanelCurve

Floats = NDArray[np.float64]


def common_factor(
    measured: Sequence[PanelCurve], drawn: Sequence[PanelCurve], log_x: bool
) -> float | None:
    """The factor on all measured values with the least squares of logarithms.

    A measured curve is compared with the drawn curve of its shape: among those that reach over
    most of its points, the one with the least spread of the logarithms of the ratios. Between the
    points of a drawn curve its logarithm is interpolated, on the branch of the same direction.

    Parameters
    ----------
    measured, drawn : sequence of PanelCurve
    log_x : bool
        Whether to interpolate in the logarithm of x.

    Returns
    -------
    float or None
        None if no measured point lies where a drawn curve is.
    """
    chosen = []
    for curve in measured:
        ratios = [_at(one, curve.x, log_x) - _log(curve.y) for one in drawn]
        ratios = [ratio[np.isfinite(ratio)] for ratio in ratios]
        most = max((ratio.size for ratio in ratios), default=0)
        if most:
            chosen.append(min((r for r in ratios if r.size == most), key=lambda r: float(r.var())))
    return float(np.exp(np.concatenate(chosen).mean())) if chosen else None


def _at(drawn: PanelCurve, x: Floats, log_x: bool) -> Floats:
    """Logarithms of a drawn curve at these places, passed in this order; nan where it is not."""
    places, own = (_log(x), _log(drawn.x)) if log_x else (x, drawn.x)
    logarithms = _log(drawn.y)
    rising = _directions(places)
    found = np.full(x.shape, np.nan)
    for branch, rises in _branches(own, logarithms):
        xs, ys = own[branch], logarithms[branch]
        if not rises:
            xs, ys = xs[::-1], ys[::-1]
        here = (rising == rises) & (places >= xs[0]) & (places <= xs[-1])
        found[here] = np.interp(places[here], xs, ys)
    return found


def _branches(x: Floats, y: Floats) -> Iterator[tuple[slice, bool]]:
    """Parts of a curve in one direction, with finite values; whether x rises in each."""
    finite = np.concatenate([[False], np.isfinite(x) & np.isfinite(y), [False]])
    ends = np.flatnonzero(np.diff(finite.astype(int)))
    for start, stop in zip(ends[::2], ends[1::2], strict=True):
        for part in branches(x[start:stop], share_turns=True):
            own = slice(int(start) + part.start, int(start) + part.stop)
            yield own, bool(x[own.stop - 1] >= x[own.start])


def _directions(x: Floats) -> NDArray[np.bool_]:
    """Whether x rises towards each point from the one before; the first is as the second."""
    if x.size < 2:
        return np.ones(x.shape, bool)
    rising = np.diff(x) >= 0
    return np.concatenate([rising[:1], rising])


def _log(values: Floats) -> Floats:
    found = np.full(values.shape, np.nan)
    positive = values > 0
    found[positive] = np.log(values[positive])
    return found
