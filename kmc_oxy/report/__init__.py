"""A finished run or fit as one HTML page, and the figure of a fit.

May import `figures`, `fit`, `paper` and `analysis`.
"""

from kmc_oxy.report.fit_figure import plot_fit
from kmc_oxy.report.fit_page import report_fit
from kmc_oxy.report.page import report
from kmc_oxy.report.run_card import run_card

__all__ = ["plot_fit", "report", "report_fit", "run_card"]
