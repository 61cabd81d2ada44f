"""A fit that takes seconds: two parameters, a train of two pulses, three targets."""

import shutil

from kmc_oxy import cli

FIT = """\
name: a <b>tiny</b> fit of $x$
device: {lattice: {nx: 4, ny: 4}}
conductance: {slab: 2 nm}
parameters:
  device.site_energy.oxide_offset: {low: -0.6 eV, high: -0.4 eV}
  conductance.conductance_scale: {low: 10 uS, high: 1 mS, scale: log}
experiments:
  trains:
    protocol:
      - train: {voltage: 2 V, duration: 1 us, count: 2}
      - train: {voltage: -2 V, duration: 1 us, count: 2}
    data:
      file: tiny.csv
      x: {quantity: pulse}
      y: {quantity: conductance}
      curves: train
      scale: free
  findings:
    protocol:
      - relax: {duration: 1 ms, first: 1 us, points_per_decade: 2}
    targets:
      - {quantity: change, at_least: -10 %, at_most: 10 %}
      - {quantity: level, at_least: 1 nS, logarithmic: true}
      - {quantity: slope with time, at_most: -0.1}
search: {evaluations: 8, members: 3, most_members: 6, population: 4, seed: 3}
"""
DATA = """\
train,pulse,conductance (nS)
a_b$c$,0,1
a_b$c$,1,2
a_b$c$,2,2.2
down,0,2.1
down,1,1.5
down,2,1.2
"""


def write_fit(folder, text=FIT):
    """The files of a fit in a folder; the path of the fit file."""
    (folder / "tiny.csv").write_text(DATA)
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def finished_fit(folder):
    """Carry out the fit in this process; its folder."""
    path = write_fit(folder)
    assert cli.main(["fit", str(path), "-o", str(folder / "out"), "-j", "1", "-q"]) == 0
    return folder / "out"


def copied(fit, folder):
    """A copy of the folder of a fit, which a test may change."""
    shutil.copytree(fit, folder / "copy")
    return folder / "copy"
