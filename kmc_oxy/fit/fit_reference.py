"""Tables of docs/fitting.md, generated from the schema of a fit file and the quantities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kmc_oxy.fit.fit_file import (
    Experiment,
    FitFile,
    FreeParameter,
    FromData,
    Prior,
    SearchSettings,
    Target,
)
from kmc_oxy.fit.quantities import QUANTITIES
from kmc_oxy.inputs.schema import Section
from kmc_oxy.units import HELD_IN

#: Model of each table of keys, by its heading.
CHAPTERS: dict[str, type[Section]] = {
    "Top level": FitFile,
    "An entry of `parameters`": FreeParameter,
    "`prior`": Prior,
    "An entry of `experiments`": Experiment,
    "`from_data`": FromData,
    "An entry of `targets`": Target,
    "`search`": SearchSettings,
}


def key_tables() -> str:
    """Every key of a fit file: default, range and meaning, as markdown."""
    return "\n\n".join(f"### {title}\n\n{_table(model)}" for title, model in CHAPTERS.items())


def quantity_table() -> str:
    """Every quantity that a target can name, as markdown."""
    rows = ["| quantity | unit | meaning |", "|---|---|---|"]
    for name, quantity in QUANTITIES.items():
        rows.append(f"| `{name}` | {HELD_IN[quantity.dimension]} | {quantity.meaning} |")
    return "\n".join(rows)


def updated(page: str) -> str:
    """A page with its generated tables written anew.

    They stand between the lines ``<!-- keys -->`` or ``<!-- quantities -->`` and ``<!-- end -->``.

    Parameters
    ----------
    page : str
        Text of docs/fitting.md.

    Returns
    -------
    str
    """
    for name, table in (("keys", key_tables()), ("quantities", quantity_table())):
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        text = f"{begin}\n{table}\n\n{end}".replace("\\", r"\\")
        page = re.sub(f"{begin}.*?{end}", text, page, flags=re.S)
    return page


def _table(model: type[Section]) -> str:
    rows = ["| key | default | range | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        cells = (f"`{name}`", _default(field), ", ".join(_bounds(field)), meaning)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "null"
    if isinstance(value, Section):
        return "as in an input" if not isinstance(value, SearchSettings) else "as below"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return f"`{value}`" if isinstance(value, str) and value else str(value or "empty")


def _bounds(field: Any) -> Iterator[str]:
    for rule in field.metadata:
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            bound = getattr(rule, name, None)
            if bound is not None:
                yield f"{sign} {bound:,}"
