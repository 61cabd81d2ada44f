"""Tables of the command line for fits: what a fit file asks for, how far a fit is."""

from __future__ import annotations

import json
import math
from pathlib import Path

from kmc_oxy.cli.tables import aligned, format_table, memory_text
from kmc_oxy.fit import (
    FitCost,
    LoadedFit,
    progress_of_fit,
    read_fit_result,
    result_table,
)
from kmc_oxy.process import usable_cores
from kmc_oxy.units import count_text, duration_text


def fit_cost_table(fit: LoadedFit, cost: FitCost) -> str:
    """Parameters, experiments and expected cost of a fit file.

    Parameters
    ----------
    fit : LoadedFit
    cost : FitCost
    """
    settings = fit.model.search
    cores = usable_cores()
    few, many = (seconds / cores for seconds in cost.core_time_s)
    fewest, most = map(count_text, cost.hops)
    screen = settings.screen
    looked = f"; {screen} in a first look, with up to half of the sets left out" if screen else ""
    lines = {
        "fit file": fit.source + (f" ({fit.model.name})" if fit.model.name else ""),
        "search": f"{settings.method}, {settings.evaluations} sets at most",
        "members": f"{settings.members} at first, {settings.most_members} at most{looked}",
        "tasks": f"{cost.tasks[0]:,} to {cost.tasks[1]:,}: {cost.tasks_of_set} a set and member",
        "expected hops": f"about {fewest.strip()} to {most.strip()} (within a factor of 4, of the "
        "device at the start)",
        "time": f"roughly {duration_text(few)} to {duration_text(many)} on the {cores} core(s) "
        "available here",
        "memory": memory_text(cost.memory_bytes),
    }
    parameters = [
        [
            each.key,
            f"{each.low:g} to {each.high:g} {'' if each.unit == '1' else each.unit}".rstrip(),
            f"{each.start:g}",
            "log" if each.is_log else "linear",
            "yes" if each.prior else "no",
        ]
        for each in fit.parameters
    ]
    run_of = {part.experiment: str(k) for k, run in enumerate(fit.runs) for part in run.parts}
    experiments = []
    for name, experiment in fit.model.experiments.items():
        curves = fit.curves.get(name, ())
        points = sum(len(curve.y) for curve in curves)
        numbers = [len(curves), points, len(experiment.targets)]
        experiments.append([name, *map(str, numbers), run_of[name], f"{experiment.weight:g}"])
    return "\n\n".join(
        [
            aligned(lines),
            format_table(["parameter", "range", "start", "scale", "prior"], parameters),
            format_table(
                ["experiment", "curves", "points", "targets", "run", "weight"], experiments
            ),
        ]
    )


def fit_info_table(folder: Path) -> str:
    """How far a fit is, and its result if it is complete.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    StoreError
        If there is no fit in the folder, or its files are damaged.
    """
    found = progress_of_fit(folder)
    manifest = found.manifest
    content = json.loads(manifest.resolved)
    lines = {
        "fit": str(folder),
        "complete": "yes" if found.is_complete else "no",
        "begun": manifest.created,
        "method": content["search"]["method"] + (f" ({found.library})" if found.library else ""),
    }
    for stage, generations in found.generations.items():
        if generations:
            lines[stage] = f"{generations} generation(s), {found.sets[stage]} set(s)"
    if found.members:
        lines["members"] = f"{found.members} in the latest generation"
    if math.isfinite(found.cost):
        lines["lowest cost"] = f"{found.cost:.4g} in the search, on its largest ensemble"
    if math.isfinite(found.check_cost):
        lines["lowest cost"] += f"; {found.check_cost:.4g} on the devices of the check"
    if found.tasks is not None:
        lines["in progress"] = "{} of {} tasks of the next generation".format(*found.tasks)
    lines["seed"] = str(manifest.seed)
    lines["kmc_oxy"] = manifest.kmc_oxy_version
    if manifest.overrides:
        lines["settings"] = ", ".join(manifest.overrides)
    texts = [aligned(lines)]
    if found.is_complete:
        name = read_fit_result(folder).name
        texts = [aligned({"fit": str(folder), "name": name, **lines}), result_table(folder)]
    return "\n\n".join(texts)
