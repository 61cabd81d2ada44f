"""The peer of hops.py: single-species hopping with exclusion in kmos, one process a lattice.

    KMOS_PYTHON scripts/bench/kmos_hops.py FOLDER SIZE

Started by hops.py, in the interpreter that has kmos (`pip install python-kmos` and gfortran).
Generates the model in FOLDER if it is not there yet, fills a tenth of a periodic cube, says which
version it is, and then answers every number of hops on its input with the seconds they took.
"""

import contextlib
import importlib.metadata
import os
import sys
import time
from pathlib import Path

import numpy as np

STEPS = {
    "x_up": (1, 0, 0), "x_down": (-1, 0, 0), "y_up": (0, 1, 0), "y_down": (0, -1, 0),
    "z_up": (0, 0, 1), "z_down": (0, 0, -1),
}  # fmt: skip


def build(folder: Path) -> None:
    """Write and compile the model, with the backend that is fastest for so few processes."""
    from kmos.types import Action, Condition, Layer, Project, Site

    project = Project()
    project.set_meta(
        author="kmc_oxy", email="nobody@example.org", model_name="hopping", model_dimension=3
    )
    project.add_species(name="empty", color="#ffffff")
    project.add_species(name="oxygen", color="#ff0000")
    layer = Layer(name="cube")
    layer.sites.append(Site(name="site", pos="0.5 0.5 0.5", default_species="empty"))
    project.add_layer(layer)
    project.lattice.cell = np.eye(3)
    project.add_parameter(name="rate", value=1e6)
    for name, (x, y, z) in STEPS.items():
        here = project.lattice.generate_coord("site.(0,0,0).cube")
        there = project.lattice.generate_coord(f"site.({x},{y},{z}).cube")
        project.add_process(
            name=name,
            rate_constant="rate",
            conditions=[
                Condition(coord=here, species="oxygen"), Condition(coord=there, species="empty")
            ],
            actions=[Action(coord=here, species="empty"), Action(coord=there, species="oxygen")],
        )  # fmt: skip
    os.chdir(folder)
    project.save("hopping.xml")
    # kmos asks on its input whether to download thermochemical tables, which nothing here needs.
    reading, writing = os.pipe()
    os.write(writing, b"n\n")
    os.close(writing)
    kept = os.dup(0)
    os.dup2(reading, 0)
    import kmos.cli

    kmos.cli.main("export -b local_smart hopping.xml model")
    os.dup2(kept, 0)


def main() -> None:
    folder, size = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the compiler's messages are no answers
    if not (folder / "model" / "kmc_settings.py").exists():
        build(folder)
    os.chdir(folder / "model")
    sys.path.insert(0, str(folder / "model"))
    from kmos.run import KMC_Model

    model = KMC_Model(size=[size] * 3, banner=False, print_rates=False)
    empty, oxygen = model.proclist.empty, model.proclist.oxygen
    filled = np.random.default_rng(1).random((size, size, size)) < 0.1
    for x, y, z in np.argwhere(filled).tolist():
        model.lattice.replace_species([x, y, z, 1], empty, oxygen)
    for x, y, z in np.ndindex(filled.shape):
        model.proclist.touchup_cube_site([x, y, z, 1])
    model.base.update_accum_rate()
    version = "?"
    for name in ("python-kmos", "kmos"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(name)
            break
    print(version, file=answers, flush=True)
    for line in sys.stdin:
        start = time.process_time()
        model.do_steps(int(line))
        print(time.process_time() - start, file=answers, flush=True)


if __name__ == "__main__":
    main()
