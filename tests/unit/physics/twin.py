"""The kernel written again as plainly as possible: same numbers drawn, same hops, no speed.

Python integers stand in for the 128-bit total, dictionaries for the tables. The order in which
things are listed is part of what is compared, since it decides who is picked next.
"""

import json
import math

import numpy as np

BLOCK = 512
OCTAVE = 16
FROZEN = -17184
WINDOW, SLACK = 88, 36


def log_steps(rate):
    return FROZEN if rate < 2.3e-308 else round(OCTAVE * math.log2(rate))


class Twin:
    def __init__(self, n, bonds, k_ij, k_ji, occupied, bit_generator_state, gamma=None, reach=2):
        self.n, self.gamma, self.reach = n, gamma, reach
        self.neighbours = [[] for _ in range(n)]
        self.rate = {}
        for (i, j), forward, back in zip(bonds.tolist(), k_ij, k_ji, strict=True):
            self.neighbours[i].append(j)
            self.neighbours[j].append(i)
            self.rate[i, j], self.rate[j, i] = float(forward), float(back)
        self.log = {bond: log_steps(rate) for bond, rate in self.rate.items()}
        self.occupied = [bool(o) for o in occupied]
        bit_generator = np.random.PCG64DXSM()
        bit_generator.state = json.loads(bit_generator_state)
        self.random = np.random.Generator(bit_generator)
        self.next = BLOCK
        self.sites_beyond = {
            (x, y): [z for z in self.neighbours[y] if z != x and z not in self.neighbours[x]]
            for x, y in self.rate
        }
        most = max(sum(self.rate[x, y] for y in self.neighbours[x]) for x in range(n))
        self.offset = max(self.quarters(most) // 4 - 255, -900)
        self.members = {g: [] for g in range(1024)}
        self.group = {}
        self.effective = {}
        self.anchor = 0
        self.hops = self.trials = 0
        self.weigh()
        for x in range(n):
            if self.occupied[x]:
                self.refresh(x)
        self.settle()

    @staticmethod
    def quarters(rate):
        mantissa, exponent = math.frexp(rate)  # mantissa in [0.5, 1)
        return 4 * (exponent - 1) + int(8 * mantissa) - 4

    # Rates ---------------------------------------------------------------------------------

    def slower(self, x, y):
        return min(self.log[x, y], self.log[y, x])

    def weigh(self):
        """Weights at a new Gamma: log W(x -> y) / Gamma of every hop."""
        if self.gamma is not None:
            self.weights = {bond: self.weight_of_hop(*bond) for bond in self.rate}

    def weight(self, x, y):
        return self.weights[x, y]

    def weight_of_hop(self, x, y):
        tilt = max(self.log[x, y] - self.log[y, x], 0)
        below = self.gamma - self.slower(x, y)
        if below < 0:
            return tilt
        three, hundred = round(OCTAVE * math.log2(3)), round(OCTAVE * math.log2(100))
        return tilt + min(max(three - below, 0), hundred - below)

    def shown(self, x, y):
        """Sites beyond y as seen from its neighbour x."""
        return self.sites_beyond[x, y]

    def capped(self, x, y):
        return self.slower(x, y) > self.gamma

    def raised(self, x, y, beyond):
        """Weight of x -> y, raised as far as its rate allows where more lies beyond."""
        weight = self.weight(x, y)
        if self.reach < 2 or not self.capped(x, y):
            return weight
        full = self.log[x, y] - self.gamma
        return max(weight, min(full, self.log[x, y] - self.log[y, x] + max([0, *beyond])))

    def competitors(self, x, y):
        """Largest weight of what would end the state 'oxygen at x, hole at y' otherwise."""
        others_at = {
            c: [z for z in self.neighbours[c] if z != other] for c, other in ((x, y), (y, x))
        }
        best = [0]
        for z in others_at[x]:
            if not self.occupied[z]:  # the oxygen at x goes to z: then on, or its place is taken
                onward = [self.weight(z, v) for v in self.shown(x, z) if not self.occupied[v]]
                filling = [self.weight(v, x) for v in others_at[x] if self.occupied[v]]
                best.append(self.raised(x, z, onward + filling))
        for z in others_at[y]:
            if self.occupied[z]:  # the oxygen at z comes to y: then on, or its place is taken
                onward = [self.weight(y, v) for v in others_at[y] if not self.occupied[v]]
                filling = [self.weight(v, z) for v in self.shown(y, z) if self.occupied[v]]
                best.append(self.raised(z, y, onward + filling))
        return max(best)

    def scaled(self, x, y):
        rate = self.rate[x, y]
        if self.gamma is None or self.slower(x, y) <= self.gamma:
            return rate
        f, b, m = self.log[x, y], self.log[y, x], self.slower(x, y)
        best = max(0, self.competitors(x, y) - (f - m), self.competitors(y, x) - (b - m))
        over = m - self.gamma - best
        if over <= 0:
            return rate
        return rate * (2.0 ** (-(over % OCTAVE) / OCTAVE) * 2.0 ** (-(over // OCTAVE)))

    def possible(self, x):
        return [(y, self.effective[x, y]) for y in self.neighbours[x] if not self.occupied[y]]

    # Event list ----------------------------------------------------------------------------

    def weight_of(self, g):
        return (5 + g % 4) << (g // 4 - self.anchor + WINDOW)

    def window(self):
        return [
            g for g in range(1023, -1, -1) if self.members[g] and g // 4 >= self.anchor - WINDOW
        ]

    def total(self):
        return sum(len(self.members[g]) * self.weight_of(g) for g in self.window())

    def remove(self, x):
        g = self.group.pop(x, None)
        if g is not None:
            place = self.members[g].index(x)
            self.members[g][place] = self.members[g][-1]
            self.members[g].pop()

    def refresh(self, x):
        """Rates of the oxygen at x anew."""
        for y in self.neighbours[x]:
            if not self.occupied[y]:
                self.effective[x, y] = self.scaled(x, y)
        rate = 0.0
        for _, k in self.possible(x):
            rate += k
        g = None if rate <= 0 else max(self.quarters(rate) - 4 * self.offset, 0)
        if g != self.group.get(x):
            self.remove(x)
            if g is not None:
                self.members[g].append(x)
                self.group[x] = g
                self.anchor = max(self.anchor, g // 4)

    def settle(self):
        top = max((g for g in self.members if self.members[g]), default=None)
        if top is not None and self.anchor - top // 4 > SLACK:
            self.anchor = top // 4

    # Time ----------------------------------------------------------------------------------

    def lower_gamma(self, gamma):
        self.gamma = gamma
        self.weigh()
        for x in range(self.n):
            if self.occupied[x] and any(self.capped(x, y) for y in self.neighbours[x]):
                self.refresh(x)
        self.settle()

    def run(self, horizon):
        now = 0.0
        while self.total():
            if self.next == BLOCK:
                self.word = self.random.bit_generator.random_raw(3 * BLOCK).tolist()
                self.wait = self.random.standard_exponential(BLOCK).tolist()
                self.next = 0
            scale = 2.0 ** (self.anchor - WINDOW + self.offset - 2)
            wait = self.wait[self.next] * (1.0 / (float(self.total()) * scale))
            if now + wait > horizon:
                self.next += 1
                return
            now += wait
            self.trials += 1
            target = (self.total() * self.word[3 * self.next]) >> 64
            which = self.word[3 * self.next + 1]
            part = (self.word[3 * self.next + 2] >> 11) * 2.0**-53
            self.next += 1
            for g in self.window():
                weight = len(self.members[g]) * self.weight_of(g)
                if target < weight:
                    break
                target -= weight
            count = len(self.members[g])
            low = which % 2 ** max((count - 1).bit_length(), 1)
            site = self.members[g][low if low < count else (which * count) >> 64]
            rest = part * ((5 + g % 4) * 2.0 ** (g // 4 + self.offset - 2))
            cumulated = 0.0
            for y, k in self.possible(site):
                cumulated += k
                if rest < cumulated:
                    self.hop(site, y)
                    break

    def hop(self, i, j):
        """Everything anew: first what is next to the sites left and reached, the mover last."""
        self.remove(i)
        self.occupied[i], self.occupied[j] = False, True
        near = [*self.neighbours[i], *self.neighbours[j]]
        for x in dict.fromkeys([*near, *range(self.n)]):
            if self.occupied[x] and x != j:
                self.refresh(x)
        self.refresh(j)
        self.hops += 1
        self.settle()
