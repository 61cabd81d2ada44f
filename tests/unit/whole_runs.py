"""Whole runs in this process, for tests of what is made of a finished file."""

from kmc_oxy import inputs
from kmc_oxy.execution import Plan, assemble, run_serial
from kmc_oxy.storage import begin_or_resume


def compute(folder, text, overrides=()):
    """Run an input given as text; the final file ``out.h5`` in `folder`."""
    plan = Plan(inputs.loads(text, overrides))
    work = begin_or_resume(folder / "out.h5", plan.identity)
    run_serial(plan, work)
    assemble(plan, work)
    return folder / "out.h5"
