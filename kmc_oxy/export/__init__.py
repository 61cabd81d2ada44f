"""A finished run in the formats of other programs.

May import `analysis` and what lies below it.
"""

from kmc_oxy.export.formats import FORMATS, export
from kmc_oxy.export.selection import Selection

__all__ = ["FORMATS", "Selection", "export"]
