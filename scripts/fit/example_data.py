"""Make inputs/fit_example.csv: the trains of inputs/fit_example.yaml on devices with hidden values.

    python scripts/fit/example_data.py > inputs/fit_example.csv

The hidden values are at the end of docs/fitting.md as well. The random numbers are not those of the
fit.
"""

import tempfile
from pathlib import Path

import yaml

from kmc_oxy import inputs
from kmc_oxy.analysis import legs
from kmc_oxy.execution import Plan, assemble, run_serial
from kmc_oxy.storage import begin_or_resume, open_output

FIT = Path(__file__).parents[2] / "inputs" / "fit_example.yaml"
HIDDEN = {
    "device.site_energy.first_layer_binding": "400 meV",
    "conductance.conductance_scale": "50 uS",
    "conductance.level_width": "70 meV",
}
MEMBERS, SEED = 64, 77


def main() -> None:
    fit = yaml.safe_load(FIT.read_text(encoding="utf-8"))
    content = {name: fit[name] for name in ("device", "conductance", "engine")}
    content["protocol"] = fit["conditioning"] + fit["experiments"]["trains"]["protocol"]
    content["ensemble"] = {"members": MEMBERS, "seed": SEED}
    settings = [f"{key}={value}" for key, value in HIDDEN.items()]
    plan = Plan(inputs.loads(yaml.safe_dump(content), settings))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "hidden.h5"
        work = begin_or_resume(output, plan.identity)
        run_serial(plan, work)
        assemble(plan, work)
        with open_output(output) as file:
            print("train,pulse,conductance (nS),error (nS)")
            for leg in legs(file, 0):
                if leg.kind == "train":
                    values_nS = 1e9 * leg.values(file, "conductance")
                    errors_nS = values_nS.std(axis=0, ddof=1) / MEMBERS**0.5
                    for row in zip(leg.pulse, values_nS.mean(axis=0), errors_nS, strict=True):
                        print("{:+g} V,{},{:.4g},{:.2g}".format(leg.voltage_V[-1], *row))


if __name__ == "__main__":
    main()
