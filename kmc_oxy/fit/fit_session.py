"""One session of a fit: which generation comes next.

The session decides on one process. How the tasks of a generation are run, in one process or on the
ranks of an MPI job, is that of any other run (`execution`).

A generation of the search is screened: it has two looks, each a plan of its own, and which sets get
the second one depends on the results of the first (`screening`). A session that resumes finds the
first look finished and decides the same.

A fit has three stages: the search; the slopes, sets around the optimum on a larger ensemble, from
which the intervals follow; and the check, the optimum on devices that the search has not seen.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution import Plan
from kmc_oxy.fit.evaluation import GenerationResults, evaluated
from kmc_oxy.fit.fit_folder import FinishedGeneration, FitFolder
from kmc_oxy.fit.generation import GenerationPlan
from kmc_oxy.fit.intervals import check_points, slope_points
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import start_point
from kmc_oxy.fit.screening import kept_sets
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
        #: The look in progress.
        self.plan: GenerationPlan | None = None
        #: The finished looks at the generation in progress, and what the first of two gave.
        self._results = GenerationResults(fit)
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
            self.plan = plan = self._look(points, members, seed)
            if plan.feasible:
                outputs = self.folder.outputs_of(len(self.generations))
                work = begin_or_resume(outputs[len(self._results.looks)], plan.identity)
                assert work is not None, "the output of a generation is never assembled"
                return plan, work
            self._evaluate(plan)
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
        self._results.looks.append((plan, work))
        self._evaluate(plan)

    @property
    def _screen(self) -> int:
        """Members of the first of two looks at the next generation; 0 if there is only one."""
        screen = self.fit.model.search.screen or 0
        return screen if self._stage == "search" and screen < self._search.members else 0

    def _look(self, points: Array, members: int, seed: int) -> GenerationPlan:
        """What is run next of a generation."""
        screen = self._screen
        if self._first is None:
            return GenerationPlan(self.fit, points, range(screen or members), seed)
        kept = kept_sets(self._first.costs, self._first.errors, screen)
        kept = [index for index in kept if index not in self._results.failures]
        return GenerationPlan(self.fit, points, range(screen, members), seed, kept)

    def _evaluate(self, plan: GenerationPlan) -> None:
        """Take in a finished look, and record the generation if it was the last one."""
        generation = evaluated(self._stage, plan, self._results, self._library, self._first)
        if self._screen and self._first is None:
            self._first = generation
            return
        self._record(generation)
        self._results.remove()
        self._results, self._first = GenerationResults(self.fit), None

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

    def progress_text(self) -> str:
        """Stage, generation, look and, in the search, sets: how far the fit is."""
        text = f"{self._stage}, generation {len(self.generations) + 1}"
        if self._screen:
            text += f", look {1 if self._first is None else 2} of 2"
        if self._stage == "search":
            text += (
                f": {_sets(self.of_stage('search'))} of {self.fit.model.search.evaluations} sets"
            )
        return text

    def devices_left(self) -> int:
        """Devices of all sets after the look in progress, at most and with the present members."""
        settings, plan = self.fit.model.search, self.plan
        asked = 0 if plan is None else len(plan.sets)
        later = sets_after_search(self.fit)
        later -= sum(_sets(self.of_stage(stage)) for stage in ("slopes", "check"))
        if self._stage != "search":
            return max(0, later - asked) * settings.most_members
        members = self._search.members
        ahead = max(0, settings.evaluations - _sets(self.of_stage("search")) - asked) * members
        second = 0 if plan is None else len(plan.feasible) * (members - plan.devices.stop)
        return ahead + second + later * settings.most_members

    def _line(self, generation: FinishedGeneration) -> str:
        text = f"{generation.stage}, generation {len(self.generations)}: "
        if generation.stage == "search":
            sets = _sets(self.of_stage("search"))
            text += f"{sets} of {self.fit.model.search.evaluations} sets"
        else:
            text += f"{len(generation.points)} sets"
        finite = generation.costs[np.isfinite(generation.costs)]
        text += f", {generation.members} devices each"
        left_out = (generation.devices < generation.members).sum()
        if left_out:
            text += f" ({left_out} left out after {generation.devices.min()})"
        text += "; cost "
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


def _library_text(method: str) -> str:
    name = {"cma-es": "cma", "tpe": "optuna"}[method]
    return f"{name} {importlib.metadata.version(name)}"
