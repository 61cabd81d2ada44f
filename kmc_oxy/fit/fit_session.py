"""One session of a fit: which generation comes next, and what its results mean.

The session decides on one process. How the tasks of a generation are run, in one process or on the
ranks of an MPI job, is that of any other run (`execution`).

A generation of the search is screened: its plan has two parts, of which the second depends on the
results of the first (`screening`). A session that resumes finds the first part finished and decides
the same.

A fit has three stages: the search; the slopes, sets around the optimum on a larger ensemble, from
which the intervals follow; and the check, the optimum on devices that the search has not seen.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution import Plan
from kmc_oxy.fit.fit_folder import FinishedGeneration, FitFolder
from kmc_oxy.fit.generation import GenerationPlan, GenerationResults, stacked
from kmc_oxy.fit.intervals import check_points, slope_points
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import start_point
from kmc_oxy.fit.screening import kept_sets, ranked_behind
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
        #: Looks at the generation in progress that are finished, and what the first of two gave.
        self._looks: list[tuple[GenerationPlan, WorkFolder]] = []
        self._first: FinishedGeneration | None = None
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
        """Begin or resume the next generation, or its second look; None if the fit is complete.

        Returns
        -------
        plan : Plan
        work : WorkFolder
            Locked.
        """
        while (requested := self._requested()) is not None:
            self._stage, points, members, seed = requested
            plan = self._look(points, members, seed)
            if plan.feasible:
                output = self.folder.outputs_of(len(self.generations))[len(self._looks)]
                work = begin_or_resume(output, plan.identity)
                if work is not None:
                    return plan, work
            plan = GenerationPlan(self.fit, points, range(members), seed)
            self._record(evaluated(self._stage, plan, [], self._library))
        return None

    def finish(self, plan: Plan, work: WorkFolder) -> None:
        """Evaluate what is finished of a generation; record it after its last look.

        Parameters
        ----------
        plan : Plan
            As `next_generation` gave it.
        work : WorkFolder
            With all tasks finished. It is removed when the generation is recorded.
        """
        assert isinstance(plan, GenerationPlan)
        self._looks.append((plan, work))
        generation = evaluated(self._stage, plan, self._looks, self._library)
        if self._screen and self._first is None:
            self._first = generation
            return
        if self._first is not None:
            generation = screened(generation, self._first)
        self._record(generation)
        for _, each in self._looks:
            each.remove()
        self._looks, self._first = [], None

    @property
    def _screen(self) -> int:
        """Members of the first of two looks at the next generation; 0 if there is only one."""
        screen = self.fit.model.search.screen or 0
        return screen if self._stage == "search" and screen < self._search.members else 0

    def _look(self, points: Array, members: int, seed: int) -> GenerationPlan:
        """What is run next of a generation."""
        screen = self._screen
        if self._first is not None:
            kept = kept_sets(self._first.costs, self._first.errors, screen)
            return GenerationPlan(self.fit, points, range(screen, members), seed, kept)
        return GenerationPlan(self.fit, points, range(screen or members), seed)

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

    def _record(self, generation: FinishedGeneration) -> None:
        self.folder.save(len(self.generations), generation)
        self.generations.append(generation)
        if generation.stage == "search":
            self._search.tell(generation.points, generation.costs, generation.errors)
        self._report(self._line(generation))

    def _line(self, generation: FinishedGeneration) -> str:
        sets = sum(len(each.points) for each in self.of_stage("search"))
        finite = generation.costs[np.isfinite(generation.costs)]
        best = f"best {finite.min():.4g}" if finite.size else "no feasible set"
        _, lowest = self._search.best
        left_out = (generation.devices < generation.members).sum()
        note = f" ({left_out} left out after {generation.devices.min()})" if left_out else ""
        return (
            f"{generation.stage}, generation {len(self.generations)}: {sets} of "
            f"{self.fit.model.search.evaluations} sets, {generation.members} devices each{note}; "
            f"cost {best}, so far {lowest:.4g}"
        )


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
    stage: str,
    plan: GenerationPlan,
    looks: Sequence[tuple[GenerationPlan, WorkFolder]],
    library: str,
) -> FinishedGeneration:
    """The results of a generation whose tasks are finished.

    Parameters
    ----------
    stage : str
    plan : GenerationPlan
        Of the last look.
    looks : sequence of (GenerationPlan, WorkFolder)
        All looks; empty if no set is feasible.
    library : str
        As in `FinishedGeneration`.

    Returns
    -------
    FinishedGeneration
    """
    results = GenerationResults(plan.fit, looks)
    found: dict[int, tuple[Array, Array]] = {}
    for index in results.feasible:
        residuals = results.residuals(index)
        if residuals is not None:
            found[index] = stacked(plan.fit, residuals)
    sets, count = len(plan.sets), plan.devices.stop
    size = next(iter(found.values()))[1].size if found else 0
    members = np.full((sets, count, size), np.nan)
    devices = np.full(sets, count)
    data_errors = np.zeros(size)
    for index in results.feasible:
        devices[index] = results.devices(index)
    for index, (values, of_data) in found.items():
        members[index, : len(values)], data_errors = values, of_data
    simulated = []
    if stage == "check" and looks:
        simulated = [results.simulated(index) for index in range(sets)]
    costs, errors = costs_and_errors(members, _prior_costs(plan.fit, plan.sets))
    return FinishedGeneration(
        stage, plan.sets, count, plan.seed, devices, costs, errors, members, data_errors, library,
        simulated,
    )  # fmt: skip


def screened(generation: FinishedGeneration, first: FinishedGeneration) -> FinishedGeneration:
    """A generation after its second look, with the costs of the sets that were left out.

    Parameters
    ----------
    generation : FinishedGeneration
        Of both looks.
    first : FinishedGeneration
        Of the first look alone.
    """
    is_left_out = generation.devices < generation.members
    return replace(
        generation,
        costs=ranked_behind(generation.costs, first.costs, is_left_out),
        errors=np.where(is_left_out, first.errors, generation.errors),
    )


def costs_and_errors(members: Array, priors: Array) -> tuple[Array, Array]:
    """Cost of every set, and the standard error of its difference from the lowest one.

    The cost is the square of the mean residual vector, and the cost of the priors. All sets have
    the same members, so the error, by the jackknife over members, is that of the difference.

    Parameters
    ----------
    members : ndarray, shape (sets, members, n)
        Residuals; NaN for a set without a device or not of all members.
    priors : ndarray, shape (sets,)
        Costs of the distances from the priors.

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
    costs[is_feasible] = ((total[:, 0] / count) ** 2).sum(axis=1) + priors[is_feasible]
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
