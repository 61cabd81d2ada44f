"""Interleaved rounds of measurements, printed as a Markdown table and kept in history.csv.

A machine that is shared, or that changes its clock, slows down and recovers over seconds. So every
case of a group is run once a round, one after the other, and what is compared was measured within
the same seconds. The median is the figure; the best tells how far it was disturbed.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

import kmc_oxy

HISTORY = Path(__file__).with_name("history.csv")
COLUMNS = ("date", "commit", "machine", "case", "value", "unit", "command")


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Parameters
    ----------
    name, unit : str
    asked : float, optional
        What it is held against; figures that have one are kept in the history.
    less_is_better : bool
        Times and memory rather than speeds.
    """

    name: str
    unit: str
    asked: float | None = None
    less_is_better: bool = False


@dataclass(frozen=True)
class Case:
    """A measurement that gives one or several figures.

    Parameters
    ----------
    figures : sequence of Figure
    measure : callable
        Runs once and returns a value per figure; whatever it prepares is not timed.
    most_rounds : int, optional
        For long ones.
    """

    figures: Sequence[Figure]
    measure: Callable[[], Sequence[float]]
    most_rounds: int | None = None


@dataclass(frozen=True)
class Ratio:
    """Two speeds that are compared round by round.

    Parameters
    ----------
    name : str
    over, under : str
        Names of the figures that are divided.
    asked : float, optional
    """

    name: str
    over: str
    under: str
    asked: float | None = None


Values = dict[Figure, list[float]]


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Arguments of a benchmark whose figures may be kept: --rounds, --record and --note.

    Parameters
    ----------
    description : str
        The module's; its first line is shown.
    rounds : int
        Unless told otherwise.
    """
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--record", action="store_true", help=f"append to {HISTORY.name}")
    made.add_argument("--note", default="", help="put behind every case in the history")
    return made


def interleave(cases: Sequence[Case], rounds: int) -> Values:
    """Run every case once a round; the values of each figure, in the order of the rounds."""
    values: Values = {figure: [] for case in cases for figure in case.figures}
    for turn in range(rounds):
        for case in cases:
            if case.most_rounds is None or turn < case.most_rounds:
                for figure, value in zip(case.figures, case.measure(), strict=True):
                    values[figure].append(value)
    return values


def print_table(title: str, values: Values, ratios: Sequence[Ratio] = ()) -> None:
    """Print the figures of a group, then the ratios, ready to paste."""
    print(f"\n| {title} | median | best | unit | asked | median to asked |")
    print("|---|---|---|---|---|---|")
    for figure, found in values.items():
        best = min(found) if figure.less_is_better else max(found)
        asked, share = "", ""
        if figure.asked is not None:
            gain = median(found) / figure.asked
            gain = 1 / gain if figure.less_is_better else gain
            asked, share = f"{figure.asked:.4g}", f"{gain:.2f}"
        print(
            f"| {figure.name} | {median(found):.4g} | {best:.4g} | {figure.unit} | {asked} "
            f"| {share} |"
        )
    by_name = {figure.name: found for figure, found in values.items()}
    for ratio in ratios:
        each = [
            over / under
            for over, under in zip(by_name[ratio.over], by_name[ratio.under], strict=False)
        ]
        asked = "" if ratio.asked is None else f"{ratio.asked:.4g}"
        share = "" if ratio.asked is None else f"{median(each) / ratio.asked:.2f}"
        print(
            f"| {ratio.name} | {median(each):.3g} | {max(each):.3g} | ratio | {asked} | {share} |"
        )
    sys.stdout.flush()


def print_circumstances() -> None:
    """What was measured, where, and what else the machine was doing."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(
        f"kmc_oxy {commit()}, Python {platform.python_version()}, NumPy {np.__version__}; "
        f"{machine()}; load {load}"
    )


def commit() -> str:
    """Abbreviated commit of the package that is imported, "+" where its files have changed."""
    folder = Path(kmc_oxy.__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ("git", "-C", str(folder), *arguments), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "kmc_oxy", "cython_ext")
        return git("rev-parse", "--short=7", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"version {kmc_oxy.__version__}"


def machine() -> str:
    """Processor and number of cores."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: what `platform` knows must do
    return f"{name}, {os.cpu_count()} cores"


def record(values: Values, note: str = "") -> None:
    """Append the medians of the figures that something was asked of to the history."""
    command = " ".join(["python", f"scripts/bench/{Path(sys.argv[0]).name}", *_arguments()])
    today = datetime.date.today().isoformat()
    new = not HISTORY.exists()
    with open(HISTORY, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        for figure, found in values.items():
            if figure.asked is not None:
                case = f"{figure.name} ({note})" if note else figure.name
                writer.writerow(
                    (today, commit(), machine(), case, f"{median(found):.4g}", figure.unit, command)
                )


def _arguments() -> list[str]:
    """The command's arguments without what is of this machine or of the history only."""
    kept, skip = [], False
    for argument in sys.argv[1:]:
        if skip:
            skip = False
        elif argument in ("--kmos-python", "--note"):
            skip = True
        elif argument != "--record" and not argument.startswith(("--kmos-python=", "--note=")):
            kept.append(argument)
    return kept
