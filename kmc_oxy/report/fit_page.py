"""A complete fit as one self-contained HTML page; the same fit gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from kmc_oxy._version import __version__
from kmc_oxy.fit import FitResult, read_fit_result
from kmc_oxy.report import fit_findings as findings
from kmc_oxy.report.fit_figure import fit_panels
from kmc_oxy.report.rendering import check_page_name, panel_picture, rendered, write_page


def report_fit(folder: Path, out: Path) -> None:
    """Write the page of a complete fit.

    Parameters
    ----------
    folder : Path
        The folder of the fit.
    out : Path
        The page; it appears whole or not at all.

    Raises
    ------
    StoreError
        If there is no complete fit, or the page cannot be written.
    """
    check_page_name(out)
    write_page(out, fit_page(read_fit_result(folder)))


def fit_page(result: FitResult) -> str:
    """The page of a fit, as HTML."""
    loose = [each.key for each in result.parameters if not each.is_fixed]
    return rendered(
        "fit.html",
        title=result.name or "fit",
        sentence=_sentence(result),
        failure=findings.failure_sentence(result),
        figures=[panel_picture(panel) for panel in fit_panels(result)],
        parameters=findings.parameter_table(result),
        has_intervals=result.correlation is not None,
        loose=loose,
        correlations=findings.correlation_notes(result),
        combinations=findings.combination_notes(result),
        experiments=findings.experiment_table(result),
        provenance=findings.provenance_table(result),
        fit_file=result.fit_file,
        best_input=result.best_input,
        large=findings.LARGE_CORRELATION,
        version=__version__,
    )


def _sentence(result: FitResult) -> str:
    """What was fitted to what."""
    parts = [_count(len(result.curves), "measured curve")] if result.curves else []
    parts += [_count(len(result.targets), "target")] if result.targets else []
    return (
        f"{_count(len(result.parameters), 'parameter')} fitted to {' and '.join(parts)} of "
        f"{_count(len(result.chi_square), 'experiment')}, with "
        f"{_count(int(result.is_search.sum()), 'parameter set')}."
    )


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"
