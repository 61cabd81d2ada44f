import json
import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from kmc_oxy import inputs
from kmc_oxy.execution import Plan, assemble, estimate, run_serial
from kmc_oxy.execution import cost as estimate_module
from kmc_oxy.execution.assembly import resolved_value
from kmc_oxy.execution.tasks import CHECK_FACTOR, CHECKED_MEMBERS, Task
from kmc_oxy.process import Interrupted, StopRequest
from kmc_oxy.protocol import ProtocolError
from kmc_oxy.simulation import Simulation
from kmc_oxy.storage import StoreError, WorkFolder, begin_or_resume, open_output

ROOT = Path(__file__).parents[3]
#: A coarse cap is enough for a number of hops.
COARSE = ("ensemble.members=2", "engine.tolerance=0.1")
TEXT = """
name: a test
device: {lattice: {nx: 6, ny: 5}}
protocol:
  - pulse: {voltage: 3 V, duration: 10 ms}
  - train: {voltage: -2 V, duration: 1 ms, count: 3}
scan:
  protocol.1.train.count: [3, 5]
  device.temperature: [76 K, 100 K]
ensemble: {members: 2, seed: 11}
engine: {tolerance: 0.1}
"""


def plan_of(text=TEXT, *overrides):
    return Plan(inputs.loads(text, overrides))


def compute(plan, output, **options):
    work = begin_or_resume(output, plan.identity)
    try:
        run_serial(plan, work, **options)
        assemble(plan, work)
    finally:
        work.release()
    return output


def datasets(path):
    """Bytes of all datasets but wall times."""
    with h5py.File(path, "r") as file:
        return {
            name: (item.shape, str(item.dtype), item[()].tobytes())
            for name, item in file.items()
            if "wall" not in name and not h5py.check_string_dtype(item.dtype)
        }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return compute(plan_of(), tmp_path_factory.mktemp("run") / "out.h5")


def test_tasks_are_numbered_in_order():
    plan = plan_of(TEXT, "engine.check_tolerance=true", "ensemble.members=6")
    tasks = list(plan.tasks())
    assert [task.index for task in tasks] == list(range(plan.n_tasks))
    assert plan.n_tasks == 4 * (6 + CHECKED_MEMBERS)
    assert tasks[7] == plan.task(1, 1) == Task(7, 1, 1)
    assert tasks[-1] == plan.task(3, CHECKED_MEMBERS - 1, coarse=True)
    assert plan.tolerance(tasks[0]) == 0.1
    assert plan.tolerance(tasks[-1]) == pytest.approx(CHECK_FACTOR * 0.1)


def test_exact_runs_have_no_tolerance_to_check():
    plan = plan_of(TEXT, "engine.algorithm=exact", "engine.check_tolerance=true")
    assert plan.n_tasks == 8 and plan.tolerance(plan.task(0, 0)) is None


def test_the_file_is_that_of_the_contract(finished):
    with xarray.open_dataset(finished) as data:
        per_cell = ("point", "member", "row", "column", "reading")
        dims = {
            "time": ("point", "reading"),
            "pulse": ("point", "reading"),
            "step": ("point", "reading"),
            "voltage": ("point", "row", "column", "reading"),
            "conductance": per_cell,
            "magnetoresistance": per_cell,
            "oxygen_organic": per_cell,
            "profile": (*per_cell, "layer"),
            "hops": per_cell,
        }
        for name, expected in dims.items():
            assert data[name].dims == expected
            assert data[name].attrs["units"] and data[name].attrs["long_name"]
        assert data["conductance"].attrs["units"] == "S" and data["time"].attrs["units"] == "s"
        assert data.sizes == {
            "point": 4, "member": 2, "row": 1, "column": 1, "reading": 7, "layer": 14,
            "snapshot": 2, "oxygen": round(0.075 * 6 * 5 * 14),
        }  # fmt: skip
        for name in (
            "schema_version", "kmc_oxy_version", "input_yaml", "resolved", "seed", "mpi_size",
            "versions", "created", "complete",
        ):  # fmt: skip
            assert name in data.attrs
        assert data.attrs["input_yaml"] == TEXT and data.attrs["seed"] == 11
        assert json.loads(data.attrs["resolved"])["device"]["lattice"]["nx"] == 6
        assert (data["wall_time"] > 0).all()

        # Points with three pulses have two readings less than those with five.
        assert np.isnan(data["conductance"][:2, ..., 5:]).all()
        assert (data["hops"][:2, ..., 5:] == -1).all() and (data["pulse"][:2, 5:] == -1).all()
        assert np.isfinite(data["conductance"][:2, ..., :5]).all()
        assert np.isfinite(data["conductance"][2:]).all()
        assert data["pulse"][3].values.tolist() == [1, 0, 1, 2, 3, 4, 5]
        assert data["voltage"][3, 0, 0].values.tolist() == [3, 3, -2, -2, -2, -2, -2]
        assert data["scan:protocol.1.train.count"].values.tolist() == [3, 3, 5, 5]
        assert data["scan:device.temperature"].values.tolist() == [76, 100, 76, 100]
        assert data["scan:device.temperature"].attrs["units"] == "K"


def test_each_task_stands_where_it_belongs(finished):
    plan = plan_of()
    task = plan.task(3, 1)
    simulation = Simulation(
        plan.point(3), plan.schedule(3), point=3, member=1, seed=11, tolerance=0.1
    )
    for _ in simulation.run():
        pass
    with open_output(finished) as file:
        for name, array in simulation.record.items():
            np.testing.assert_array_equal(file[name][task.point, task.member], array)


def test_the_work_folder_is_gone(finished):
    assert os.listdir(finished.parent) == ["out.h5"]


@pytest.mark.parametrize("stop_after", [1, 4, 30])
def test_stopped_and_resumed_it_is_the_same(finished, tmp_path, stop_after):
    output = tmp_path / "out.h5"
    sessions = 0
    while not output.exists():
        calls = iter(range(stop_after))
        try:
            compute(plan_of(), output, stop=lambda calls=calls: next(calls, None) is None)
        except Interrupted:
            sessions += 1
        assert sessions < 1000
    assert sessions >= 2
    assert datasets(output) == datasets(finished)


def test_checkpoints_on_a_cadence_do_not_change_anything(finished, tmp_path, monkeypatch):
    saved = []
    save = WorkFolder.save_checkpoint
    monkeypatch.setattr(
        WorkFolder,
        "save_checkpoint",
        lambda self, index, state: (saved.append(index), save(self, index, state)),
    )
    compute(plan_of(), tmp_path / "out.h5", cadence_s=0.0)
    assert len(saved) > 50 and set(saved) == set(range(8))
    assert datasets(tmp_path / "out.h5") == datasets(finished)


def test_tasks_may_be_done_in_any_order(finished, tmp_path):
    from kmc_oxy.execution.serial_run import run_task

    plan = plan_of()
    work = begin_or_resume(tmp_path / "out.h5", plan.identity)
    for task in reversed(list(plan.tasks())):
        run_task(plan, task, work, 11, stop=lambda: False, watch=lambda simulation: None)
    assemble(plan, work, mpi_size=3)
    assert datasets(tmp_path / "out.h5") == datasets(finished)
    with open_output(tmp_path / "out.h5") as file:
        assert file.attributes["mpi_size"] == 3


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "foreign"])
def test_a_lost_or_damaged_task_is_an_error_and_can_be_redone(finished, tmp_path, damage):
    plan, output = plan_of(), tmp_path / "out.h5"
    work = begin_or_resume(output, plan.identity)
    run_serial(plan, work)
    path = work.path / "tasks" / "0000003.npz"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"NUMPY", len(content) // 2) + 300
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.write_bytes((work.path / "manifest.json").read_bytes())
    with pytest.raises(StoreError, match=r"0000003\.npz|1 of 8 tasks"):
        assemble(plan, work)
    work.release()
    assert not output.exists() and len(os.listdir(work.path / "tasks")) >= 7
    path.unlink(missing_ok=True)
    compute(plan, output)
    assert datasets(output) == datasets(finished)


def test_a_damaged_checkpoint_costs_only_time(finished, tmp_path):
    plan, output = plan_of(), tmp_path / "out.h5"
    calls = iter(range(10))
    with pytest.raises(Interrupted):
        compute(plan, output, stop=lambda: next(calls, None) is None)
    (path,) = (WorkFolder(output).path / "checkpoints").iterdir()
    path.write_bytes(b"not a checkpoint")
    compute(plan, output)
    assert datasets(output) == datasets(finished)


def test_comments_do_not_make_another_input():
    first = plan_of()
    same = plan_of("# a comment\n" + TEXT.replace("10 ms", "0.01"))
    assert same.identity.input_hash == first.identity.input_hash
    assert same.identity.input_yaml != first.identity.input_yaml
    assert plan_of(TEXT, "ensemble.seed=12").identity.input_hash == first.identity.input_hash
    assert plan_of(TEXT, "ensemble.seed=12").identity.seed == 12
    for change in ("ensemble.members=3", "device.lattice.nx=7", "scan.device.temperature=[76]"):
        assert plan_of(TEXT, change).identity.input_hash != first.identity.input_hash


def test_the_tolerance_check_is_stored(tmp_path):
    text = TEXT.split("scan:")[0] + "ensemble: {members: 3, seed: 2}\n"
    plan = plan_of(text, "engine.check_tolerance=true", "engine.tolerance=0.1")
    output = compute(plan, tmp_path / "out.h5")
    coarse = plan_of(text, f"engine.tolerance={CHECK_FACTOR * 0.1!r}")
    reference = compute(coarse, tmp_path / "coarse.h5")
    with open_output(output) as file, open_output(reference) as other:
        for name in ("conductance", "oxygen_organic"):
            error = file[f"tolerance_error_{name}"]
            assert file.dimensions_of(error.name[1:]) == ["point", "row", "column", "reading"]
            expected = (other[name][:].astype(float) - file[name][:]).mean(axis=1)
            np.testing.assert_allclose(error[:], expected, rtol=1e-12, atol=1e-30)
            assert np.abs(expected).max() > 0
        assert file["tolerance_error_profile"].shape[-1] == 14
        assert file["conductance"].shape[1] == 3


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    compute(plan_of(), tmp_path / "out.h5", report=seen.append)
    assert seen[-1].done == seen[-1].tasks == 8 and seen[-1].fraction == 1
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    with open_output(tmp_path / "out.h5") as file:
        hops = file["hops"][:]
        assert seen[-1].hops == hops.max(axis=-1).sum()


def test_a_signal_stops_between_kernel_calls(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().active() as stop:

        def send(progress):
            if progress.done == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            compute(plan_of(), tmp_path / "out.h5", stop=stop, report=send)
        with pytest.raises(Interrupted, match="SIGTERM"):
            stop.raise_if_received()
    assert signal.getsignal(signal.SIGTERM) is before
    assert WorkFolder(tmp_path / "out.h5").finished() >= {0, 1, 2}


def test_a_protocol_that_cannot_be_carried_out_is_refused():
    with pytest.raises(ProtocolError, match="must contain a reading"):
        plan_of("protocol: [{pulse: {voltage: 1 V, duration: 1 s, read: false}}]").check()


def test_resolved_values():
    plan = plan_of(TEXT.replace("[76 K, 100 K]", "[77 K]"))
    assert resolved_value(plan.point(0), "device.temperature") == (77.0, "K")
    assert resolved_value(plan.point(1), "protocol.1.train.count") == (5, "1")
    assert resolved_value(plan.point(0), "protocol.0.pulse.rest.duration") == (0.05, "s")
    value, _ = resolved_value(plan.point(0), "device.barriers.bulk")
    assert value.high == 0.2


@pytest.mark.parametrize(
    ("protocol", "engine", "factor"),
    [
        ("[{relax: {duration: 100}}]", "capped", 4),
        ("[{relax: {duration: 100, voltage: 0}}]", "capped", 4),
        ("[{pulse: {voltage: 4, duration: 1}}]", "capped", 4),
        ("[{train: {voltage: 2, duration: 1 ms, count: 10}}]", "capped", 4),
        ("[{pulse: {voltage: -4, duration: 100 ns, rest: null}}]", "exact", 30),
    ],
)
def test_the_estimate_of_the_hops(protocol, engine, factor):
    plan = plan_of(
        f"device: {{lattice: {{nx: 12, ny: 12}}}}\nprotocol: {protocol}\n"
        f"ensemble: {{seed: 1}}\nengine: {{algorithm: {engine}}}\n"
    )
    simulation = Simulation(
        plan.point(0),
        plan.schedule(0),
        point=0,
        member=0,
        seed=1,
        tolerance=plan.tolerance(plan.task(0, 0)),
    )
    for _ in simulation.run():
        pass
    cost = estimate(plan)
    assert 1 / factor < cost.hops / simulation.hops < factor
    assert cost.sites == 12 * 12 * 14 and cost.oxygens == round(0.075 * cost.sites)


@pytest.mark.parametrize("name", ["quickstart", "calibrated"])
def test_the_estimate_follows_the_oxygens_to_the_electrodes(name):
    """There the calibrated set makes a hundredth of the hops of oxygens at random places."""
    plan = Plan(inputs.load(ROOT / "inputs" / f"{name}.yaml", COARSE))
    hops = 0
    for member in (0, 1):
        simulation = Simulation(
            plan.point(0), plan.schedule(0), point=0, member=member, seed=1,
            tolerance=plan.tolerance(plan.task(0, member)),
        )  # fmt: skip
        for _ in simulation.run():
            pass
        hops += simulation.hops
    assert 1 / 2 < estimate(plan).hops / hops < 2


def test_an_estimate_without_room_for_a_trial_run(monkeypatch):
    plan = plan_of("protocol: [{pulse: {voltage: -4, duration: 1 s}}]")
    followed = estimate(plan).hops
    monkeypatch.setattr(estimate_module, "TRIAL_RUN_TRIALS", 0)
    assert 1 / 6 < estimate(plan).hops / followed < 6
    assert estimate(plan).hops != followed
