#!/usr/bin/env python
"""Rate-cap rules compared without sampling noise: error and hops of the capped Markov chain itself.

Within a window the capped dynamics is a Markov chain on the configurations, so its distribution
and its expected number of hops follow exactly from its matrix. Every rule is a function of the
window's Gamma and of the occupation; the kernel's own rule is `one-beyond`.

    scripts/verify/compare_caps.py --families narrow-cube level-long --rules own one-beyond
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "physics"))
sys.path.insert(0, str(Path(__file__).parent))

from cap import DRIVES, FAMILIES, HALVINGS, Family, level
from instances import Instance, box, dense_cube

Array = NDArray[np.float64]
MOST_CONFIGURATIONS = 300
#: An error of an occupation that the error indicator has to flag.
WRONG = 0.02
#: Parabolic contour of Weideman and Trefethen for the exponential of a matrix whose spectrum is
#: real and negative: error 2.85**-NODES however stiff it is.
NODES = 16
_ANGLE = (2 * np.arange(NODES // 2, NODES) + 1 - NODES) * np.pi / NODES
NODE = NODES * (0.1309 - 0.1194 * _ANGLE**2 + 0.25j * _ANGLE)
NODE_WEIGHT = 2 * np.exp(NODE) * (-0.2388 * _ANGLE + 0.25j) / 1j


def long_strip(rng: np.random.Generator, **landscape) -> Instance:
    """Two oxygens on 1 x 9..12 or 2 x 6 sites."""
    shape = (1, int(rng.integers(9, 13))) if rng.random() < 0.5 else (2, 6)
    return box(rng, shape, 2, **landscape)


def rearranging(rng: np.random.Generator, shape: tuple[int, ...], tilted: bool) -> Instance:
    """Two oxygens that must rearrange over a shallow landscape with little or no tilt."""
    width = 0.15 if rng.random() < 0.5 else float(rng.uniform(0.15, 0.4))
    tilt = float(rng.uniform(0.02, 0.25)) if tilted else 0.0
    return box(rng, shape, 2, barrier_range_eV=(0.0, width), tilt_eV=tilt, disorder_eV=0.03)


MORE_FAMILIES = {
    "flat-ladder": Family(lambda rng: rearranging(rng, (2, 10), False), 1.0, "no tilt, 2 in 2x10"),
    "tilted-ladder": Family(lambda rng: rearranging(rng, (2, 10), True), 1.0, "tilt, 2 in 2x10"),
    "flat-chain": Family(lambda rng: rearranging(rng, (1, 16), False), 1.0, "no tilt, 2 in 1x16"),
    "tilted-chain": Family(lambda rng: rearranging(rng, (1, 16), True), 1.0, "tilt, 2 in 1x16"),
    "level-cube": Family(lambda rng: level(rng, dense_cube), 1.0, "no tilt, 3..5 in 2x2x2"),
    "level-long": Family(lambda rng: level(rng, long_strip), 1.0, "no tilt, long strips"),
}


class Chain:
    """Configurations of an instance, joined by edges; hops e and e + edges go opposite ways."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.master = master = instance.master
        forward = ~master._backward
        self.bond = master._bond[forward]
        self.edges = len(self.bond)
        site_i, site_j = np.asarray(instance.bonds)[self.bond].T
        source, target = master._source[forward], master._target[forward]
        self.source, self.target = np.append(source, target), np.append(target, source)
        self.start, self.end = np.append(site_i, site_j), np.append(site_j, site_i)
        pairs: dict[str, list[Array]] = {"own": [], "any": []}
        for configuration in range(master.n_configurations):
            hops = np.flatnonzero(self.source == configuration)
            other = ~np.eye(len(hops), dtype=bool)
            near = (self.start[hops][:, None] == self.start[hops]) | (
                self.end[hops][:, None] == self.end[hops]
            )
            for name, related in (("own", near & other), ("any", other)):
                pairs[name].append(hops[np.array(np.nonzero(related))])
        self.pairs = {name: np.concatenate(part, axis=1) for name, part in pairs.items()}

    def apply(self, drive: float) -> None:
        k_ij, k_ji = self.instance.rates(drive)
        self.rate = np.append(k_ij[self.bond], k_ji[self.bond])
        self.back = self.reverse(self.rate)
        self.slower = np.minimum(self.rate, self.back)

    def reverse(self, of_hops: Array) -> Array:
        return np.roll(of_hops, self.edges)

    def competitors(self, weight: Array, pairs: str = "own") -> Array:
        """Largest weight of what competes with each hop: around it, or of any oxygen."""
        most = np.zeros_like(weight)
        np.maximum.at(most, self.pairs[pairs][0], weight[self.pairs[pairs][1]])
        return most

    def propagate(self, before: Array, scale: Array, duration_s: float) -> tuple[Array, float]:
        """Distribution `duration_s` later, and the expected hops on the way."""
        n = self.master.n_configurations
        rate = self.rate * scale
        out = np.bincount(self.source, rate, n)
        matrix = np.diag(out)
        matrix[self.target, self.source] -= rate
        system = NODE[:, None, None] * np.eye(n) + duration_s * matrix
        right = np.broadcast_to(before.astype(complex)[:, None], (len(NODE), n, 1))
        solved = np.linalg.solve(system, right)[:, :, 0]
        after = np.clip((NODE_WEIGHT @ solved).real, 0.0, None)
        stay_s = ((NODE_WEIGHT / NODE) @ solved).real * duration_s
        return after / after.sum(), float(out @ stay_s)


Rule = Callable[[Chain, float], Array]


def first_weight(chain: Chain, gamma: float, least: float = 3.0, most: float = 100.0) -> Array:
    lift = gamma / chain.slower
    uncapped = np.clip(lift, least, max(most, least))
    return chain.rate * np.where(chain.slower <= gamma, uncapped, lift)


def scale_of(chain: Chain, gamma: float, competing: Array, blend: float = 1.0) -> Array:
    """Factor of each hop; `blend` weighs the faster requirement of the two ends of a bond."""
    wanted = np.maximum(gamma, competing) / chain.rate
    there = chain.reverse(wanted)
    scale = np.maximum(np.minimum(wanted, there), blend * np.maximum(wanted, there))
    return np.where(chain.slower <= gamma, 1.0, np.minimum(1.0, scale))


def plain(chain: Chain, gamma: float) -> Array:
    return np.minimum(1.0, gamma / chain.slower)


def competing(least: float = 3.0, most: float = 100.0) -> Rule:
    """Competitors at their first weight."""

    def rule(chain: Chain, gamma: float) -> Array:
        weight = first_weight(chain, gamma, least, most)
        return scale_of(chain, gamma, chain.competitors(weight))

    return rule


def sweeps(rounds: int, pairs: str = "own") -> Rule:
    """Capped competitors at their last scaled rate, again and again."""

    def rule(chain: Chain, gamma: float) -> Array:
        weight = first = first_weight(chain, gamma)
        for _ in range(rounds):
            scale = scale_of(chain, gamma, chain.competitors(weight, pairs))
            before, weight = weight, np.where(chain.slower <= gamma, first, chain.rate * scale)
            if np.allclose(before, weight, rtol=1e-9):
                break
        return scale

    return rule


def beyond(rounds: int, blend: float = 1.0) -> Rule:
    """Capped competitors raised to what lies `rounds` steps beyond them, never to what is here."""

    def rule(chain: Chain, gamma: float) -> Array:
        weight = first = first_weight(chain, gamma)
        base = gamma / (chain.slower if blend == 1.0 else chain.back)
        for _ in range(rounds):
            past = chain.reverse(chain.competitors(weight)) / chain.back
            raised = chain.rate * np.minimum(1.0, np.maximum(base, past))
            before, weight = weight, np.where(chain.slower <= gamma, first, raised)
            if np.allclose(before, weight, rtol=1e-9):
                break
        return scale_of(chain, gamma, chain.competitors(weight), blend)

    return rule


UNTIL_STILL = 99
RULES: dict[str, Rule] = {
    "plain": plain,
    "own": competing(),
    "own-lift1": competing(least=1.0),
    "own-lift10": competing(least=10.0),
    "own-lift1e4": competing(most=1e4),
    "sweeps-2": sweeps(2),
    "sweeps-3": sweeps(3),
    "sweeps": sweeps(UNTIL_STILL),
    "sweeps-any": sweeps(UNTIL_STILL, "any"),
    "one-beyond": beyond(1),
    "two-beyond": beyond(2),
    "all-beyond": beyond(UNTIL_STILL),
    "blend-0.3": beyond(UNTIL_STILL, 0.3),
    "blend-0.1": beyond(UNTIL_STILL, 0.1),
    "slower-end": beyond(UNTIL_STILL, 0.0),
}


def capped(chain: Chain, rule: Rule, c: float, duration_s: float) -> tuple[Array, float]:
    """Occupation at every reading, shape (legs, readings, n), and the expected hops."""
    distribution, readings, hops = chain.master.certain(chain.instance.start), [], 0.0
    for drive in DRIVES:
        chain.apply(drive)
        since_s = 0.0
        window = math.floor(4 * math.log10(duration_s * 2.0 ** -HALVINGS[0]) + 1e-9)
        for halving in HALVINGS:
            end_s = duration_s * 2.0**-halving
            while since_s < end_s:
                scale = rule(chain, c * 10 ** (-window / 4))
                until_s = min(end_s, 10 ** ((window + 1) / 4))
                distribution, made = chain.propagate(distribution, scale, until_s - since_s)
                hops += made
                since_s = until_s
                window += until_s < end_s
            readings.append(chain.master.occupation(distribution))
    return np.array(readings).reshape(len(DRIVES), len(HALVINGS), -1), hops


def main() -> None:
    families = FAMILIES | MORE_FAMILIES
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=families, default=["level-long"])
    parser.add_argument("--rules", nargs="+", choices=RULES, default=["plain", "own", "one-beyond"])
    parser.add_argument("--instances", type=int, default=40, help="of each family")
    parser.add_argument("--first", type=int, default=0, help="number of the first instance")
    parser.add_argument("--c", type=float, nargs="+", default=[10.0, 30.0])
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    print("family        rule            C    n   worst     p95  median  >0.02  hops/copy  worst")
    for name in options.families:
        family, results, differences = families[name], {}, {}
        for number in range(options.first, options.first + options.instances):
            rng = np.random.default_rng([options.seed, list(families).index(name), number])
            instance = family.draw(rng)
            if instance.master.n_configurations > MOST_CONFIGURATIONS:
                continue
            chain = Chain(instance)
            exact = instance.master.occupation(instance.exact(DRIVES, family.duration_s, HALVINGS))
            for rule in options.rules:
                occupations = {}
                for c in options.c:
                    occupation, hops = capped(chain, RULES[rule], c, family.duration_s)
                    occupations[c] = occupation
                    error = float(np.abs(occupation - exact).max())
                    results.setdefault((rule, c), []).append((error, hops, number))
                for c in set(occupations) & {3 * c for c in occupations}:
                    difference = float(np.abs(occupations[c] - occupations[c / 3]).max())
                    differences.setdefault((rule, c), []).append(difference)
        for (rule, c), outcomes in results.items():
            error, hops, _ = np.array(outcomes).T
            print(
                f"{name:13s} {rule:12s} {c:4g} {len(error):4d} {error.max():7.4f} "
                f"{np.quantile(error, 0.95):7.4f} {np.median(error):7.5f} "
                f"{(error > 0.02).sum():6d} {hops.mean():10.0f}  {max(outcomes)[2]}",
                flush=True,
            )
        for (rule, c), found in differences.items():
            wrong = np.array([error for error, *_ in results[rule, c]]) > WRONG
            flagged = 3 * np.array(found) > 1 / c
            print(
                f"{name:13s} {rule:12s} {c:4g} error indicator (C/3): {(flagged & wrong).sum()} of "
                f"{wrong.sum()} errors above {WRONG:g} flagged, {(flagged & ~wrong).sum()} of "
                f"{(~wrong).sum()} others",
                flush=True,
            )


if __name__ == "__main__":
    main()
