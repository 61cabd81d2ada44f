"""Saved states: checked before they are used, copied and pickled, the same wherever steps end."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kmc_oxy.physics import Engine, Landscape, Lattice, engine_clock
from kmc_oxy.physics import engine as engine_module

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts" / "verify"


def lattice_engine(tolerance, reach=2, seed=0):
    rng = np.random.default_rng(seed)
    lattice = Lattice(4, 4, 3, 1, 1e-9, 3e-9, 1e-9)
    n, bonds = lattice.n_sites, lattice.bonds
    land = Landscape(rng.normal(0, 0.03, n), bonds, rng.uniform(0, 0.4, len(bonds)), charge_e=-1)
    return Engine(land, rng.random(n) < 0.3, temperature_K=300.0, tolerance=tolerance, reach=reach)


def duration_s(engine):
    return 1e-10 if engine.tolerance is None else 1e-6


def within_a_duration(monkeypatch, tolerance, reach=2):
    """An engine that has made 40 trials of a duration."""
    engine = lattice_engine(tolerance, reach)
    engine.advance(duration_s(engine))
    engine.set_potential(0.01 * np.arange(engine.landscape.n_sites) % 0.05)
    engine.begin(duration_s(engine), duration_s(engine) / 1000)
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "TRIALS_PER_CALL", 40)
        assert not engine.step()
    return engine


def finished(engine):
    """State at the end of the present duration and another one."""
    while not engine.step():
        pass
    engine.advance(duration_s(engine))
    return engine.state_dict()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


MODES = pytest.mark.parametrize(("tolerance", "reach"), [(None, 2), (0.3, 1), (0.3, 2)])


@MODES
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))]
)
def test_a_copy_continues_alike_and_shares_nothing(monkeypatch, tolerance, reach, copied):
    engine = within_a_duration(monkeypatch, tolerance, reach)
    before = engine.state_dict()
    other = copied(engine)
    end = finished(other)
    assert_same(engine.state_dict(), before)
    assert_same(finished(engine), end)
    assert engine.hops > 100


@MODES
def test_results_do_not_depend_on_where_steps_end(monkeypatch, tolerance, reach):
    ends = []
    for trials, stride in ((1, 64), (7, 64), (1 << 18, 64)):
        monkeypatch.setattr(engine_module, "TRIALS_PER_CALL", trials)
        # Several strides: elapsed time is added to the times in between.
        monkeypatch.setattr(engine_clock, "TRIALS_PER_STRIDE", stride)
        engine = lattice_engine(tolerance, reach)
        engine.begin(duration_s(engine), duration_s(engine) / 1000)
        ends.append(finished(engine))
        assert engine.trials > 500
    assert_same(ends[0], ends[1])
    assert_same(ends[0], ends[2])


def test_a_state_without_the_stride_is_taken():
    """As written before times were added in strides: at the end of a stride."""
    engine = lattice_engine(0.3)
    engine.advance(1e-6)
    state = engine.state_dict()
    older = {
        key: value
        for key, value in state.items()
        if key not in ("oxygens", "stride_trials", "stride_elapsed_s")
    }
    assert_same(Engine.from_state(engine.landscape, older).state_dict(), state)


def an_oxygen_more(state):
    empty = np.flatnonzero(~state["kernel_occupied"])[0]
    state["kernel_occupied"] = state["kernel_occupied"].copy()
    state["kernel_occupied"][empty] = True


def two_listed_twice(state):
    state["kernel_members"] = state["kernel_members"].copy()
    state["kernel_members"][1] = state["kernel_members"][0]


def listed_out_of_range(state):
    state["kernel_members"] = state["kernel_members"] + np.int32(10**6)


def nothing_listed(state):
    state["kernel_members"] = state["kernel_members"][:0]
    state["kernel_counts"] = 0 * state["kernel_counts"]


def counts_too_large(state):
    state["kernel_counts"] = state["kernel_counts"] + np.int32(2**30)


def other_words(state):
    state["kernel_block_word"] = state["kernel_block_word"][::-1]


def other_waits(state):
    state["kernel_block_wait"] = 2 * state["kernel_block_wait"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (an_oxygen_more, "'oxygens'"),
        (two_listed_twice, "'kernel_members'"),
        (listed_out_of_range, "'kernel_members'"),
        (nothing_listed, "'kernel_counts'"),
        (counts_too_large, "'kernel_counts'"),
        (other_words, "'kernel_block_word'"),
        (other_waits, "'kernel_block_wait'"),
        ({"kernel_block_next": 513}, "'kernel_block_next'"),
        ({"kernel_block_next": -1}, "'kernel_block_next'"),
        ({"kernel_anchor": 5}, "'kernel_anchor'"),
        ({"kernel_anchor": -1}, "'kernel_anchor'"),
        ({"kernel_gamma": 1}, "'kernel_gamma'"),
        ({"kernel_hops": -1}, "'kernel_hops'"),
        ({"kernel_trials": 0}, "'kernel_trials'"),
        ({"window": 3}, "'kernel_gamma'"),
        ({"time_s": np.nan}, "'time_s'"),
        ({"time_carry_s": 1.0}, "'time_carry_s'"),
        ({"since_edge_s": -1.0}, "'since_edge_s'"),
        ({"target_s": 0.0}, "'target_s'"),
        ({"stride_elapsed_s": 1.0}, "'stride_elapsed_s'"),
        ({"stride_trials": 1 << 18}, "'stride_trials'"),
        ({"temperature_K": 0.0}, "'temperature_K'"),
        ({"tolerance": 1.5}, "'tolerance'"),
        ({"reach": 3}, "'reach'"),
        ({"bit_generator": "{}"}, "'bit_generator'"),
        ({"edge_pending": 1}, "'edge_pending'"),
        ({"potential_V": np.zeros(3)}, "'potential_V'"),
        ({"more": 1}, "'more'"),
    ],
)
def test_a_changed_state_is_refused_by_the_name_of_the_key(monkeypatch, change, message):
    engine = within_a_duration(monkeypatch, 0.3)
    state = engine.state_dict()
    if callable(change):
        change(state)
    else:
        state |= change
    with pytest.raises(ValueError, match=message):
        Engine.from_state(engine.landscape, state)


@pytest.mark.parametrize("key", sorted(lattice_engine(None).state_dict()))
def test_a_missing_key_is_refused(key):
    engine = lattice_engine(None)
    state = engine.state_dict()
    del state[key]
    with pytest.raises(ValueError, match="state"):
        Engine.from_state(engine.landscape, state)


def test_a_state_of_another_temperature_is_refused(monkeypatch):
    """Its rates belong to other groups of the event list."""
    engine = within_a_duration(monkeypatch, None)
    state = engine.state_dict() | {"temperature_K": 150.0}
    with pytest.raises(ValueError, match="'kernel_counts'"):
        Engine.from_state(engine.landscape, state)


@pytest.mark.parametrize(
    ("script", "cases"), [("tampered_states.py", 400), ("extreme_engines.py", 300)]
)
def test_random_cases_neither_crash_nor_hang_nor_lose_oxygen(script, cases):
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, "--cases", str(cases), "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused" in done.stdout


def test_a_step_follows_the_cost_of_a_trial(monkeypatch):
    """On a complete graph with reach 2 a trial costs up to 1000 times one on a lattice."""
    engine = lattice_engine(None)
    now_s = [0.0]
    cost_s = 3e-4

    class SlowKernel:
        """The same kernel, on a clock that charges a fixed cost a trial."""

        def __init__(self, kernel):
            self.kernel = kernel

        def __getattr__(self, name):
            return getattr(self.kernel, name)

        def run(self, *arguments):
            before = self.kernel.trials
            found = self.kernel.run(*arguments)
            now_s[0] += cost_s * (self.kernel.trials - before)
            return found

    engine._kernel = SlowKernel(engine._kernel)
    monkeypatch.setattr(engine_module.time, "perf_counter", lambda: now_s[0])
    engine.begin(1.0)
    for _ in range(5):
        start_s, trials = now_s[0], engine.trials
        assert not engine.step()
        assert now_s[0] - start_s < 4 * engine_module.STEP_S
        assert engine.trials - trials >= 64
    assert now_s[0] - start_s < 1.6 * engine_module.STEP_S
