"""The experiments of the paper: input, settings of the quick form, and criterion."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmc_oxy.analysis import Datasets
from kmc_oxy.execution import Plan, assemble, run_serial
from kmc_oxy.inputs import load
from kmc_oxy.paper import criteria
from kmc_oxy.paper.verdict_rows import Verdict
from kmc_oxy.storage import begin_or_resume, open_output

COLUMNS = ("id", "quantity", "published", "simulated", "low", "high", "met")


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper.

    Parameters
    ----------
    id : str
        Row of the table.
    name : str
        Name of the input and of the output, without suffix.
    quick : tuple of str
        Settings ``"a.b=c"`` with which it takes a minute or two on one core.
    judge : callable
        Output -> rows of the table; no rows if the experiment is only drawn.
    """

    id: str
    name: str
    quick: tuple[str, ...]
    judge: Callable[[Datasets], list[Verdict]]

    def run(
        self, inputs: Path, folder: Path, settings: Sequence[str] = (), fresh: bool = False
    ) -> Path:
        """Run or resume the experiment; a complete output is left unchanged.

        Parameters
        ----------
        inputs : Path
            Folder of the inputs.
        folder : Path
            Folder of the output.
        settings : sequence of str
            ``"a.b=c"``, e.g. `quick`.
        fresh : bool
            Discard earlier results.

        Returns
        -------
        Path
            The output.

        Raises
        ------
        InputError, StoreError
            As `kmc-oxy run`; also if the output belongs to another input.
        """
        plan = Plan(load(inputs / f"{self.name}.yaml", settings))
        output = folder / f"{self.name}.h5"
        work = begin_or_resume(output, plan.identity, fresh=fresh)
        if work is not None:
            try:
                run_serial(plan, work)
                assemble(plan, work)
            finally:
                work.release()
        return output

    def verdicts(self, output: Path) -> list[Verdict]:
        """Judge a complete output."""
        with open_output(output) as file:
            return self.judge(file)


def _short_experiments() -> tuple[str, ...]:
    """Figure 4d with fewer pulses in the same 400 s an experiment, and fewer rounds."""
    train = "protocol.2.repeat.steps.1.train"
    return (f"{train}.count=5", f"{train}.rest.duration=79.7 s", "protocol.2.repeat.count=4")


#: The longest first, so that parallel processes finish together.
EXPERIMENTS = (
    Experiment("S3", "figS3", ("ensemble.members=4", "protocol.3.repeat.count=10",
               "protocol.3.repeat.steps.2.repeat.count=24"), criteria.endurance),
    Experiment("4d", "fig4d", ("ensemble.members=6", *_short_experiments()),
               criteria.experiments),
    Experiment("4c", "fig4c", ("ensemble.members=16",), criteria.long_train),
    Experiment("3a", "fig3a", ("ensemble.members=32",), criteria.potentiation),
    Experiment("3b", "fig3b", ("ensemble.members=32",), criteria.depression),
    Experiment("T", "fig_T", ("ensemble.members=24",
               "scan.protocol.5.pulse.duration=[1 ms, 50 ms]"), criteria.threshold),
    Experiment("4a", "fig4a", ("ensemble.members=8", "protocol.1.repeat.count=10"),
               criteria.cycles),
    Experiment("R", "fig_R", ("ensemble.members=16",), criteria.on_off),
    Experiment("X", "fig_X", ("ensemble.members=4",), criteria.crosstalk),
    Experiment("2", "fig2", ("ensemble.members=16",), criteria.spin_valve),
)  # fmt: skip


def _not_judged(file: Datasets) -> list[Verdict]:
    return []


#: The I-V loop of figure S1: drawn and not judged.
SWEEP = Experiment("S1", "figS1", (), _not_judged)


#: Fingerprints of the protocols of `EXPERIMENTS` by their inputs' names: published, and quick.
PROTOCOLS: Mapping[str, tuple[str, str]] = {
    "figS3": ("98ec39b743236641", "6ca3f6ff71787986"),
    "fig4d": ("3997c3b410b49adc", "df1cfa2ea7e38d9c"),
    "fig4c": ("2bc27da580f03e78", "2bc27da580f03e78"),
    "fig3a": ("047feec54cc3103e", "047feec54cc3103e"),
    "fig3b": ("bfe86e960e1d6058", "bfe86e960e1d6058"),
    "fig_T": ("52c067e3cf207402", "80c16766edf234cc"),
    "fig4a": ("9cf9fef304a8079e", "ea2c30420a6bf61b"),
    "fig_R": ("751db5e6093933be", "751db5e6093933be"),
    "fig_X": ("949564add72a4c56", "949564add72a4c56"),
    "fig2": ("cdaf42051137f370", "cdaf42051137f370"),
}


def fingerprint(resolved: Mapping[str, Any]) -> str:
    """Digest of protocol and scan, without the device.

    Parameters
    ----------
    resolved : mapping
        Resolved input, as stored in an output.
    """
    text = json.dumps([resolved["protocol"], resolved["scan"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recognise(resolved: Mapping[str, Any]) -> tuple[Experiment, bool] | None:
    """The experiment of the paper with this protocol and scan, and whether in its quick form.

    None if there is none: no criterion applies.
    """
    found = fingerprint(resolved)
    for experiment in EXPERIMENTS:
        if found in PROTOCOLS[experiment.name]:
            return experiment, found != PROTOCOLS[experiment.name][0]
    return None


def write_table(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the table as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(verdict.row() for verdict in verdicts)
