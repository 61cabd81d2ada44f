"""The process that runs: signals that ask it to stop, and the launcher that started it.

Imports nothing of ours and nothing heavy, so that a command can listen before it loads the rest.
"""

from kmc_oxy.process.launcher import rank
from kmc_oxy.process.signals import Interrupted, StopRequest

__all__ = ["Interrupted", "StopRequest", "rank"]
