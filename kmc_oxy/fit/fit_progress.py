"""How far a fit is: its folder read without the fit file, finished or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmc_oxy.fit.fit_folder import FitFolder
from kmc_oxy.fit.fit_result import EVALUATIONS, STAGES
from kmc_oxy.storage import Manifest, StoreError, progress_of


@dataclass(frozen=True)
class FitProgress:
    """What is finished of a fit.

    Parameters
    ----------
    manifest : Manifest
    is_complete : bool
    generations, sets : mapping of str to int
        Numbers of finished generations and of their sets, by stage.
    members : int
        Devices of a set in the latest generation; 0 before the first one.
    cost : float
        Lowest cost of the search, on its largest ensemble; infinite if no set has a device.
    check_cost : float
        The same on the devices of the check; infinite before it.
    library : str
        Library of the search; empty before the first generation.
    tasks : (int, int) or None
        Finished tasks and all tasks of an unfinished generation, or of its latest look; None if
        there is none.
    """

    manifest: Manifest
    is_complete: bool
    generations: Mapping[str, int]
    sets: Mapping[str, int]
    members: int
    cost: float
    check_cost: float
    library: str
    tasks: tuple[int, int] | None


def progress_of_fit(folder: Path) -> FitProgress:
    """Read how far a fit is.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    FitProgress

    Raises
    ------
    StoreError
        If there is no fit in the folder, or a file of it is damaged.
    """
    found = FitFolder(folder)
    if not found.exists():
        raise StoreError(f"{folder} is no folder of a fit: it has no manifest.json")
    manifest = found.manifest()
    finished = list(found.generations())
    cost = check_cost = np.inf
    if any(g.stage == "search" and np.isfinite(g.costs).any() for g in finished):
        searched = [each for each in finished if each.stage == "search"]
        most = max(each.members for each in searched if np.isfinite(each.costs).any())
        cost = min(float(each.costs.min()) for each in searched if each.members == most)
    for each in finished:
        if each.stage == "check":
            check_cost = float(each.costs.min())
    tasks = None
    for output in found.outputs_of(len(finished)):
        unfinished = progress_of(output)
        if unfinished is not None:
            tasks = unfinished[1], unfinished[0].tasks
    return FitProgress(
        manifest=manifest,
        is_complete=(folder / EVALUATIONS).is_file(),
        generations={stage: sum(g.stage == stage for g in finished) for stage in STAGES},
        sets={stage: sum(len(g.points) for g in finished if g.stage == stage) for stage in STAGES},
        members=finished[-1].members if finished else 0,
        cost=cost,
        check_cost=check_cost,
        library=finished[-1].library if finished else "",
        tasks=tasks,
    )
