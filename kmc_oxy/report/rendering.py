"""Pages from templates, pictures as part of a page, and the files of pages."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kmc_oxy.figures import Panel
from kmc_oxy.storage import StoreError, atomic_write, check_no_run, wrap_os_errors

#: Endings of the name of a page.
SUFFIXES = (".html", ".htm")
#: Resolution of the figures, for screen and print.
DPI = 200


class Picture(NamedTuple):
    """A figure as an `img` element."""

    source: str  #: data URI
    width: int  #: px
    height: int  #: px
    title: str
    caption: str
    alt: str


def check_page_name(out: Path) -> None:
    """Raise a StoreError for a page that has no name of one, or would replace a run."""
    if out.suffix.lower() not in SUFFIXES:
        endings = " or ".join(SUFFIXES)
        raise StoreError(f"{out} is to be an HTML page: its name must end in {endings}")
    check_no_run(out)


def write_page(out: Path, text: str) -> None:
    """Write a page; it appears whole or not at all."""
    with wrap_os_errors(f"write {out}"), atomic_write(out) as target:
        target.write(text.encode("utf-8"))


def rendered(template: str, **values: Any) -> str:
    """A template of ``report/templates`` with its values."""
    environment = Environment(
        loader=PackageLoader("kmc_oxy.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def panel_picture(panel: Panel) -> Picture:
    """One panel as a picture; several axes one above the other, for narrow screens."""
    figure = Figure(figsize=(5.4, 4.0 if panel.width == 1 else 3.2 * panel.width))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(panel.width, 1, squeeze=False)
    panel.draw_titled(list(axes[:, 0]))
    return picture(figure, panel.title, panel.caption, panel.alt)


def picture(figure: Figure, title: str, caption: str, alt: str) -> Picture:
    """Draw a figure as a PNG without time stamp, as a data URI."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    width, height = (round(DPI * inches) for inches in figure.get_size_inches())
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/png;base64,{encoded}", width, height, title, caption, alt)
