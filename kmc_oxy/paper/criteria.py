"""How the paper's figures are judged: measured quantity, interval, criterion met or not.

Every quantity but one is measured on each member by itself and then averaged, with Student's
95 % interval; positive quantities that spread widely are averaged by their logarithms
(`analysis.statistics`), and their rows say so. The exception is the
form of a law, which is judged on the mean of the members and their covariance. Where a criterion
is a range, the mean decides, and the interval says how safe the verdict is; where it is a sign
or "beats", the whole interval has to lie on the right side. Of several trains or pulses that
have to meet one criterion the worst is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import (
    Datasets,
    Estimate,
    Leg,
    compare_with_log,
    fit,
    least_squares_slope,
    legs,
)
from kmc_oxy.paper.verdict_rows import Verdict

Array = NDArray[np.float64]

#: Pulses at the end of a train that must still change the conductance (figure 3).
LAST_PULSES = 10
#: Numbers of patches in parallel for which the repeatability of cycles is measured.
PATCHES = (16, 32, 64)
#: Largest chi-square a degree of freedom of a law that fits.
LARGEST_MISFIT = 2.0
#: Voltages of potentiating and depressing writes to an array (V): figures 2 and 3, and resets.
WRITES = ((3.0, -3.0), (2.0, -2.8), (4.0, -4.0))


def threshold(file: Datasets) -> list[Verdict]:
    """Row T: single pulses on a state reached from above and on one reached from below.

    The scan must have the steps that prepare the two states, in this order, as its slowest key.
    """
    preparation = scanned(file, "steps")
    voltage_V, duration_s = scanned(file, "voltage"), scanned(file, "duration")
    states = list(dict.fromkeys(preparation.tolist()))
    before, after = np.moveaxis(file["conductance"][:, :, 0, 0, :2], -1, 0)
    change = 100 * (after / before - 1)

    def measured(state: int, volts: float) -> list[tuple[float, Estimate]]:
        points = (preparation == states[state]) & (voltage_V == volts)
        return [(duration_s[p], Estimate.of(change[p])) for p in np.flatnonzero(points)]

    found = []
    for state, name in enumerate(("from above", "from below")):
        for volts in (-1.0, 1.75):
            length_s, worst = max(measured(state, volts), key=lambda item: abs(item[1].value))
            found.append(
                Verdict(
                    "T",
                    f"change by one {volts:+g} V pulse on the state {name}, largest of 1 to 50 ms "
                    f"(at {1e3 * length_s:g} ms) (%)",
                    "unchanged (below 5 %)",
                    worst,
                    abs(worst.value) < 5,
                )
            )
    for state, name, volts in ((1, "from below", -2.0), (0, "from above", 2.5)):
        length_s, longest = max(measured(state, volts), key=lambda item: item[0])
        clear = longest.negative if volts < 0 else longest.positive
        found.append(
            Verdict(
                "T",
                f"change by one {volts:+g} V pulse of {1e3 * length_s:g} ms on the state {name} "
                "(%)",
                "clear change",
                longest,
                clear and abs(longest.value) > 5,
            )
        )
    return found


def potentiation(file: Datasets) -> list[Verdict]:
    """Row 3a."""
    return _trains(file, "3a", +1, (0.3, 0.8), "about 50 %")


def depression(file: Datasets) -> list[Verdict]:
    """Row 3b."""
    return _trains(file, "3b", -1, (3.0, 8.0), "about 500 %")


def _trains(
    file: Datasets, row: str, sign: int, wanted: tuple[float, float], published: str
) -> list[Verdict]:
    """A train per pulse duration, shortest first, on the same devices."""
    series = [leg for point in range(file.shape()["point"]) for leg in _of_kind(file, point)]
    duration_s = scanned(file, "duration")
    names = [f"{1e3 * value:g} ms" for value in duration_s]
    values = [leg.values(file, "conductance") for leg in series]
    number = series[0].pulse

    spans = [g.max(axis=1) / g.min(axis=1) - 1 for g in values]
    highest = np.max([g.max(axis=1) for g in values], axis=0)
    lowest = np.min([g.min(axis=1) for g in values], axis=0)
    whole = Estimate.of_positive(highest / lowest - 1)
    found = [
        Verdict(
            row, "dynamic range of all trains on a device (max/min - 1)", published, whole,
            wanted[0] <= whole.value <= wanted[1],
        )
    ]  # fmt: skip
    found += [
        Verdict(row, f"dynamic range of the {name} train (max/min - 1)", published, span, None)
        for name, span in zip(names, map(Estimate.of_positive, spans), strict=True)
    ]
    steps = [
        (Estimate.of(longer - shorter), f"{a} to {b}")
        for shorter, longer, a, b in zip(spans, spans[1:], names, names[1:], strict=False)
    ]
    smallest, between = min(steps, key=lambda item: item[0].value)
    found.append(
        Verdict(
            row, f"dynamic range gained by a longer pulse, smallest step ({between})",
            "longer pulses do more", smallest, smallest.value > 0,
        )
    )  # fmt: skip
    tails = [
        (
            Estimate.of(
                100 * sign * least_squares_slope(number[-LAST_PULSES:], np.log(g[:, -LAST_PULSES:]))
            ),
            name,
        )
        for g, name in zip(values, names, strict=True)
    ]
    slowest, name = min(tails, key=lambda item: item[0].value)
    direction = "rise" if sign > 0 else "fall"
    found.append(
        Verdict(
            row, f"{direction} a pulse over the last {LAST_PULSES}, slowest train ({name}) (%)",
            "no saturation", slowest, slowest.value > 0,
        )
    )  # fmt: skip
    after = [g[:, number >= 1] for g in values]
    name = f"an exponential, {len(values[0])} patches in parallel, least of the trains"
    found += _form(row, name, after, "exponential")
    found.append(_fit_of_log(row, after))
    found.append(_stretched(row, after))
    return found


def cycles(file: Datasets) -> list[Verdict]:
    """Row 4a: relaxation after set and reset, and how well cycles repeat."""
    found = []
    for name, sign in (("set", +1), ("reset", -1)):
        relaxations = [leg for leg in _of_kind(file, 0, "relax") if sign * leg.voltage_V[0] > 0]
        logarithm = np.array([np.log(leg.values(file, "conductance")) for leg in relaxations])
        time = np.log10(relaxations[0].time_s)
        slope = Estimate.of(100 * least_squares_slope(time, logarithm).mean(axis=0))
        found.append(
            Verdict(
                "4a", f"relaxation after {name} (% a decade of time)",
                "slightly down" if sign > 0 else "slightly up",
                slope, slope.negative if sign > 0 else slope.positive,
            )
        )  # fmt: skip
        drift = abs(float((logarithm[..., -1] - logarithm[..., 0]).mean()))
        spread = logarithm[..., -1].std(axis=0, ddof=1)
        ratio = Estimate.of_positive(spread / drift) if drift else _single(np.inf)
        found.append(
            Verdict(
                "4a", f"cycle-to-cycle spread after {name} over that relaxation, one patch",
                "repeatable (below 1)", ratio, None,
            )
        )  # fmt: skip
        # A junction of 1 mm2 has some 1e9 patches: the largest number is judged.
        members = spread.size
        numbers = [number for number in PATCHES if number <= members] or [members]
        for number in numbers:
            common = _joint_spread(logarithm, number)
            found.append(
                Verdict(
                    "4a", f"the same after {name} for {number} patches in parallel",
                    "repeatable (below 1)", _single(common),
                    common < 1 if number == numbers[-1] else None,
                )
            )  # fmt: skip
    return found


def _joint_spread(logarithm: Array, patches: int) -> float:
    """Cycle-to-cycle spread over the relaxation of several patches in parallel.

    The mean over all groups of so many members.

    Parameters
    ----------
    logarithm : ndarray, shape (cycles, members, readings)
        Of the conductance.
    patches : int
    """
    found = []
    for first in range(0, logarithm.shape[1] - patches + 1, patches):
        whole = np.exp(logarithm[:, first : first + patches]).sum(axis=1)
        drift = abs(float(np.log(whole[:, -1] / whole[:, 0]).mean()))
        found.append(float(np.log(whole[:, -1]).std(ddof=1)) / drift if drift else np.inf)
    return float(np.mean(found))


def long_train(file: Datasets) -> list[Verdict]:
    """Row 4c: the law of a long train of depressing pulses."""
    (leg,) = _of_kind(file, 0)
    number, values = leg.pulse[1:], leg.values(file, "conductance")[:, 1:]
    found = []
    for law in ("exponential", "power"):
        found += _form("4c", f"the {law} law, {len(values)} patches in parallel", [values], law)
    found.append(_fit_of_log("4c", [values]))
    found.append(_stretched("4c", [values]))
    change = Estimate.of(100 * (values[:, -1] / values[:, 0] - 1))
    found.append(
        Verdict("4c", f"change from the first to pulse {number[-1]} (%)", "falls", change, None)
    )
    return found


def experiments(file: Datasets) -> list[Verdict]:
    """Row 4d: the conductance right after the reset of each of a long series of experiments."""
    values = file["conductance"][0, :, 0, 0, :]
    number = np.arange(1.0, values.shape[1] + 1)
    slope = Estimate.of(100 * least_squares_slope(np.log10(number), values) / values.mean(axis=1))
    found = [
        Verdict("4d", "slope of the reset state (% a decade of the number of experiments)",
                "falls", slope, slope.negative)
    ]  # fmt: skip
    name = f"an exponential, {len(values)} patches in parallel"
    found += _form("4d", name, [values], "exponential")
    found.append(_fit_of_log("4d", [values]))
    found.append(_stretched("4d", [values]))
    return found


def on_off(file: Datasets) -> list[Verdict]:
    """Row R: ratio of the extremal states at each temperature; the warmer one is judged."""
    temperature_K = scanned(file, "temperature")
    on, off = np.moveaxis(file["conductance"][:, :, 0, 0, :2], -1, 0)
    found = []
    for point, kelvin in enumerate(temperature_K):
        ratio = Estimate.of_positive(on[point] / off[point])
        judged = kelvin == 100
        found.append(
            Verdict("R", f"on/off ratio after +-4 V 3 s at {kelvin:g} K", "about 1e4", ratio,
                    3e3 <= ratio.value <= 3e4 if judged else None)
        )  # fmt: skip
    return found


def endurance(file: Datasets) -> list[Verdict]:
    """Row S3: change of the on/off ratio over many cycles; readings alternate on, off."""
    values = np.log10(file["conductance"][0, :, 0, 0, :])
    ratio = values[:, 0::2] - values[:, 1::2]
    cycle = cycle_numbers(file)
    slope = Estimate.of(1000 * least_squares_slope(cycle, ratio))
    mean = Estimate.of_positive(10 ** ratio.mean(axis=1))
    return [
        Verdict("S3", f"slope of log10(on/off) over {cycle[-1]:.0f} cycles (a thousand cycles)",
                "no degradation", slope, not slope.negative),
        Verdict("S3", "on/off ratio of these cycles", "", mean, None),
    ]  # fmt: skip


def cycle_numbers(file: Datasets) -> Array:
    """Number of the cycle of each on reading. A cycle is two pulses and so two legs."""
    legs_before: NDArray[np.int64] = file["leg"][0, 0::2] - file["leg"][0, 0]
    return 1.0 + (legs_before // 2).astype(np.float64)


def spin_valve(file: Datasets) -> list[Verdict]:
    """Row 2: magnetoresistance of potentiated and depressed states, which the readings alternate.

    The first pair, after +-3 V as published, is judged.
    """
    values = 100 * file["magnetoresistance"][0, :, 0, 0, :]
    voltage_V = file["voltage"][0, 0, 0, :]
    found = []
    for first in range(0, values.shape[1], 2):
        on, off = values[:, first], values[:, first + 1]
        potentiated, depressed = Estimate.of(on), Estimate.of(off)
        share = Estimate.of(off / on.mean())
        judged = first == 0
        after = f"after {voltage_V[first]:+g} V"
        found += [
            Verdict("2", f"magnetoresistance {after} (%)", "spin valve", potentiated,
                    (potentiated.positive or potentiated.negative) if judged else None),
            Verdict("2", f"magnetoresistance after {voltage_V[first + 1]:+g} V (%)", "none",
                    depressed, None),
            Verdict("2", f"that over the one {after}", "none (below 1/20)", share,
                    abs(share.value) < 1 / 20 if judged else None),
        ]  # fmt: skip
    return found


def crosstalk(file: Datasets) -> list[Verdict]:
    """Row X: mean absolute change of half-selected cells, by the voltage of the writes.

    A write's change is that from the reading before its first pulse to the one after its last;
    a member's is the mean over its writes and half-selected cells. The writes of figure 2,
    +-3 V, are judged.
    """
    by_pair: dict[tuple[float, float], list[Array]] = {}
    for step, kinds in enumerate(file.resolved["protocol"]):
        if "program" not in kinds:
            continue
        row, column = kinds["program"]["cell"]
        readings = np.flatnonzero(file["step"][0] == step)
        before, after = (file["conductance"][0, ..., k] for k in (readings[0], readings[-1]))
        half = np.zeros(before.shape[1:], dtype=bool)
        half[row], half[:, column] = True, True
        half[row, column] = False
        volts = kinds["program"]["voltage"]
        pair = next((p for p in WRITES if volts in p), (volts, volts))
        by_pair.setdefault(pair, []).append(np.abs(after / before - 1)[:, half])
    found = []
    for pair, changes in by_pair.items():
        mean = Estimate.of_positive(
            100 * np.mean([change.mean(axis=1) for change in changes], axis=0)
        )
        found.append(
            Verdict("X", f"mean change of half-selected cells, {pair[0]:+g} and {pair[1]:+g} V "
                    "writes (%)", "8 % on average", mean,
                    4 <= mean.value <= 12 if pair == WRITES[0] else None)
        )  # fmt: skip
    return found


def scanned(file: Datasets, ending: str) -> NDArray[Any]:
    """Values, a point each, of the scanned key that ends in `ending`."""
    (found,) = (values for key, values in file.scan().items() if key.endswith(f".{ending}"))
    return found


def _of_kind(file: Datasets, point: int, kind: str = "train") -> Sequence[Leg]:
    return [leg for leg in legs(file, point) if leg.kind == kind]


def _form(row: str, name: str, series: Sequence[Array], rival: str) -> list[Verdict]:
    """Preference of log N over the rival law, in the series where it is smallest.

    The judged value takes members as independent observations (`analysis.law_comparison`). The
    AICc of the sum, which takes pulses as independent and overstates the preference, is reported.
    """
    found = [compare_with_log(values, rival) for values in series]
    worst = min(found, key=lambda comparison: comparison.preference.value)
    independent = min((_aicc_gain(g, rival) for g in series), key=lambda gain: gain.value)
    return [
        Verdict(row, f"AIC minus that of log N, of {name}", "log N", worst.preference,
                worst.preference.positive),
        Verdict(row, "chi-square a degree of freedom of log N there", "about 1",
                _single(worst.misfit), None),
        Verdict(row, "the same of that rival", "", _single(worst.rival_misfit), None),
        Verdict(row, f"AICc minus that of log N, pulses taken as independent, of {name}", "",
                independent, None),
    ]  # fmt: skip


def _fit_of_log(row: str, series: Sequence[Array]) -> Verdict:
    """Whether log N fits every series: its largest chi-square a degree of freedom."""
    largest = max(compare_with_log(values, "exponential").misfit for values in series)
    name = "chi-square a degree of freedom of log N, largest of all"
    is_met = None if np.isnan(largest) else largest < LARGEST_MISFIT
    return Verdict(row, name, "log N fits (below 2)", _single(largest), is_met)


def _aicc_gain(values: Array, rival: str) -> Estimate:
    """AICc of the rival law minus that of log N, of the members' sum, with jackknife interval."""
    whole, members = values.sum(axis=0), len(values)
    number = np.arange(1.0, whole.size + 1)

    def gain(sums: Array) -> float:
        return float(fit(number, sums, rival).aicc - fit(number, sums, "log").aicc)

    together = gain(whole)
    without = [gain(whole - member) for member in values]
    spread = Estimate.of(members * together - (members - 1) * np.array(without))
    half = (spread.high - spread.low) / 2
    return Estimate(together, together - half, together + half)


def _stretched(row: str, series: Sequence[Array]) -> Verdict:
    """Stretched exponential: it contains the exponential and approximates the logarithm.

    No published finding excludes it, so it is reported and not judged.
    """
    quantity = "AICc of a stretched exponential minus that of log N, least of all"
    gains = (_aicc_gain(g, "stretched") for g in series)
    return Verdict(row, quantity, "", min(gains, key=lambda gain: gain.value), None)


def _single(value: float) -> Estimate:
    """A quantity of the whole ensemble, for which there is no interval."""
    return Estimate(float(value), float("nan"), float("nan"))
