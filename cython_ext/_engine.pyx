"""The residence-time kernel: event list, hops, exclusion and the competing-exit cap.

Typed loops only; `kmc_oxy.engine` checks arguments, keeps the time and documents the method.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp2, log2, rint
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from numpy.random cimport bitgen_t

from _blocks cimport BLOCK, Block, block_refill
from _cap cimport Cap, FROZEN, OCTAVE, cap_competitors
from _events cimport (
    Events, GROUPS, SLACK, UNLISTED,
    events_add, events_anchor, events_pick, events_rate, events_remove, events_top,
    events_update, kmc_exponent, kmc_low_bit, kmc_power_of_two,
)

import numpy as np

MAX_DEGREE = 64

cdef enum:
    LATTICE_DEGREE = 6      # graphs of at most this degree take the fast, unrolled path
    ROW = 8                 # entries of a row of 16-bit logarithms on that path


cdef void *allocate(size_t count, size_t size) except NULL:
    cdef void *memory = calloc(count if count else 1, size)
    if memory == NULL:
        raise MemoryError(f"No memory for {count * size} bytes of kernel tables.")
    return memory


cdef class Graph:
    """Neighbour rows of a graph; row n is a dummy that absorbs what missing neighbours are told."""

    cdef readonly int n_sites
    cdef readonly int degree    # slots a row: LATTICE_DEGREE, or the largest degree beyond it
    cdef readonly int stride    # entries of a row of 16-bit logarithms
    cdef int32_t *neighbour     # (n + 1, degree): site at the other end, n where there is none
    cdef uint8_t *reverse       # (n + 1, degree): slot of this site in that neighbour's row

    def __init__(self, int n_sites, const int32_t[:, ::1] bonds):
        """`bonds` names each pair of sites once."""
        cdef int64_t b, i, j
        cdef uint8_t[::1] used = np.zeros(n_sites + 1, dtype=np.uint8)
        degrees = np.bincount(np.asarray(bonds).ravel(), minlength=n_sites)
        largest = int(degrees.max()) if len(degrees) else 0
        if largest > MAX_DEGREE:
            raise ValueError(
                f"The 'bonds' parameter must give a site at most {MAX_DEGREE} neighbours. "
                f"Got {largest} at site {int(degrees.argmax())} instead."
            )
        self.n_sites = n_sites
        self.degree = LATTICE_DEGREE if largest <= LATTICE_DEGREE else largest
        self.stride = ROW if self.degree == LATTICE_DEGREE else self.degree
        self.neighbour = <int32_t *>allocate(<size_t>(n_sites + 1) * self.degree, sizeof(int32_t))
        self.reverse = <uint8_t *>allocate(<size_t>(n_sites + 1) * self.degree, sizeof(uint8_t))
        for b in range(<int64_t>(n_sites + 1) * self.degree):
            self.neighbour[b] = n_sites
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            self.neighbour[i * self.degree + used[i]] = <int32_t>j
            self.neighbour[j * self.degree + used[j]] = <int32_t>i
            self.reverse[i * self.degree + used[i]] = used[j]
            self.reverse[j * self.degree + used[j]] = used[i]
            used[i] += 1
            used[j] += 1

    def __dealloc__(self):
        free(self.neighbour)
        free(self.reverse)


cdef class RateTable:
    """Rates of every directed bond at one voltage, and for the cap their logarithms."""

    cdef readonly Graph graph
    cdef readonly bint capped
    cdef readonly int offset    # exponent of group 0's lower end (see _events.pxd)
    cdef double *rate           # (n + 1, degree): out of the site, 0 where there is no neighbour
    cdef int16_t *slower        # (n + 1, stride), and so on: see _cap.pxd
    cdef int16_t *out
    cdef int16_t *back
    cdef int16_t *fastest       # (n + 1,)
    cdef uint8_t *used          # slots of each site filled so far

    def __init__(self, Graph graph, bint capped):
        cdef size_t rows = graph.n_sites + 1
        self.graph = graph
        self.capped = capped
        self.rate = <double *>allocate(rows * graph.degree, sizeof(double))
        self.used = <uint8_t *>allocate(rows, sizeof(uint8_t))
        if capped:
            self.slower = <int16_t *>allocate(rows * graph.stride, sizeof(int16_t))
            self.out = <int16_t *>allocate(rows * graph.stride, sizeof(int16_t))
            self.back = <int16_t *>allocate(rows * graph.stride, sizeof(int16_t))
            self.fastest = <int16_t *>allocate(rows, sizeof(int16_t))
            for i in range(rows * graph.stride):
                self.slower[i] = FROZEN
            for i in range(rows):
                self.fastest[i] = FROZEN

    def __dealloc__(self):
        free(self.rate)
        free(self.slower)
        free(self.out)
        free(self.back)
        free(self.fastest)
        free(self.used)

    @property
    def nbytes(self):
        rows = self.graph.n_sites + 1
        return rows * (8 * self.graph.degree + (6 * self.graph.stride + 2) * self.capped)

    def fill(self, const int32_t[:, ::1] bonds, const double[::1] k_ij, const double[::1] k_ji):
        """Enter the rates of the next bonds, in the order in which the graph was built."""
        cdef int64_t b, i, j, row_i, row_j
        cdef int log_ij, log_ji, slower
        cdef int degree = self.graph.degree, stride = self.graph.stride
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            self.rate[i * degree + self.used[i]] = k_ij[b]
            self.rate[j * degree + self.used[j]] = k_ji[b]
            if self.capped:
                log_ij = logarithm(k_ij[b])
                log_ji = logarithm(k_ji[b])
                slower = log_ij if log_ij < log_ji else log_ji
                row_i = i * stride + self.used[i]
                row_j = j * stride + self.used[j]
                self.slower[row_i] = self.slower[row_j] = <int16_t>slower
                self.out[row_i] = self.back[row_j] = <int16_t>(log_ij - slower)
                self.out[row_j] = self.back[row_i] = <int16_t>(log_ji - slower)
                if slower > self.fastest[i]:
                    self.fastest[i] = <int16_t>slower
                if slower > self.fastest[j]:
                    self.fastest[j] = <int16_t>slower
            self.used[i] += 1
            self.used[j] += 1

    def close(self):
        """All bonds are in: fix the scale of the event list."""
        cdef int64_t i
        cdef int k
        cdef double total, most = 0.0
        for i in range(self.graph.n_sites):
            total = 0.0
            for k in range(self.graph.degree):
                total += self.rate[i * self.graph.degree + k]
            if total > most:
                most = total
        # Far enough above the denormal numbers that every weight is a normal one.
        self.offset = max(kmc_exponent(most) - (GROUPS - 1), -900)


cdef inline int logarithm(double rate) noexcept nogil:
    """log2 in steps of 1/OCTAVE; FROZEN for a rate of zero."""
    if rate < 2.3e-308:
        return FROZEN
    return <int>rint(OCTAVE * log2(rate))


cdef struct State:
    int n_sites
    int degree
    int stride
    const int32_t *neighbour
    const uint8_t *reverse
    const double *rate          # quenched rates, rows of `degree`
    double *effective           # the same after the cap; `rate` itself in exact mode
    uint8_t *occupied
    uint8_t *blocked            # bit k: slot k leads to an occupied site or nowhere (degree 6)
    uint64_t *blocked_wide      # the same for larger degrees; one of the two is NULL
    Cap cap
    Events events
    Block block
    int64_t hops
    int64_t trials


cdef inline uint64_t blocked_of(const State *s, int64_t site, int degree) noexcept nogil:
    if degree == LATTICE_DEGREE:
        return s.blocked[site]
    return s.blocked_wide[site]


cdef inline void tell_neighbours(
    State *s, int64_t site, bint filled, int degree
) noexcept nogil:
    """Enter in the masks of all neighbours that `site` is now filled or empty."""
    cdef int k
    cdef int64_t y
    cdef int bit
    for k in range(degree):
        y = s.neighbour[site * degree + k]
        bit = s.reverse[site * degree + k]
        if degree == LATTICE_DEGREE:
            if filled:
                s.blocked[y] |= <uint8_t>(1 << bit)
            else:
                s.blocked[y] &= <uint8_t>~(1 << bit)
        elif filled:
            s.blocked_wide[y] |= <uint64_t>1 << bit
        else:
            s.blocked_wide[y] &= ~(<uint64_t>1 << bit)


cdef inline double capped_rate(const State *s, int64_t x, int k, int degree) noexcept nogil:
    """Rate of the possible hop out of slot k of x under the cap (physics of the cap: _cap.pxd).

    The factor min(1, max(Gamma/m, A/f, B/b)) is the same from both ends of the bond whichever
    is occupied, so that detailed balance is exact within a window.
    """
    cdef int stride = ROW if degree == LATTICE_DEGREE else degree
    cdef int64_t row = x * stride + k
    cdef int over = s.cap.slower[row] - s.cap.gamma
    cdef double rate = s.rate[x * degree + k]
    cdef int64_t y
    cdef int from_x = -32768, from_y = -32768, best
    if over <= 0:
        return rate
    y = s.neighbour[x * degree + k]
    cap_competitors(&s.cap, x * stride, k, blocked_of(s, x, degree), degree, &from_x, &from_y)
    cap_competitors(&s.cap, y * stride, s.reverse[x * degree + k], blocked_of(s, y, degree),
                    degree, &from_y, &from_x)
    from_x -= s.cap.out[row]
    from_y -= s.cap.back[row]
    best = from_x if from_x > from_y else from_y
    if best > 0:
        over -= best
        if over <= 0:
            return rate
    return rate * (s.cap.factor[over & (OCTAVE - 1)] * kmc_power_of_two(-(over // OCTAVE)))


cdef inline double total_rate(const State *s, int64_t x, int degree) noexcept nogil:
    """Sum over the possible hops of an oxygen at x, in slot order."""
    cdef uint64_t blocked = blocked_of(s, x, degree)
    cdef double total = 0.0
    cdef int k
    for k in range(degree):
        if not (blocked >> k) & 1:
            total += s.effective[x * degree + k]
    return total


cdef inline void refresh(State *s, int64_t x, int degree, bint capped) noexcept nogil:
    """The surroundings of the oxygen at x have changed: its rates and its group anew."""
    cdef uint64_t blocked
    cdef int k
    if capped:
        blocked = blocked_of(s, x, degree)
        for k in range(degree):
            if not (blocked >> k) & 1:
                s.effective[x * degree + k] = capped_rate(s, x, k, degree)
    events_update(&s.events, <int32_t>x, total_rate(s, x, degree))


cdef inline void refresh_around(
    State *s, int64_t center, int64_t other, int degree, bint capped
) noexcept nogil:
    """Refresh whatever the occupation of `center` bears on, apart from the oxygen at `other`."""
    cdef int stride = ROW if degree == LATTICE_DEGREE else degree
    cdef uint64_t near = blocked_of(s, center, degree), far
    cdef int k, l, back
    cdef int64_t y, p
    for k in range(degree):
        y = s.neighbour[center * degree + k]
        if y == s.n_sites or y == other:
            continue
        if (near >> k) & 1:
            refresh(s, y, degree, capped)
        elif capped and s.cap.fastest[y] > s.cap.gamma:
            # y is empty: capped bonds from its oxygens into it compete with what center changed.
            far = blocked_of(s, y, degree)
            for l in range(degree):
                if (far >> l) & 1 and s.cap.slower[y * stride + l] > s.cap.gamma:
                    p = s.neighbour[y * degree + l]
                    if p == center or p == other:
                        continue
                    back = s.reverse[y * degree + l]
                    s.effective[p * degree + back] = capped_rate(s, p, back, degree)
                    events_update(&s.events, <int32_t>p, total_rate(s, p, degree))


cdef inline int hop(State *s, int64_t i, int k, int degree, bint capped) noexcept nogil:
    """Move the oxygen at i through slot k."""
    cdef int64_t j = s.neighbour[i * degree + k]
    cdef int top
    events_remove(&s.events, <int32_t>i)
    s.occupied[i] = 0
    s.occupied[j] = 1
    tell_neighbours(s, i, False, degree)
    tell_neighbours(s, j, True, degree)
    refresh_around(s, i, j, degree, capped)
    refresh_around(s, j, i, degree, capped)
    refresh(s, j, degree, capped)
    s.hops += 1
    top = events_top(&s.events)
    if top >= 0 and s.events.anchor - top > SLACK:
        events_anchor(&s.events, top)
    return s.events.out_of_memory


cdef inline int run_events(
    State *s, double horizon, int64_t most_trials, double *clock, int degree, bint capped
) noexcept nogil:
    """Run until `horizon` seconds from now or for `most_trials` trials.

    Returns 1 when the horizon was reached, 0 when the trials were used up, -1 without memory.
    """
    cdef int64_t trial
    cdef double now = 0.0, wait, bound = 0.0, rest
    cdef double mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
    cdef int32_t site
    cdef uint64_t blocked
    cdef int k
    for trial in range(most_trials):
        if mean_wait < 0.0:
            clock[0] = horizon
            return 1
        if s.block.next == BLOCK:
            block_refill(&s.block)
        wait = s.block.wait[s.block.next] * mean_wait
        if now + wait > horizon:
            # Memoryless: what is left of this waiting time may be drawn anew after the horizon.
            s.block.next += 1
            clock[0] = horizon
            return 1
        now += wait
        s.trials += 1
        site = events_pick(&s.events, s.block.word[2 * s.block.next], &bound)
        rest = (s.block.word[2 * s.block.next + 1] >> 11) * (1.0 / 9007199254740992.0) * bound
        s.block.next += 1
        blocked = blocked_of(s, site, degree)
        for k in range(degree):
            if (blocked >> k) & 1:
                continue
            rest -= s.effective[<int64_t>site * degree + k]
            if rest < 0.0:
                if hop(s, site, k, degree, capped):
                    return -1
                mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
                break
    clock[0] = now
    return 0


cdef class Kernel:
    """Oxygens on a graph with exclusion. One instance is one independent system.

    Invariants between calls: `occupied` holds the number of oxygens it was made with; every
    oxygen that can hop is in exactly one group; masks, effective rates and groups are those that
    `occupied`, the table and Gamma imply.
    """

    cdef State s
    cdef readonly Graph graph
    cdef readonly RateTable table
    cdef readonly bint capped
    cdef object bit_generator

    def __init__(self, Graph graph, const uint8_t[::1] occupied, bit_generator, bint capped):
        cdef State *s = &self.s
        cdef size_t rows = graph.n_sites + 1
        cdef int g
        self.graph = graph
        self.capped = capped
        self.bit_generator = bit_generator
        s.block.bitgen = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        s.block.next = BLOCK
        s.n_sites = graph.n_sites
        s.degree = graph.degree
        s.stride = graph.stride
        s.neighbour = graph.neighbour
        s.reverse = graph.reverse
        s.occupied = <uint8_t *>allocate(rows, sizeof(uint8_t))
        s.events.group = <uint8_t *>allocate(rows, sizeof(uint8_t))
        s.events.place = <int32_t *>allocate(rows, sizeof(int32_t))
        if graph.degree == LATTICE_DEGREE:
            s.blocked = <uint8_t *>allocate(rows, sizeof(uint8_t))
        else:
            s.blocked_wide = <uint64_t *>allocate(rows, sizeof(uint64_t))
        if capped:
            s.effective = <double *>allocate(rows * graph.degree, sizeof(double))
        for g in range(OCTAVE):
            s.cap.factor[g] = exp2(-g / <double>OCTAVE)
        if graph.n_sites:
            memcpy(s.occupied, &occupied[0], graph.n_sites)
        self._mask()

    def __dealloc__(self):
        cdef int g
        free(self.s.occupied)
        free(self.s.blocked)
        free(self.s.blocked_wide)
        free(self.s.events.group)
        free(self.s.events.place)
        for g in range(GROUPS):
            free(self.s.events.member[g])
        if self.capped:
            free(self.s.effective)

    cdef void _mask(self) noexcept:
        """Masks of blocked slots from the occupation."""
        cdef State *s = &self.s
        cdef int64_t x
        cdef int k
        cdef int32_t y
        cdef uint64_t blocked
        for x in range(s.n_sites + 1):
            blocked = 0
            for k in range(s.degree):
                y = s.neighbour[x * s.degree + k]
                if y == s.n_sites or s.occupied[y]:
                    blocked |= <uint64_t>1 << k
            if s.degree == LATTICE_DEGREE:
                s.blocked[x] = <uint8_t>blocked
            else:
                s.blocked_wide[x] = blocked

    def use(self, RateTable table, int gamma):
        """Take the rates of `table`, capped at log Gamma `gamma`, and rebuild the event list.

        Parameters
        ----------
        table : RateTable
            Closed, and made for this graph and mode.
        gamma : int
            log2 of Gamma in steps of 1/16; not read in exact mode.
        """
        cdef State *s = &self.s
        cdef int64_t x
        if table.graph is not self.graph or table.capped != self.capped:
            raise ValueError("The rate table belongs to another graph or mode.")
        self.table = table
        s.rate = table.rate
        s.cap.slower = table.slower
        s.cap.out = table.out
        s.cap.back = table.back
        s.cap.fastest = table.fastest
        s.cap.gamma = gamma
        if not self.capped:
            s.effective = table.rate
        self._clear(table.offset, 0)
        for x in range(s.n_sites):
            if s.occupied[x]:
                refresh(s, x, s.degree, self.capped)
        self._settle()

    def lower_gamma(self, int gamma):
        """Enter the next window: only oxygens with a capped bond are touched."""
        cdef State *s = &self.s
        cdef int64_t x
        s.cap.gamma = gamma
        with nogil:
            for x in range(s.n_sites):
                if s.occupied[x] and s.cap.fastest[x] > gamma:
                    refresh(s, x, s.degree, True)
        self._settle()

    cdef void _clear(self, int offset, int anchor) noexcept:
        cdef Events *events = &self.s.events
        memset(events.count, 0, sizeof(events.count))
        memset(events.filled, 0, sizeof(events.filled))
        memset(events.group, UNLISTED, self.s.n_sites + 1)
        events.total = 0
        events.offset = offset
        events.anchor = anchor

    cdef int _settle(self) except -1:
        if self.s.events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        cdef int top = events_top(&self.s.events)
        if top >= 0 and self.s.events.anchor - top > SLACK:
            events_anchor(&self.s.events, top)
        return 0

    def run(self, double horizon_s, int64_t most_trials):
        """Make hops until `horizon_s` from now, or for at most `most_trials` trials.

        Returns
        -------
        elapsed_s : float
            `horizon_s` itself when it was reached.
        done : bool
        """
        cdef double clock = 0.0
        cdef int outcome
        with self.bit_generator.lock, nogil:
            if self.s.degree == LATTICE_DEGREE:
                if self.capped:
                    outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                         LATTICE_DEGREE, True)
                else:
                    outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                         LATTICE_DEGREE, False)
            else:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     self.s.degree, self.capped)
        if outcome < 0:
            raise MemoryError("No memory for the event list.")
        return clock, outcome == 1

    @property
    def hops(self):
        return self.s.hops

    @property
    def trials(self):
        return self.s.trials

    @property
    def total_rate(self):
        """Total rate of trials (hops and rejections) now, 1/s."""
        return events_rate(&self.s.events) if self.s.events.total else 0.0

    def occupied(self):
        """Copy of the occupation, shape (n,), bool."""
        cdef uint8_t[::1] view = <uint8_t[:self.s.n_sites]>self.s.occupied
        return np.array(view, dtype=bool)

    def state(self):
        """All that a later `restore` needs to continue bit for bit, as arrays and numbers."""
        cdef Events *events = &self.s.events
        cdef int g
        members = []
        for g in range(GROUPS):
            if events.count[g]:
                members.append(np.array(<int32_t[:events.count[g]]>events.member[g]))
        return {
            "occupied": self.occupied(),
            "members": np.concatenate(members) if members else np.zeros(0, np.int32),
            "counts": np.array(<int32_t[:GROUPS]>events.count),
            "anchor": events.anchor,
            "gamma": self.s.cap.gamma,
            "hops": self.s.hops,
            "trials": self.s.trials,
            "block_next": self.s.block.next,
            "block_word": np.array(<uint64_t[:2 * BLOCK]>self.s.block.word),
            "block_wait": np.array(<double[:BLOCK]>self.s.block.wait),
        }

    def restore(self, RateTable table, state):
        """Continue from `state`; the table must be the one that was in use."""
        cdef Events *events = &self.s.events
        cdef const int32_t[::1] members = state["members"]
        cdef const uint64_t[::1] word = state["block_word"]
        cdef const double[::1] wait = state["block_wait"]
        cdef int64_t m = 0, c
        cdef int g
        self.use(table, state["gamma"])
        self._clear(table.offset, state["anchor"])
        for g in range(GROUPS):
            for c in range(state["counts"][g]):
                events_add(events, members[m], g)
                m += 1
        if events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        self.s.hops = state["hops"]
        self.s.trials = state["trials"]
        self.s.block.next = state["block_next"]
        memcpy(self.s.block.word, &word[0], sizeof(self.s.block.word))
        memcpy(self.s.block.wait, &wait[0], sizeof(self.s.block.wait))
