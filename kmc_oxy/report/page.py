"""A finished run as one self-contained HTML page.

The page has no script and loads nothing from elsewhere; its content security policy forbids both.
It depends on the output alone: the same file gives the same bytes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kmc_oxy._version import __version__
from kmc_oxy.analysis import (
    conductance_averages,
    crosstalk_notes,
    general_notes,
    leg_notes,
    legs,
    tolerance_notes,
)
from kmc_oxy.figures import panels
from kmc_oxy.inputs import summary, written_value
from kmc_oxy.inputs.schema import Input, scanned_keys
from kmc_oxy.paper import COLUMNS, recognise
from kmc_oxy.report.oxygen_pictures import oxygen_pictures
from kmc_oxy.report.rendering import (
    check_page_name,
    panel_picture,
    picture,
    rendered,
    write_page,
)
from kmc_oxy.report.tables import Cell, Table, leg_table
from kmc_oxy.storage import OutputFile, open_output
from kmc_oxy.units import count_text, duration_text

#: Largest number of scan points, and of legs of each, whose notes are listed.
MOST_NOTES = 20
#: Attributes that are shown elsewhere on the page, and labels of some others.
SHOWN_APART = (
    "complete",
    "coordinates",
    "format",
    "input_yaml",
    "name",
    "overrides",
    "resolved",
    "versions",
)
LABELS = {
    "created": "begun (UTC)",
    "input_hash": "SHA-256 of the input",
    "kmc_oxy_version": "computed by kmc_oxy",
    "mpi_size": "MPI ranks",
    "run_id": "run",
    "schema_version": "layout of the file",
}


def report(path: Path, out: Path) -> None:
    """Write the page of a finished run.

    Parameters
    ----------
    path : Path
        Output of a run.
    out : Path
        The page; it appears whole or not at all.

    Raises
    ------
    StoreError
        If there is no finished run, or the page cannot be written.
    """
    check_page_name(out)
    with open_output(path) as file:
        text = page(file)
    write_page(out, text)


def page(file: OutputFile) -> str:
    """The page of an open output, as HTML."""
    inputs = Input.model_validate(file.resolved)
    keys = summary.keys(inputs)
    oxygens = oxygen_pictures(file)
    return rendered(
        "report.html",
        title=inputs.name or f"run {file.attributes['run_id']}",
        sentence=summary.sentence(inputs),
        verdicts=_verdicts(file),
        figures=[panel_picture(panel) for panel in panels(file)],
        readings=leg_table(file),
        notes=_notes(file),
        oxygens_intro=oxygens.introduction,
        oxygens=[picture(*drawing) for drawing in oxygens.drawings],
        protocol=[step.body.text() for step in inputs.protocol],
        scan={
            key: [*map(written_value, values)] for key, values in scanned_keys(inputs.scan).items()
        },
        changed=_key_table("Keys that differ from the defaults", [k for k in keys if k.differs]),
        every_key=_key_table("Every key but protocol and scan, as resolved", keys),
        input_yaml=str(file.attributes["input_yaml"]),
        again=_command(file),
        provenance=_provenance(file),
        version=__version__,
    )


def _verdicts(file: OutputFile) -> Table | None:
    """Verdicts of the criteria of the paper; None if the run is none of its experiments."""
    known = recognise(file.resolved)
    if known is None:
        return None
    experiment, quick = known
    _, quantity, published, value, *_, met = COLUMNS
    head = [quantity, published, value, "95 % interval", met]
    if file.shape()["member"] < 2:
        caption = f"Experiment {experiment.id} of the paper. One member has no interval, so it is "
        return Table(caption + "not judged: run it with --set ensemble.members=8.", head, [])
    rows = []
    for verdict in experiment.judge(file):
        _, what, wanted, found, low, high, answer = verdict.row()
        interval = "" if np.isnan(verdict.estimate.low) else f"{low} to {high}"
        rows.append([Cell(text) for text in (what, wanted, found, interval, answer)])
    caption = f"Experiment {experiment.id} of the paper, by the criteria of kmc_oxy.paper"
    if quick:
        caption += "; protocol or scan in its short (quick) form, and the verdict that of less data"
    return Table(caption, head, rows)


def _notes(file: OutputFile) -> list[str]:
    """Laws of trains, results of write-verify, half-select disturb: as `run` prints them."""
    averages = conductance_averages(file)
    found = general_notes(averages)
    for point in range(min(file.shape()["point"], MOST_NOTES)):
        at_point = list(legs(file, point))
        for leg in at_point[:MOST_NOTES]:
            found += leg_notes(file, leg, averages)
        found += crosstalk_notes(file, at_point, point)
        found += tolerance_notes(file, point)
    return found


def _key_table(caption: str, keys: Sequence[summary.Key]) -> Table:
    rows = [[Cell(key.key), Cell(key.value), Cell(key.default)] for key in keys]
    return Table(caption, ["key", "value", "default"], rows)


def _command(file: OutputFile) -> str:
    """The command line that repeats the run, given its input as a file."""
    settings = [*json.loads(file.attributes["overrides"])]
    settings.append(f"ensemble.seed={file.attributes['seed']}")
    given = " ".join(f"--set {shlex.quote(setting)}" for setting in settings)
    return f"kmc-oxy run INPUT.yaml -o OUT.h5 {given}"


def _provenance(file: OutputFile) -> Table:
    """Provenance of the file, and the cost of the run."""
    attributes, shape = file.attributes, file.shape()
    facts = {
        LABELS.get(name, name.replace("_", " ")): str(value)
        for name, value in attributes.items()
        if name not in SHOWN_APART
    }
    facts |= json.loads(attributes["versions"])
    settings = json.loads(attributes["overrides"])
    if settings:
        facts["settings (--set)"] = ", ".join(settings)
    facts["dimensions"] = ", ".join(f"{name} {length:,}" for name, length in shape.items())
    facts["hops"] = count_text(_all_hops(file)).strip()
    facts["wall time of all tasks"] = duration_text(float(np.nansum(file["wall_time"])))
    return Table(
        "Where the numbers come from",
        ["what", "value"],
        [[Cell(name), Cell(value)] for name, value in facts.items()],
    )


def _all_hops(file: OutputFile) -> int:
    total = 0
    for point in range(file.shape()["point"]):
        last = int(np.count_nonzero(file["leg"][point] >= 0)) - 1
        total += int(file["hops"][point, ..., last].sum())
    return total
