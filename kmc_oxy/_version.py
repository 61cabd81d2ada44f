"""Version of the package, and digest of the source of its compiled kernels."""

__all__ = ["KERNEL_SOURCE", "UNKNOWN_SOURCE", "__version__"]

__version__ = "0.1.0"

#: In place of a digest that was not recorded.
UNKNOWN_SOURCE = "unknown"

try:
    # Written by setup.py when it compiles the extensions.
    from kmc_oxy._kernel_source import KERNEL_SOURCE
except ImportError:
    KERNEL_SOURCE = UNKNOWN_SOURCE
