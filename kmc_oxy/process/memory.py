"""Memory that this process can still use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory_bytes() -> float:
    """Memory that is free, or can be freed without swapping, within the limits of a job.

    Returns
    -------
    float
        Bytes; infinite where the system does not say.
    """
    return min(_of_machine(), _of_control_group())


def _of_machine() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024.0 * int(value.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):
        return float("inf")


def _of_control_group() -> float:
    """What a container or a batch system leaves to this job (Linux control groups 2 and 1)."""
    for limit, used in (
        (_CGROUP / "memory.max", _CGROUP / "memory.current"),
        (_CGROUP / "memory/memory.limit_in_bytes", _CGROUP / "memory/memory.usage_in_bytes"),
    ):
        try:
            return float(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):
            continue
    return float("inf")
