"""A small input, and running it in one process."""

import h5py

from kmc_oxy import inputs
from kmc_oxy.execution import Plan, assemble, run_serial
from kmc_oxy.storage import begin_or_resume

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
