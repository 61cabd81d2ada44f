"""Half-select disturb: changes of the other cells of an array when one is programmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis.series import Leg
from kmc_oxy.analysis.statistics import EnsembleMean, ensemble_mean, mean_over_members
from kmc_oxy.storage import OutputFile

#: Average crosstalk of the 4x3 array (paper, section 1).
PUBLISHED = 0.08


@dataclass(frozen=True, eq=False)
class Crosstalk:
    """Relative changes of conductance over program steps, members first.

    Parameters
    ----------
    chosen : EnsembleMean
        Programmed cells: natural logarithm of the final over the first conductance, mean over
        steps. Positive: potentiation; negative: depression.
    half_selected, others : EnsembleMean or None
        Mean over steps and cells of the absolute relative change of the cells that share a line
        with the programmed one, and of those that do not; None if there are none.
    by_step : ndarray, shape (members, steps)
        Changes of the half-selected cells.
    """

    chosen: EnsembleMean
    half_selected: EnsembleMean | None
    others: EnsembleMean | None
    by_step: NDArray[np.float64]


def crosstalk(file: OutputFile, programs: Sequence[Leg]) -> Crosstalk:
    """Crosstalk of the program steps of one point of the scan.

    The change of a cell is that from the reading before the first pulse to the reading after the
    last. The interval of each mean is that over members, which are independent; cells and steps of
    one member are not.

    Parameters
    ----------
    file : OutputFile
    programs : sequence of Leg
        At least one, of kind ``program``.

    Returns
    -------
    Crosstalk
    """
    chosen, half, others = [], [], []
    for leg in programs:
        conductance_S = leg.array_values(file, "conductance")
        ratio = conductance_S[..., -1] / conductance_S[..., 0]
        row, column = leg.cell or (0, 0)
        shares = np.zeros(ratio.shape[1:], dtype=bool)
        shares[row], shares[:, column] = True, True
        shares[row, column] = False
        apart = ~shares
        apart[row, column] = False
        chosen.append(np.log(ratio[:, row, column]))
        half.append(np.abs(ratio[:, shares] - 1))
        others.append(np.abs(ratio[:, apart] - 1))
    per_step = [changes.mean(axis=1) for changes in half if changes.size]
    return Crosstalk(
        chosen=ensemble_mean(np.mean(chosen, axis=0)),
        half_selected=_mean(half),
        others=_mean(others),
        by_step=np.transpose(per_step) if per_step else np.empty((len(chosen[0]), 0)),
    )


def _mean(changes: list[NDArray[np.float64]]) -> EnsembleMean | None:
    together = np.concatenate(changes, axis=1)
    return mean_over_members(together.mean(axis=1)) if together.size else None
