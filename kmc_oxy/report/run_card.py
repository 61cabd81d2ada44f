"""A run as a piece of HTML, shown by a notebook: its summary and its natural figure."""

from __future__ import annotations

from pathlib import Path

from kmc_oxy.figures import draw
from kmc_oxy.inputs import summary
from kmc_oxy.inputs.schema import Input
from kmc_oxy.report.rendering import picture, rendered
from kmc_oxy.report.tables import leg_table
from kmc_oxy.storage import open_output


def run_card(path: Path) -> str:
    """Write the card of a finished run.

    Parameters
    ----------
    path : Path
        Output of the run.

    Returns
    -------
    str
        HTML without scripts; the figure is part of it.

    Raises
    ------
    StoreError
        If there is no finished run.
    """
    with open_output(path) as file:
        inputs = Input.model_validate(file.resolved)
        sentence = summary.sentence(inputs)
        return rendered(
            "card.html",
            title=inputs.name or path.name,
            sentence=sentence,
            path=str(path),
            figure=picture(draw(file), "the run", sentence, f"natural figure of {path.name}"),
            readings=leg_table(file),
        )
