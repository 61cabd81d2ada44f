"""The saved state of an engine: what `Engine.state_dict` writes, checked before anything is used.

A state is checked against the landscape and against itself: keys, types, lengths, ranges, times,
and the block of random numbers, which is drawn again from the generator. The kernel compares the
event list with the one that it makes from the occupation (`Kernel.restore`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.physics.cap_windows import (
    LONGEST_S,
    MOST_GAMMA_STEPS,
    SHORTEST_S,
    gamma_steps,
    window_of,
    window_start_s,
)
from kmc_oxy.physics.engine_clock import TRIALS_PER_STRIDE, EngineClock
from kmc_oxy.physics.hopping_landscape import Landscape

BLOCK = 512  #: trials of one block of random numbers (cython_ext/engine/random_blocks.pxd)
_WORDS = 3 * BLOCK
#: A waiting time takes one word, and now and then more: so many are never needed for a block.
_MOST_EXTRA_WORDS = BLOCK
_MOST_COUNT = 1 << 60
_GENERATOR = "PCG64DXSM"
_STRIDE_KEYS = frozenset({"oxygens", "stride_trials", "stride_elapsed_s"})
_KEYS = frozenset(
    {
        "temperature_K", "attempt_frequency_Hz", "tolerance", "reach", "bit_generator",
        "potential_V", "time_s", "time_carry_s", "since_edge_s", "target_s", "edge_pending",
        "window", "kernel_occupied", "kernel_members", "kernel_counts", "kernel_anchor",
        "kernel_gamma", "kernel_hops", "kernel_trials", "kernel_block_next", "kernel_block_word",
        "kernel_block_wait",
    }
)  # fmt: skip


@dataclass(frozen=True)
class EngineState:
    """A checked state.

    The attributes are the keys of `Engine.state_dict`, those of the times in `clock`. `tolerance`
    is None in exact mode, `window` None before the first `begin` after an edge, and `kernel` holds
    what `Kernel.restore` takes.
    """

    temperature_K: float
    attempt_frequency_Hz: float
    tolerance: float | None
    reach: int
    bit_generator: Any  # as `np.random.PCG64DXSM.state`
    potential_V: NDArray[np.float64]
    clock: EngineClock
    window: int | None
    kernel: dict[str, Any]


def checked_state(land: Landscape, state: Mapping[str, Any]) -> EngineState:
    """The state as `EngineState`.

    Raises
    ------
    ValueError
        If a key is missing or unknown, or its value does not fit the landscape or the others. The
        message names the key.
    """
    missing = _KEYS - state.keys()
    extra = state.keys() - _KEYS
    if missing or (extra and extra != _STRIDE_KEYS):
        wrong = sorted(missing or extra, key=str)[0]
        raise ValueError(
            f"The keys of a state must be those of 'state_dict'. "
            f"Got {'none' if missing else 'more'} of {wrong!r} instead."
        )
    tolerance = _real(state, "tolerance", 0.0, 1.0, or_nan=True)
    found = EngineState(
        temperature_K=_positive(state, "temperature_K"),
        attempt_frequency_Hz=_positive(state, "attempt_frequency_Hz"),
        tolerance=None if math.isnan(tolerance) else tolerance,
        reach=_integer(state, "reach", 1, 2),
        bit_generator=_generator_state(state),
        potential_V=_array(state, "potential_V", np.float64, land.n_sites),
        clock=EngineClock(
            time_s=_real(state, "time_s"),
            time_carry_s=_real(state, "time_carry_s", -math.inf),
            since_edge_s=_real(state, "since_edge_s"),
            target_s=_real(state, "target_s"),
            stride_trials=_integer(state, "stride_trials", 0, TRIALS_PER_STRIDE - 1, default=0),
            stride_elapsed_s=_real(state, "stride_elapsed_s", default=0.0),
        ),
        window=_window(state, math.isnan(tolerance)),
        kernel=_kernel(land, state),
    )
    if tolerance in (0.0, 1.0):
        _refuse("tolerance", "NaN or lie between 0 and 1", tolerance)
    if not np.isfinite(found.potential_V).all():
        _refuse("potential_V", "finite", "NaN or infinity")
    _check_times(found)
    _check_window(found)
    _check_random_block(found)
    return found


def _kernel(land: Landscape, state: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to the kernel; the event list is compared there."""
    occupied = _array(state, "kernel_occupied", np.bool_, land.n_sites)
    oxygens = int(np.count_nonzero(occupied))
    listed = _integer(state, "oxygens", 0, land.n_sites, default=oxygens)
    if listed != oxygens:
        _refuse("oxygens", f"the {oxygens} of 'kernel_occupied'", listed)
    hops = _integer(state, "kernel_hops", 0, _MOST_COUNT)
    trials = _integer(state, "kernel_trials", hops, _MOST_COUNT)
    wait = _array(state, "kernel_block_wait", np.float64, BLOCK)
    if not (np.isfinite(wait).all() and (wait >= 0).all()):
        _refuse("kernel_block_wait", "finite and not negative", wait.min())
    return {
        "occupied": occupied,
        "members": _array(state, "kernel_members", np.int32),
        "counts": _array(state, "kernel_counts", np.int32, 1024),
        "anchor": _integer(state, "kernel_anchor", 0, 255),
        "gamma": _integer(state, "kernel_gamma", -MOST_GAMMA_STEPS, MOST_GAMMA_STEPS),
        "hops": hops,
        "trials": trials,
        "block_next": _integer(state, "kernel_block_next", 0, BLOCK),
        "block_word": _array(state, "kernel_block_word", np.uint64, _WORDS),
        "block_wait": wait,
    }


def _window(state: Mapping[str, Any], exact: bool) -> int | None:
    pending = state["edge_pending"]
    if not isinstance(pending, (bool, np.bool_)):
        _refuse("edge_pending", "a boolean", pending)
    if pending or exact:
        window = _integer(state, "window", 0, 0)
    else:
        window = _integer(state, "window", window_of(SHORTEST_S), window_of(LONGEST_S))
    return None if pending else window


def _check_times(state: EngineState) -> None:
    clock = state.clock
    if abs(clock.time_carry_s) > 2.0**-50 * clock.time_s:
        _refuse("time_carry_s", "a rounding error of 'time_s'", clock.time_carry_s)
    # The two are sums of the same terms, rounded in different ways.
    if clock.since_edge_s > clock.time_s * (1 + 1e-6):
        _refuse("since_edge_s", f"at most the 'time_s' of {clock.time_s}", clock.since_edge_s)
    if clock.target_s < clock.since_edge_s:
        _refuse("target_s", f"at least the 'since_edge_s' of {clock.since_edge_s}", clock.target_s)
    if state.window is None and clock.target_s:
        _refuse("target_s", "0 while 'edge_pending' is set", clock.target_s)
    if clock.stride_elapsed_s > clock.target_s - clock.since_edge_s:
        _refuse("stride_elapsed_s", "before 'target_s'", clock.stride_elapsed_s)
    if clock.stride_trials > state.kernel["trials"]:
        _refuse("stride_trials", "at most 'kernel_trials'", clock.stride_trials)
    if clock.since_edge_s == clock.target_s and clock.stride_trials:
        _refuse("stride_trials", "0 when 'target_s' is reached", clock.stride_trials)
    if not clock.stride_trials and clock.stride_elapsed_s:
        _refuse("stride_elapsed_s", "0 without 'stride_trials'", clock.stride_elapsed_s)


def _check_window(state: EngineState) -> None:
    if state.window is None:
        return
    clock, gamma = state.clock, state.kernel["gamma"]
    if state.tolerance is None:
        if gamma:
            _refuse("kernel_gamma", "0 in exact mode", gamma)
        return
    if clock.target_s > LONGEST_S:
        _refuse("target_s", f"at most {LONGEST_S:g} s in capped mode", clock.target_s)
    steps = gamma_steps(state.tolerance, state.window)
    if gamma != steps:
        _refuse("kernel_gamma", f"that of the 'window', {steps}", gamma)
    end_s = window_start_s(state.window + 1)
    if clock.since_edge_s + clock.stride_elapsed_s > end_s * (1 + 1e-12):
        _refuse("window", f"one that holds {clock.since_edge_s} s after the edge", state.window)


def _generator_state(state: Mapping[str, Any]) -> Any:
    """The state of the bit generator, from its JSON."""
    text = state["bit_generator"]
    try:
        found = json.loads(text)
        inner = found["state"]
        fits = (
            found.keys() == {"bit_generator", "state", "has_uint32", "uinteger"}
            and inner.keys() == {"state", "inc"}
            and found["bit_generator"] == _GENERATOR
            and all(type(value) is int and 0 <= value < 1 << 128 for value in inner.values())
            and inner["inc"] % 2 == 1
            and (found["has_uint32"], found["uinteger"]) == (0, 0)
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fits = False
    if not fits:
        _refuse("bit_generator", f"the state of a {_GENERATOR} as JSON", _short(text))
    return found


def _check_random_block(state: EngineState) -> None:
    """The unused numbers of the block must be the last that the bit generator has drawn."""
    if state.kernel["block_next"] == BLOCK:
        return
    generator = np.random.PCG64DXSM()
    generator.state = state.bit_generator
    most = _WORDS + BLOCK + _MOST_EXTRA_WORDS
    generator.advance(-most)
    drawn = generator.random_raw(most)
    word = state.kernel["block_word"]
    # The rejections of the exponential distribution make the length of a block random.
    for start in np.flatnonzero(drawn[: _MOST_EXTRA_WORDS + 1] == word[0]).tolist():
        if np.array_equal(drawn[start : start + _WORDS], word):
            generator.advance(start + _WORDS - most)
            wait = np.random.Generator(generator).standard_exponential(BLOCK)
            if (
                np.array_equal(wait, state.kernel["block_wait"])
                and generator.state["state"] == state.bit_generator["state"]
            ):
                return
            _refuse("kernel_block_wait", "what the 'bit_generator' has drawn", "other numbers")
    _refuse("kernel_block_word", "what the 'bit_generator' has drawn", "other numbers")


def _array(
    state: Mapping[str, Any], key: str, dtype: type[np.generic], size: int | None = None
) -> NDArray[Any]:
    """A one-dimensional array of exactly this type and length, contiguous."""
    value = state[key]
    fits = isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1
    if not fits or (size is not None and value.size != size):
        shape = "one dimension" if size is None else f"shape ({size},)"
        got = (
            f"{value.dtype} of shape {value.shape}"
            if isinstance(value, np.ndarray)
            else _short(value)
        )
        _refuse(key, f"an array of {np.dtype(dtype).name} of {shape}", got)
    return np.ascontiguousarray(value)


def _integer(
    state: Mapping[str, Any], key: str, least: int, most: int, default: int | None = None
) -> int:
    value = state.get(key, default)
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= most:
        _refuse(key, f"an integer from {least} to {most}", _short(value))
    return int(value)


def _real(
    state: Mapping[str, Any],
    key: str,
    least: float = 0.0,
    most: float = math.inf,
    or_nan: bool = False,
    default: float | None = None,
) -> float:
    value = state.get(key, default)
    number = isinstance(value, (int, float, np.floating, np.integer))
    if not number or isinstance(value, bool):
        _refuse(key, "a number", _short(value))
    found = float(value)
    inside = least <= found <= most and math.isfinite(found)
    if not (inside or (or_nan and math.isnan(found))):
        _refuse(key, f"finite and from {least} to {most}", value)
    return found


def _positive(state: Mapping[str, Any], key: str) -> float:
    value = _real(state, key)
    if not value:
        _refuse(key, "positive", value)
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _refuse(key: str, wanted: str, got: object) -> NoReturn:
    raise ValueError(f"The {key!r} of a state must be {wanted}. Got {got} instead.")
