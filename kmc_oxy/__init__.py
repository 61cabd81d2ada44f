"""Kinetic Monte Carlo of oxygen migration in molecular memristors and their crossbars."""

from kmc_oxy._version import __version__

__all__ = ["__version__"]
