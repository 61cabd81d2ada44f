"""How the conductances of a run are averaged over members: one answer for the whole run."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kmc_oxy.analysis.series import MAX_VALUES
from kmc_oxy.analysis.statistics import EnsembleMean, ensemble_mean, is_wide, mean_name
from kmc_oxy.storage import OutputFile


class ConductanceAverages(NamedTuple):
    """The mean that tables, figures and reports of a run show of its conductances."""

    geometric: bool  #: whether logarithms are averaged
    not_finite: int  #: stored conductances that are not finite, and left out

    def mean(self, values: ArrayLike) -> EnsembleMean:
        """Mean over members (first axis)."""
        return ensemble_mean(values, geometric=self.geometric)

    @property
    def name(self) -> str:
        """Name of the mean."""
        return mean_name(self.geometric)


# Tables, notes and figures of one report ask for the same file.
@lru_cache(maxsize=1)
def conductance_averages(file: OutputFile) -> ConductanceAverages:
    """Examine all conductances of a run: logarithms are averaged if they spread widely (`is_wide`).

    Of a very large ensemble only the first members are examined, as in `Leg.values`.
    """
    stored = file["conductance"]
    points, members, rows, columns, _ = stored.shape
    members = min(members, max(1, MAX_VALUES // (rows * columns)))
    step = max(1, MAX_VALUES // (members * rows * columns))
    wide, positive, not_finite = False, True, 0
    for point in range(points):
        readings = int(np.count_nonzero(file["leg"][point] >= 0))
        for start in range(0, readings, step):
            values = stored[point, :members, :, :, start : min(start + step, readings)]
            not_finite += int(np.count_nonzero(~np.isfinite(values)))
            positive = positive and not np.any(values <= 0)
            wide = wide or is_wide(values)
    return ConductanceAverages(wide and positive, not_finite)
