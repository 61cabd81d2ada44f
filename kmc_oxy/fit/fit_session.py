"""One session of a fit: which generation comes next, and what its results mean.

The session decides on one process. How the tasks of a generation are run, in one process or on the
ranks of an MPI job, is that of any other run (`execution`).

A fit has three stages: the search; the slopes, sets around the optimum on a larger ensemble, from
which the intervals follow; and the check, the optimum on devices that the search has not seen.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution import Plan
from kmc_oxy.fit.fit_folder import FinishedGeneration, FitFolder
from kmc_oxy.fit.generation import GenerationPlan, stacked
from kmc_oxy.fit.intervals import check_points, slope_points
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import start_point, values_at
from kmc_oxy.fit.search import SEARCHES, Generation, ReplayError, SearchSettings, replay
from kmc_oxy.storage import StoreError, WorkFolder, begin_or_resume

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

#: The seed of the devices of the check, as a distance from that of the search.
CHECK_SEED_OFFSET = 1
#: How often sets around the optimum are run: the second time around the better optimum.
SLOPE_ROUNDS = 2


class FitSession:
    """The generations of a fit, those of earlier sessions included.

    Parameters
    ----------
    fit : LoadedFit
    folder : FitFolder
        Begun or resumed for this fit.
    report : callable
        Called with one line after each generation.

    Raises
    ------
    StoreError
        If the recorded generations are not those of this search.
    """

    def __init__(
        self, fit: LoadedFit, folder: FitFolder, report: Callable[[str], None] = log.info
    ) -> None:
        self.fit, self.folder, self._report = fit, folder, report
        self.generations = list(folder.generations())
        folder.remove_leftovers(len(self.generations))
        settings = fit.model.search
        self._search = SEARCHES[settings.method](
            start_point(fit.parameters),
            settings.seed,
            SearchSettings(
                # What was searched with a larger budget stays.
                evaluations=max(
                    settings.evaluations, sum(len(g.points) for g in self.of_stage("search"))
                ),
                population=settings.population,
                step=settings.step,
                members=settings.members,
                most_members=settings.most_members,
            ),
        )
        self._library = _library_text(settings.method)
        self._stage = "search"
        #: The generation in progress.
        self.plan: GenerationPlan | None = None
        try:
            searched = self.of_stage("search")
            replay(self._search, [Generation(g.points, g.costs, g.errors) for g in searched])
        except ReplayError as error:
            raise StoreError(
                f"{folder.path} was computed by {self.generations[0].library}, this is "
                f"{self._library}: {error} Begin again with --fresh, or choose another folder"
            ) from error

    def of_stage(self, stage: str) -> list[FinishedGeneration]:
        """The finished generations of one stage that count.

        Slopes and check of a search that went on afterwards do not: they belong to another optimum.
        """
        return [each for each in counting(self.generations) if each.stage == stage]

    def next_generation(self) -> tuple[Plan, WorkFolder] | None:
        """Begin or resume the next generation; None if the fit is complete.

        Returns
        -------
        plan : Plan
        work : WorkFolder
            Locked.
        """
        while (requested := self._requested()) is not None:
            stage, points, members, seed = requested
            plan = GenerationPlan(self.fit, points, members, seed)
            self._stage, self.plan = stage, plan
            if plan.feasible:
                output = self.folder.output_of(len(self.generations))
                work = begin_or_resume(output, plan.identity)
                if work is not None:
                    return plan, work
            self._record(plan, None)
        return None

    def finish(self, plan: Plan, work: WorkFolder) -> None:
        """Evaluate and record a generation whose tasks are finished, and remove its work folder.

        Parameters
        ----------
        plan : Plan
            As `next_generation` gave it.
        work : WorkFolder
        """
        assert isinstance(plan, GenerationPlan)
        self._record(plan, work)
        work.remove()

    def _requested(self) -> tuple[str, Array, int, int] | None:
        """Stage, points, members and seed of the next generation; None if there is none."""
        settings = self.fit.model.search
        if not self._search.finished:
            return "search", self._search.ask(), self._search.members, settings.seed
        if not np.isfinite(self._search.best[1]):
            return None
        parameters, most = self.fit.parameters, settings.most_members
        is_searched = len(self.of_stage("slopes")) >= SLOPE_ROUNDS
        if settings.intervals and not is_searched and not self.of_stage("check"):
            points = slope_points(parameters, counting(self.generations), settings.seed)
            return "slopes", points, most, settings.seed
        if not self.of_stage("check"):
            points = check_points(parameters, counting(self.generations), settings.seed)
            return "check", points, most, settings.seed + CHECK_SEED_OFFSET
        return None

    def _record(self, plan: GenerationPlan, work: WorkFolder | None) -> None:
        generation = evaluated(self.fit, self._stage, plan, work, self._library)
        self.folder.save(len(self.generations), generation)
        self.generations.append(generation)
        if generation.stage == "search":
            self._search.tell(generation.points, generation.costs, generation.errors)
        self._report(self._line(generation))

    def progress_text(self) -> str:
        """Stage, generation and, in the search, sets: how far the fit is."""
        text = f"{self._stage}, generation {len(self.generations) + 1}"
        if self._stage == "search":
            text += (
                f": {_sets(self.of_stage('search'))} of {self.fit.model.search.evaluations} sets"
            )
        return text

    def sets_left(self) -> tuple[int, int]:
        """Sets after the generation in progress: those of the search, and later ones, at most."""
        searched, later = _sets(self.of_stage("search")), sets_after_search(self.fit)
        later -= sum(_sets(self.of_stage(stage)) for stage in ("slopes", "check"))
        current = 0 if self.plan is None else len(self.plan.sets)
        if self._stage == "search":
            return max(0, self.fit.model.search.evaluations - searched - current), later
        return 0, max(0, later - current)

    def _line(self, generation: FinishedGeneration) -> str:
        text = f"{generation.stage}, generation {len(self.generations)}: "
        if generation.stage == "search":
            sets = _sets(self.of_stage("search"))
            text += f"{sets} of {self.fit.model.search.evaluations} sets"
        else:
            text += f"{len(generation.points)} sets"
        finite = generation.costs[np.isfinite(generation.costs)]
        text += f", {generation.members} devices each; cost "
        text += f"best {finite.min():.4g}" if finite.size else "no feasible set"
        # Costs on the devices of the check are comparable with no others.
        if generation.stage != "check":
            alike = self.of_stage("slopes") if generation.stage == "slopes" else ()
            costs = [float(each.costs.min()) for each in alike] or [self._search.best[1]]
            text += f", so far {min(costs):.4g}"
        return text


def _sets(generations: Sequence[FinishedGeneration]) -> int:
    return sum(len(each.points) for each in generations)


def sets_after_search(fit: LoadedFit) -> int:
    """Number of sets of the stages after the search, at most.

    Parameters
    ----------
    fit : LoadedFit
    """
    rounds = SLOPE_ROUNDS if fit.model.search.intervals else 0
    return rounds * (2 * len(fit.parameters) + 1) + 2


def counting(generations: Sequence[FinishedGeneration]) -> list[FinishedGeneration]:
    """The generations of the search, and the slopes and check after the last of them.

    Parameters
    ----------
    generations : sequence of FinishedGeneration
        In their order.
    """
    searched = [number for number, each in enumerate(generations) if each.stage == "search"]
    last = searched[-1] if searched else -1
    return [
        each for number, each in enumerate(generations) if each.stage == "search" or number > last
    ]


def evaluated(
    fit: LoadedFit, stage: str, plan: GenerationPlan, work: WorkFolder | None, library: str
) -> FinishedGeneration:
    """The results of a generation whose tasks are finished.

    Parameters
    ----------
    fit : LoadedFit
    stage : str
    plan : GenerationPlan
    work : WorkFolder or None
        None if no set is feasible.
    library : str
        As in `FinishedGeneration`.

    Returns
    -------
    FinishedGeneration
    """
    found: dict[int, tuple[Array, Array]] = {}
    simulated: list[dict[str, list[dict[str, Any]]]] = [{} for _ in plan.sets]
    for index in plan.feasible if work is not None else ():
        assert work is not None
        outputs = plan.outputs(work, index)
        if isinstance(outputs, str):
            values = values_at(fit.parameters, plan.sets[index])
            named = ", ".join(f"{key} = {value:.5g}" for key, value in values.items())
            log.warning("no result of the set %s: %s", named, outputs)
            continue
        residuals = plan.residuals(outputs)
        if residuals is not None:
            found[index] = stacked(fit, residuals)
        if stage == "check":
            simulated[index] = plan.simulated(outputs)
    sets = len(plan.sets)
    size = next(iter(found.values()))[1].size if found else 0
    members = np.full((sets, plan.members, size), np.nan)
    data_errors = np.zeros(size)
    for index, (of_members, of_data) in found.items():
        members[index], data_errors = of_members, of_data
    priors = _prior_costs(fit, plan.sets)
    costs, errors = costs_and_errors(members)
    return FinishedGeneration(
        stage, plan.sets, plan.members, plan.seed, costs + priors, errors, members, data_errors,
        library, simulated if stage == "check" else [],
    )  # fmt: skip


def costs_and_errors(members: Array) -> tuple[Array, Array]:
    """Cost of every set, and the standard error of its difference from the lowest one.

    The cost is the square of the mean residual vector. All sets have the same members, so the
    error, by the jackknife over members, is that of the difference.

    Parameters
    ----------
    members : ndarray, shape (sets, members, n)
        Residuals; NaN for a set without a device.

    Returns
    -------
    costs, errors : ndarray, shape (sets,)
        Infinite and NaN for a set without a device.
    """
    count = members.shape[1]
    is_feasible = np.isfinite(members).all(axis=(1, 2)) & bool(members.shape[2])
    costs, errors = np.full(len(members), np.inf), np.full(len(members), np.nan)
    if not is_feasible.any():
        return costs, errors
    known = members[is_feasible]
    total = known.sum(axis=1, keepdims=True)
    costs[is_feasible] = ((total[:, 0] / count) ** 2).sum(axis=1)
    if count > 1:
        without = (((total - known) / (count - 1)) ** 2).sum(axis=2)
        apart = without - without[np.argmin(costs[is_feasible])]
        apart = apart - apart.mean(axis=1, keepdims=True)
        errors[is_feasible] = np.sqrt((count - 1) / count * (apart**2).sum(axis=1))
    return costs, errors


def _prior_costs(fit: LoadedFit, points: Array) -> Array:
    """Square of the distance from the priors, in their deviations, of every set."""
    costs = np.zeros(len(points))
    for axis, parameter in enumerate(fit.parameters):
        if parameter.prior is not None:
            mean, deviation = parameter.prior
            costs += ((points[:, axis] - mean) / deviation) ** 2
    return costs


def _library_text(method: str) -> str:
    name = {"cma-es": "cma", "tpe": "optuna"}[method]
    return f"{name} {importlib.metadata.version(name)}"
