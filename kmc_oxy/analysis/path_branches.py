"""Branches of a path of voltages, fields or other abscissas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def branches(path: NDArray[np.float64], *, share_turns: bool) -> list[slice]:
    """Parts of a path in which it only rises or only falls; it may stand still in both.

    Parameters
    ----------
    path : ndarray, shape (n,)
        Finite values.
    share_turns : bool
        Whether a turning point belongs to both neighbours, as for lines that meet; otherwise to
        the branch that ends there.

    Returns
    -------
    list of slice
        In their order; a path of one direction is one branch.
    """
    steps = np.sign(np.diff(path))
    moves = np.flatnonzero(steps)
    turns = moves[1:][steps[moves[1:]] != steps[moves[:-1]]]
    starts = turns if share_turns else turns + 1
    first = [0, *map(int, starts)]
    last = [*map(int, turns), len(path) - 1]
    return [slice(start, stop + 1) for start, stop in zip(first, last, strict=True)]
