"""A finished run as one HTML page.

May import `figures`, `paper` and `analysis`.
"""

from kmc_oxy.report.page import report

__all__ = ["report"]
