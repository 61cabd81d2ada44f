"""A finished run or fit as one HTML page, and the figure of a fit.

May import `figures`, `fit`, `paper` and `analysis`.
"""

from kmc_oxy.report.fit_figure import plot_fit
from kmc_oxy.report.fit_page import report_fit
from kmc_oxy.report.page import report

__all__ = ["plot_fit", "report", "report_fit"]
