"""Change every key of saved engine states in turn: no crash, no oxygen made or lost, no NaN.

    python scripts/verify/tampered_states.py [--cases 5000] [--seed 1]

Each case takes the state of a small engine (exact, or capped with reach 1 or 2; a lattice with rows
or patterns of neighbours, a complete graph, a graph with parallel bonds; before, within and after a
duration), changes one key or two, makes an engine from it and advances it. Cases run in
subprocesses. The exit code is 1 if one crashed, hung, raised anything but ValueError or
RuntimeError, or was accepted and then had another number of oxygens, a NaN or a negative time.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from subprocess_cases import run_cases

from kmc_oxy.physics import Engine, Landscape, Lattice
from kmc_oxy.physics import engine as engine_module

State = dict[str, Any]
MODES: tuple[tuple[float | None, int], ...] = ((None, 2), (0.3, 1), (0.3, 2))
GRAPHS = ("rows", "patterns", "complete", "parallel")
STAGES = ("at an edge", "within", "done")


def landscape(kind: str, rng: np.random.Generator) -> Landscape:
    if kind == "complete":
        n, bonds = 9, np.array(list(itertools.combinations(range(9), 2)))
    elif kind == "parallel":
        n, bonds = 6, np.array([(i, (i + 1) % 6) for i in range(6)] + [(1, 0), (3, 2)])
    else:
        lattice = Lattice(4, 3, 3, 1, 1e-9, 3e-9, 1e-9)
        n, bonds = lattice.n_sites, lattice.bonds
    barrier = rng.uniform(0, 0.4, len(bonds))
    return Landscape(rng.normal(0, 0.03, n), bonds, barrier, charge_e=-1)


def example(mode: int, graph: str, stage: str) -> tuple[Landscape, State]:
    """A landscape and the state of an engine on it."""
    rng = np.random.default_rng(mode)
    tolerance, reach = MODES[mode]
    land = landscape(graph, rng)
    occupied = np.zeros(land.n_sites, dtype=bool)
    occupied[rng.choice(land.n_sites, land.n_sites // 3, replace=False)] = True
    engine_module.STEP_S = 0.01
    engine_module.PATTERNS_FROM = 1 if graph == "patterns" else 20_000
    engine = Engine(land, occupied, temperature_K=300.0, tolerance=tolerance, reach=reach)
    duration_s = 1e-10 if tolerance is None else 1e-6
    engine.advance(duration_s, duration_s / 1e3)
    engine.set_potential(rng.normal(0, 0.05, land.n_sites))
    if stage != "at an edge":
        engine.begin(duration_s, duration_s / 1e3)
        engine_module.TRIALS_PER_CALL = 20 if stage == "within" else 1 << 18
        engine.step()
        engine_module.TRIALS_PER_CALL = 1 << 18
        while stage == "done" and not engine.step():
            pass
    return land, engine.state_dict()


def changed_number(value: float, rng: np.random.Generator) -> Any:
    kind = int if isinstance(value, int) else float
    choices: list[Callable[[], Any]] = [
        lambda: float("nan"),
        lambda: float(rng.choice([-1, 1])) * float("inf"),
        lambda: -value - 1,
        lambda: 0,
        lambda: 0.0,
        lambda: kind(value) + 1,
        lambda: kind(value) - 1,
        lambda: 2 * value,
        lambda: value / 2,
        lambda: 1e300,
        lambda: 5e-324,
        lambda: -0.0,
        lambda: 1 << 63,
        lambda: 10.0 ** rng.uniform(-300, 300),
        lambda: -(10.0 ** rng.uniform(-300, 300)),
        lambda: int(rng.integers(-(2**62), 2**62)),
        lambda: str(value),
        lambda: None,
        lambda: [value],
        lambda: np.array([value, value]),
        lambda: not value,
        lambda: value * (1 + 1e-12),
    ]
    return choices[rng.integers(len(choices))]()


def changed_array(value: np.ndarray, rng: np.random.Generator) -> Any:
    new = value.copy()
    if new.size and rng.random() < 0.5:
        at = rng.integers(new.size, size=rng.integers(1, 3))
        if new.dtype == bool:
            new[at] ^= True
        elif new.dtype == np.float64:
            new[at] = rng.choice([np.nan, -1.0, 0.0, 1e300, np.inf, 0.1, 5e-324])
        else:
            edge = np.iinfo(new.dtype)
            far = [edge.min, edge.max, 0, 1, new.size]
            near = [int(v) for v in new[at[:1]]]
            new[at] = rng.choice(np.array(far + near, dtype=object)) if rng.random() < 0.5 else (
                new[at] + new.dtype.type(1)
            )  # fmt: skip
        return new
    choices: list[Callable[[], Any]] = [
        lambda: new * 0,
        lambda: rng.permutation(new),
        lambda: new[::-1],
        lambda: np.sort(new),
        lambda: new[:-1],
        lambda: new[: len(new) // 2],
        lambda: new[:0],
        lambda: np.concatenate([new, new[:1]]),
        lambda: np.concatenate([new, new]),
        lambda: np.roll(new, 1),
        lambda: new.astype(rng.choice(["f4", "f8", "i4", "i8", "u8", "u1", "O", "c16", "U8"])),
        lambda: new[:, None],
        lambda: new[None, :],
        lambda: np.stack([new, new], axis=1)[:, 0],
        lambda: new.tolist(),
        lambda: new.tobytes(),
        lambda: None,
        lambda: np.ones_like(new),
        lambda: np.full_like(new, new.max() if new.size else 0),
    ]
    return choices[rng.integers(len(choices))]()


def changed_text(value: str, rng: np.random.Generator) -> Any:
    at = int(rng.integers(len(value)))
    choices: list[Callable[[], Any]] = [
        lambda: value[:at],
        lambda: value[:at] + str(rng.integers(10)) + value[at + 1 :],
        lambda: value[:at] + value[at + 1 :],
        lambda: value.replace("DXSM", ""),
        lambda: value.replace('"inc": ', '"inc": -'),
        lambda: value.replace('"state": {', '"state": {"more": 1, '),
        lambda: value.replace('"has_uint32": 0', '"has_uint32": 1'),
        lambda: "[" * 100_000,
        lambda: "null",
        lambda: "",
        lambda: 7,
        lambda: value.encode(),
    ]
    return choices[rng.integers(len(choices))]()


def changed(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, np.ndarray):
        return changed_array(value, rng)
    return changed_text(value, rng) if isinstance(value, str) else changed_number(value, rng)


def tampered(state: State, key: str, others: Iterator[State], rng: np.random.Generator) -> State:
    new = dict(state)
    kind = rng.random()
    if kind < 0.05:
        del new[key]
    elif kind < 0.08:
        new[f"{key}s"] = new[key]
    elif kind < 0.2:
        new[key] = next(others)[key]  # of another engine or moment
    elif kind < 0.25:
        other = str(rng.choice(list(state)))
        new[key], new[other] = state[other], state[key]
    else:
        new[key] = changed(state[key], rng)
        if kind < 0.45:
            other = str(rng.choice(list(state)))
            new[other] = changed(state[other], rng)
    return new


def outcome(land: Landscape, new: State, state: State, key: str) -> str:
    """What becomes of an engine with this state; `state` and `key` are what was changed."""
    try:
        engine = Engine.from_state(land, new)
    except ValueError as error:
        named = str(error).startswith("The ")
        return "refused" if named else f"raised another error: {key}: {error!r}"
    except Exception as error:
        return f"raised another error: {key}: {error!r}"
    accepted = "accepted and conserved"
    try:
        for _ in range(3):
            if not engine.pending:
                engine.begin(1e-11 if engine.tolerance is None else 1e-7)
            for _ in range(20):
                if engine.step():
                    break
    except (ValueError, RuntimeError):
        accepted = "refused later"
    except Exception as error:
        return f"raised another error: {key}: {error!r}"
    times = engine.time_s, engine.since_edge_s
    right = (
        engine.occupied.sum() == state["kernel_occupied"].sum()
        and all(0 <= value < float("inf") for value in times)
        and engine.hops >= 0
    )
    return accepted if right else f"wrong: {key}"


def prepared(seed: int) -> Callable[[int], str]:
    examples = [example(*each) for each in itertools.product(range(len(MODES)), GRAPHS, STAGES)]

    def result(case: int) -> str:
        rng = np.random.default_rng((seed, case))
        land, state = examples[rng.integers(len(examples))]
        key = list(state)[case % len(state)]
        others = (examples[k][1] for k in rng.integers(len(examples), size=3))
        new = tampered(state, key, others, rng)
        return outcome(land, new, state, key)

    return result


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, prepared))
