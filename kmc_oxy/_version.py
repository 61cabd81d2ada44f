"""What computes: the version, and the source that the compiled kernels were made from."""

__version__ = "0.1.0"

#: Stands for a source that nothing tells of.
UNKNOWN_SOURCE = "unknown"

try:
    # Written by setup.py beside the extensions when it has compiled them.
    from kmc_oxy._kernel_source import KERNEL_SOURCE
except ImportError:
    KERNEL_SOURCE = UNKNOWN_SOURCE
