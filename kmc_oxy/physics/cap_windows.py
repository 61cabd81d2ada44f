"""Windows of time after an edge in which the cap has one Gamma (capped mode; see docs/cap.md).

Window w holds the times from 10^(w/4) to 10^((w + 1)/4) s after the edge.
"""

from __future__ import annotations

import math

WINDOWS_PER_DECADE = 4
#: Times after an edge beyond this are refused in capped mode: Gamma would leave its range.
LONGEST_S = 1e70
#: Times after an edge below this are not told apart.
SHORTEST_S = 1e-300
#: The range of log2 of Gamma in steps of the kernel; rates are at most 2^332 (`MAX_RATE_HZ`).
MOST_GAMMA_STEPS = 4000
_STEPS_PER_OCTAVE = 16


def window_of(time_s: float) -> int:
    """Number of the window that holds `time_s` (positive; `SHORTEST_S` if it is shorter)."""
    time_s = max(time_s, SHORTEST_S)
    window = math.floor(WINDOWS_PER_DECADE * math.log10(time_s))
    # log10 may round across a boundary: the boundaries themselves decide.
    while window_start_s(window) > time_s:
        window -= 1
    while window_start_s(window + 1) <= time_s:
        window += 1
    return window


def window_start_s(window: int) -> float:
    """First time of a window, s after the edge."""
    return float(10.0 ** (window / WINDOWS_PER_DECADE))


def gamma_steps(tolerance: float, window: int) -> int:
    """log2 of Gamma in steps of the kernel, at the start of the window, where it is largest."""
    octaves = -math.log2(tolerance) - window * math.log2(10) / WINDOWS_PER_DECADE
    steps = round(_STEPS_PER_OCTAVE * octaves)
    return max(-MOST_GAMMA_STEPS, min(MOST_GAMMA_STEPS, steps))
