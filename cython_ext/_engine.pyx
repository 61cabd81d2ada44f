"""The residence-time kernel: event list, hops, exclusion and the competing-exit cap.

Typed loops only; `kmc_oxy.engine` checks arguments, keeps the time and documents the method.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp2, log2, rint
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from numpy.random cimport bitgen_t

from _blocks cimport BLOCK, Block, block_refill
from _cap cimport (
    Cap, FROZEN, LANES, OCTAVE, Weights,
    cap_competitors, cap_more, cap_most, cap_side, cap_site, cap_slots,
)
from _events cimport (
    Events, GROUPS,
    events_add, events_pick, events_rate, events_remove, events_settle, events_update,
    kmc_low_bit, kmc_power_of_two, kmc_quarter_octave,
)

import numpy as np

MAX_DEGREE = 64

cdef enum:
    LATTICE_DEGREE = 6      # graphs of at most this degree take the fast, unrolled path
    LATTICE_STRIDE = 8      # of its rows of neighbours: six sites, the packed reverse slots, spare
    AHEAD = 3               # trials by which the memory of large systems is fetched in advance
    LARGE = 50000           # sites from which on that pays

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    /* Zeroed memory; large blocks on huge pages, since hops touch it at random. */
    static void *kmc_allocate(size_t bytes)
    {
        void *memory = NULL;
        size_t large = (size_t)1 << 21;
        if (posix_memalign(&memory, bytes < 2 * large ? 64 : large, bytes ? bytes : 64))
            return NULL;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (bytes >= 2 * large)
            madvise(memory, bytes, MADV_HUGEPAGE);
    #endif
        memset(memory, 0, bytes);
        return memory;
    }
    /* All ones where slot l is not blocked, for the six slots of a lattice site. */
    static inline double kmc_where_open(double rate, unsigned blocked, int l)
    {
        union { double value; unsigned long long bits; } u;
        u.value = rate;
        u.bits &= ((unsigned long long)((blocked >> l) & 1)) - 1ULL;
        return u.value;
    }
    """
    void *kmc_allocate(size_t size) noexcept nogil
    double kmc_where_open(double rate, unsigned blocked, int l) noexcept nogil
    void prefetch "__builtin_prefetch"(const void *address) noexcept nogil


cdef void *allocate(size_t count, size_t size) except NULL:
    cdef void *memory = kmc_allocate(count * size)
    if memory == NULL:
        raise MemoryError(f"No memory for {count * size} bytes of kernel tables.")
    return memory


cdef class Graph:
    """Neighbour rows of a graph; row n is a dummy that absorbs what missing neighbours are told."""

    cdef readonly int n_sites
    cdef readonly int degree    # slots a site: LATTICE_DEGREE, or the largest degree beyond it
    cdef readonly int stride    # entries of a row of neighbours
    cdef readonly int chunks    # vectors of LANES logarithms that hold a row
    cdef readonly bint parallel     # some pair of sites is joined twice: those must be merged
    cdef int32_t *neighbour     # (n + 1, stride): site at the other end, n where there is none
    cdef uint8_t *reverse       # (n + 1, degree): this site's slot there; NULL where it is packed
    cdef bint triangles         # whether neighbours of a site are ever neighbours of each other

    def __init__(self, int n_sites, const int32_t[:, ::1] bonds):
        """`bonds` should name each pair of sites once; `parallel` tells whether it does."""
        cdef int64_t b, i, j, x
        cdef int k
        cdef int32_t most = 0
        cdef uint8_t[::1] used = np.zeros(n_sites + 1, dtype=np.uint8)
        cdef int32_t[::1] degrees = np.zeros(n_sites + 1, dtype=np.int32)
        for b in range(bonds.shape[0]):
            for k in range(2):
                degrees[bonds[b, k]] += 1
                most = max(most, degrees[bonds[b, k]])
        if most > MAX_DEGREE:
            raise ValueError(
                f"The 'bonds' parameter must give a site at most {MAX_DEGREE} neighbours. "
                f"Got {most} at site {int(np.argmax(degrees))} instead."
            )
        degrees = None
        self.n_sites = n_sites
        self.degree = LATTICE_DEGREE if most <= LATTICE_DEGREE else most
        self.stride = LATTICE_STRIDE if most <= LATTICE_DEGREE else most
        self.chunks = (self.degree + LANES - 1) // LANES
        self.neighbour = <int32_t *>allocate(<size_t>(n_sites + 1) * self.stride, sizeof(int32_t))
        if self.degree != LATTICE_DEGREE:
            self.reverse = <uint8_t *>allocate(<size_t>(n_sites + 1) * self.degree, 1)
        for x in range(n_sites + 1):
            for k in range(self.degree):
                self.neighbour[x * self.stride + k] = n_sites
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            for k in range(used[i]):
                if self.neighbour[i * self.stride + k] == j:
                    self.parallel = True
            self._enter(i, used[i], j, used[j])
            self._enter(j, used[j], i, used[i])
            used[i] += 1
            used[j] += 1
        self.triangles = self._has_triangles(bonds)

    cdef bint _has_triangles(self, const int32_t[:, ::1] bonds) noexcept:
        cdef int64_t b
        cdef int k, far_slot
        cdef const int32_t *near
        cdef const int32_t *far
        for b in range(bonds.shape[0]):
            near = self.neighbour + <int64_t>bonds[b, 0] * self.stride
            far = self.neighbour + <int64_t>bonds[b, 1] * self.stride
            for k in range(self.degree):
                for far_slot in range(self.degree):
                    if near[k] == far[far_slot] and near[k] != self.n_sites:
                        return True
        return False

    cdef void _enter(self, int64_t x, int slot, int64_t y, int slot_there) noexcept:
        self.neighbour[x * self.stride + slot] = <int32_t>y
        if self.degree == LATTICE_DEGREE:
            self.neighbour[x * self.stride + LATTICE_DEGREE] |= slot_there << (3 * slot)
        else:
            self.reverse[x * self.degree + slot] = <uint8_t>slot_there

    def __dealloc__(self):
        free(self.neighbour)
        free(self.reverse)


cdef class RateTable:
    """Rates of every directed bond at one voltage, and for the cap their logarithms."""

    cdef readonly Graph graph
    cdef readonly bint capped
    cdef readonly int offset    # exponent of group 0's lower end (see _events.pxd)
    cdef double *rate           # (n + 1, degree): out of the site, 0 where there is no neighbour
    cdef int16_t *logs          # (n + 1, 2, LANES * chunks): see _cap.pxd
    cdef object used            # slots of each site filled so far

    def __init__(self, Graph graph, bint capped):
        cdef size_t rows = graph.n_sites + 1, row, k, width = LANES * graph.chunks
        self.graph = graph
        self.capped = capped
        self.rate = <double *>allocate(rows * graph.degree, sizeof(double))
        self.used = np.zeros(rows, dtype=np.uint8)
        if capped:
            self.logs = <int16_t *>allocate(rows * 2 * width, sizeof(int16_t))
            for row in range(rows):
                for k in range(width):
                    self.logs[2 * width * row + k] = FROZEN

    def __dealloc__(self):
        free(self.rate)
        free(self.logs)

    @property
    def nbytes(self):
        rows = self.graph.n_sites + 1
        return rows * (8 * self.graph.degree + 4 * LANES * self.graph.chunks * self.capped)

    def fill(self, const int32_t[:, ::1] bonds, const double[::1] k_ij, const double[::1] k_ji):
        """Enter the rates of the next bonds, in the order in which the graph was built."""
        cdef int64_t b, i, j, row_i, row_j
        cdef int log_ij, log_ji, slower
        cdef uint8_t[::1] used = self.used
        cdef int degree = self.graph.degree, width = LANES * self.graph.chunks
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            self.rate[i * degree + used[i]] = k_ij[b]
            self.rate[j * degree + used[j]] = k_ji[b]
            if self.capped:
                log_ij = logarithm(k_ij[b])
                log_ji = logarithm(k_ji[b])
                slower = log_ij if log_ij < log_ji else log_ji
                row_i = 2 * width * i + used[i]
                row_j = 2 * width * j + used[j]
                self.logs[row_i] = self.logs[row_j] = <int16_t>slower
                self.logs[row_i + width] = <int16_t>(log_ij - log_ji)
                self.logs[row_j + width] = <int16_t>(log_ji - log_ij)
            used[i] += 1
            used[j] += 1

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
        self.offset = max(kmc_quarter_octave(most) // 4 - (GROUPS // 4 - 1), -900)
        self.used = None


cdef inline int logarithm(double rate) noexcept nogil:
    """log2 in steps of 1/OCTAVE; FROZEN for a rate of zero."""
    if rate < 2.3e-308:
        return FROZEN
    return <int>rint(OCTAVE * log2(rate))


cdef struct State:
    int n_sites
    int degree
    int chunks
    bint triangles
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
    int64_t *refreshed          # hop after which all rates of this oxygen were last made anew


cdef inline uint64_t blocked_of(const State *s, int64_t site, int degree) noexcept nogil:
    if degree == LATTICE_DEGREE:
        return s.blocked[site]
    return s.blocked_wide[site]


cdef inline const int32_t *neighbours_of(const State *s, int64_t x, int degree) noexcept nogil:
    return s.neighbour + x * (LATTICE_STRIDE if degree == LATTICE_DEGREE else degree)


cdef inline int reverse_of(const State *s, int64_t x, int k, int degree) noexcept nogil:
    """Slot of x in the row of its neighbour at slot k."""
    if degree == LATTICE_DEGREE:
        return (<uint32_t>s.neighbour[x * LATTICE_STRIDE + LATTICE_DEGREE] >> (3 * k)) & 7
    return s.reverse[x * degree + k]


cdef inline const int16_t *logs_of(const State *s, int64_t x, int chunks) noexcept nogil:
    return s.cap.logs + 2 * LANES * chunks * x


cdef inline int chunks_of(const State *s, int degree) noexcept nogil:
    return 1 if degree == LATTICE_DEGREE else s.chunks


cdef inline void tell_neighbours(
    State *s, int64_t site, bint filled, int degree
) noexcept nogil:
    """Enter in the masks of all neighbours that `site` is now filled or empty."""
    cdef const int32_t *neighbour = neighbours_of(s, site, degree)
    cdef int k, bit
    for k in range(degree):
        bit = reverse_of(s, site, k, degree)
        if degree == LATTICE_DEGREE:
            if filled:
                s.blocked[neighbour[k]] |= <uint8_t>(1 << bit)
            else:
                s.blocked[neighbour[k]] &= <uint8_t>~(1 << bit)
        elif filled:
            s.blocked_wide[neighbour[k]] |= <uint64_t>1 << bit
        else:
            s.blocked_wide[neighbour[k]] &= ~(<uint64_t>1 << bit)


cdef inline double scaled(const State *s, double rate, int over) noexcept nogil:
    """`rate` slowed by 2^(-over/OCTAVE), or itself if `over` is not positive."""
    if over <= 0:
        return rate
    return rate * (s.cap.factor[over & (OCTAVE - 1)] * kmc_power_of_two(-(over // OCTAVE)))


cdef inline uint64_t onward(const State *s, int64_t x, int k, int degree) noexcept nogil:
    """Slots of x's neighbour at slot k that lead beyond it: neither to x nor beside x.

    What is beside x is left out because it might be the other end of the bond that is judged,
    whose occupation must not matter.
    """
    cdef int64_t y = neighbours_of(s, x, degree)[k]
    cdef const int32_t *far = neighbours_of(s, y, degree)
    cdef const int32_t *near = neighbours_of(s, x, degree)
    cdef uint64_t slots = ~(<uint64_t>1 << reverse_of(s, x, k, degree))
    cdef int far_slot, m
    if s.triangles:
        for far_slot in range(degree):
            for m in range(degree):
                if far[far_slot] == near[m]:
                    slots &= ~(<uint64_t>1 << far_slot)
    return slots


cdef inline void weigh(
    const State *s, int64_t x, Weights *weights, int degree, int reach
) noexcept nogil:
    """Weights of all hops at x and, with a reach of 2, what lies beyond each of its capped bonds.

    Beyond an empty neighbour: its ways on. Beyond an occupied one: who would take its place.
    """
    cdef int chunks = chunks_of(s, degree)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef uint64_t capped = cap_slots(logs, s.cap.gamma, chunks)
    cdef uint64_t blocked = blocked_of(s, x, degree), blocked_y
    cdef Weights at_y
    cdef int64_t y
    cdef int k
    cap_site(logs, s.cap.gamma, chunks, weights)
    if reach < 2:
        return
    memset(weights.beyond, 0, LANES * chunks * sizeof(int16_t))
    while capped:
        k = kmc_low_bit(capped)
        capped &= capped - 1
        y = neighbours_of(s, x, degree)[k]
        cap_site(logs_of(s, y, chunks), s.cap.gamma, chunks, &at_y)
        blocked_y = blocked_of(s, y, degree)
        if (blocked >> k) & 1:
            weights.beyond[k] = <int16_t>cap_most(
                at_y.back, blocked_y & onward(s, x, k, degree), chunks)
        else:
            weights.beyond[k] = <int16_t>cap_most(
                at_y.out, ~blocked_y & onward(s, x, k, degree), chunks)


cdef inline void cap_hop(
    State *s, int64_t x, int k, const Weights *weights_x, int degree, int reach
) noexcept nogil:
    """Effective rate of the possible hop out of slot k of x, whose bond is capped.

    The factor min(1, max(Gamma/m, A/f, B/b)) is the same from both ends of the bond whichever
    is occupied, so that detailed balance is exact within a window.
    """
    cdef int chunks = chunks_of(s, degree)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef int64_t y = neighbours_of(s, x, degree)[k]
    cdef int over = logs[k] - s.cap.gamma
    cdef int tilt = logs[LANES * chunks + k]
    cdef int own_x, hole_x, own_y, hole_y, forward, backward, best
    cdef Weights weights_y
    weigh(s, y, &weights_y, degree, reach)
    if reach < 2:
        cap_competitors(weights_x, blocked_of(s, x, degree), k,
                        &weights_y, blocked_of(s, y, degree), reverse_of(s, x, k, degree),
                        chunks, &forward, &backward)
    else:
        cap_side(&s.cap, logs, weights_x, blocked_of(s, x, degree), k, chunks, &own_x, &hole_x)
        cap_side(&s.cap, logs_of(s, y, chunks), &weights_y, blocked_of(s, y, degree),
                 reverse_of(s, x, k, degree), chunks, &own_y, &hole_y)
        forward = max(own_x, hole_y)
        backward = max(own_y, hole_x)
    if tilt > 0:
        forward -= tilt
    else:
        backward += tilt
    best = max(forward, backward)
    if best > 0:
        over -= best
    s.effective[x * degree + k] = scaled(s, s.rate[x * degree + k], over)


cdef inline double total_rate(const State *s, int64_t x, int degree) noexcept nogil:
    """Sum over the possible hops of an oxygen at x, in slot order."""
    cdef uint64_t blocked = blocked_of(s, x, degree)
    cdef const double *rate = s.effective + x * degree
    cdef double total = 0.0
    cdef int k
    for k in range(degree):
        if degree == LATTICE_DEGREE:
            total += kmc_where_open(rate[k], <unsigned>blocked, k)
        elif not (blocked >> k) & 1:
            total += rate[k]
    return total


cdef inline int direction(
    const State *s, int64_t x, double rest, int degree
) noexcept nogil:
    """Slot where the cumulated rate of an oxygen's possible hops passes `rest`; `degree` if none.

    A slot of zero rate never does.
    """
    cdef uint64_t blocked = blocked_of(s, x, degree)
    cdef const double *rate = s.effective + x * degree
    cdef double total = 0.0
    cdef int k, slot = 0
    for k in range(degree):
        if degree == LATTICE_DEGREE:
            total += kmc_where_open(rate[k], <unsigned>blocked, k)
        elif not (blocked >> k) & 1:
            total += rate[k]
        slot += rest >= total
    return slot


cdef inline void refresh(State *s, int64_t x, int degree, int reach) noexcept nogil:
    """The surroundings of the oxygen at x have changed: its rates and its group anew."""
    cdef uint64_t open_slots, slots
    cdef int k, chunks
    cdef const int16_t *logs
    cdef Weights weights
    if reach:
        s.refreshed[x] = s.hops
        chunks = chunks_of(s, degree)
        logs = logs_of(s, x, chunks)
        open_slots = ~blocked_of(s, x, degree)
        slots = cap_slots(logs, s.cap.gamma, chunks)
        for k in range(degree):
            s.effective[x * degree + k] = s.rate[x * degree + k]
        slots &= open_slots
        if slots:
            weigh(s, x, &weights, degree, reach)
            while slots:
                cap_hop(s, x, kmc_low_bit(slots), &weights, degree, reach)
                slots &= slots - 1
    events_update(&s.events, <int32_t>x, total_rate(s, x, degree))


cdef inline void refresh_around(
    State *s, int64_t center, int64_t other, int degree, int reach
) noexcept nogil:
    """Refresh whatever the occupation of `center` bears on, apart from the oxygen at `other`."""
    cdef int chunks = chunks_of(s, degree)
    cdef const int32_t *neighbour = neighbours_of(s, center, degree)
    cdef uint64_t near = blocked_of(s, center, degree), far
    cdef int k, far_slot, back
    cdef int64_t y, p
    cdef Weights weights
    cdef uint64_t taken = near
    # The oxygens next to it first: slots into a site that has just been left have no effective rate
    # before that.
    while taken:
        y = neighbour[kmc_low_bit(taken)]
        taken &= taken - 1
        if y != other and y != s.n_sites and not (reach and s.refreshed[y] == s.hops):
            refresh(s, y, degree, reach)
    if not reach:
        return
    for k in range(degree):
        y = neighbour[k]
        if (near >> k) & 1 or y == other:
            continue
        # y is empty: capped bonds from its oxygens into it compete with what center changed.
        far = blocked_of(s, y, degree) & cap_slots(logs_of(s, y, chunks), s.cap.gamma, chunks)
        while far:
            far_slot = kmc_low_bit(far)
            far &= far - 1
            p = neighbours_of(s, y, degree)[far_slot]
            if p == center or p == other or s.refreshed[p] == s.hops:
                continue
            back = reverse_of(s, y, far_slot, degree)
            weigh(s, p, &weights, degree, reach)
            cap_hop(s, p, back, &weights, degree, reach)
            events_update(&s.events, <int32_t>p, total_rate(s, p, degree))


cdef inline bint outlook_changed(
    const State *s, int64_t center, int k, int degree
) noexcept nogil:
    """Whether the occupation of `center` bears on what lies beyond its neighbour at slot k.

    It does not where two of that neighbour's other hops weigh more: whoever looks from one of the
    two still sees the other.
    """
    cdef int chunks = chunks_of(s, degree)
    cdef int64_t y = neighbours_of(s, center, degree)[k]
    cdef int slot = reverse_of(s, center, k, degree)
    cdef uint64_t blocked = blocked_of(s, y, degree), own = <uint64_t>1 << slot, more
    cdef Weights weights
    if y == s.n_sites or not cap_slots(logs_of(s, y, chunks), s.cap.gamma, chunks):
        return False
    cap_site(logs_of(s, y, chunks), s.cap.gamma, chunks, &weights)
    if (blocked_of(s, center, degree) >> k) & 1:
        if cap_most(weights.back, own, chunks) == 0:
            return False
        more = cap_more(weights.back, own, blocked, chunks)
    else:
        if cap_most(weights.out, own, chunks) == 0:
            return False
        more = cap_more(weights.out, own, ~blocked, chunks)
    return s.triangles or not more & (more - 1)


cdef inline void refresh_beyond(
    State *s, int64_t center, int64_t other, int degree
) noexcept nogil:
    """Refresh whatever looks at `center` across one of its neighbours."""
    cdef int64_t y
    cdef int k
    for k in range(degree):
        y = neighbours_of(s, center, degree)[k]
        if y != other and outlook_changed(s, center, k, degree):
            refresh_around(s, y, other, degree, 2)


cdef inline void hop(State *s, int64_t i, int k, int degree, int reach) noexcept nogil:
    """Move the oxygen at i through slot k."""
    cdef int64_t j = neighbours_of(s, i, degree)[k]
    events_remove(&s.events, <int32_t>i)
    s.occupied[i] = 0
    s.occupied[j] = 1
    tell_neighbours(s, i, False, degree)
    tell_neighbours(s, j, True, degree)
    s.hops += 1
    refresh_around(s, i, j, degree, reach)
    refresh_around(s, j, i, degree, reach)
    if reach == 2:
        refresh_beyond(s, i, j, degree)
        refresh_beyond(s, j, i, degree)
    refresh(s, j, degree, reach)
    events_settle(&s.events)


cdef inline double uniform(uint64_t word) noexcept nogil:
    """In [0, 1), a multiple of 2^-53."""
    return (word >> 11) * (1.0 / 9007199254740992.0)


cdef inline void fetch_ahead(State *s, int degree) noexcept nogil:
    """Start loading what the coming trials will most likely need.

    What they pick is guessed from the present event list; a wrong guess costs a little time only.
    """
    cdef int next_trial = s.block.next + AHEAD
    cdef int64_t site
    cdef double bound = 0.0
    cdef int k
    if next_trial < BLOCK:
        site = events_pick(&s.events, s.block.word[2 * next_trial], &bound)
        prefetch(s.effective + site * degree)
        prefetch(s.effective + site * degree + degree - 1)
        prefetch(neighbours_of(s, site, degree))
        prefetch(s.blocked + site)
    next_trial = s.block.next + 1
    if next_trial < BLOCK:
        site = events_pick(&s.events, s.block.word[2 * next_trial], &bound)
        k = direction(s, site, uniform(s.block.word[2 * next_trial + 1]) * bound, degree)
        if k < degree:
            site = neighbours_of(s, site, degree)[k]
            prefetch(s.effective + site * degree)
            prefetch(s.effective + site * degree + degree - 1)
            prefetch(neighbours_of(s, site, degree))
            prefetch(s.blocked + site)


cdef inline int run_events(
    State *s, double horizon, int64_t most_trials, double *clock,
    int degree, int reach, bint large
) noexcept nogil:
    """Run until `horizon` seconds from now or for `most_trials` trials.

    Returns 1 when the horizon was reached, 0 when the trials were used up, -1 without memory.
    """
    cdef int64_t _
    cdef double now = 0.0, wait, bound = 0.0
    cdef double mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
    cdef int32_t site
    cdef int k
    for _ in range(most_trials):
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
        if large:
            fetch_ahead(s, degree)
        k = direction(s, site, uniform(s.block.word[2 * s.block.next + 1]) * bound, degree)
        s.block.next += 1
        if k < degree:
            hop(s, site, k, degree, reach)
            mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
            if s.events.out_of_memory:
                return -1
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
    cdef readonly int reach     # of the cap: 0 in exact mode, otherwise 1 or 2 steps
    cdef object bit_generator

    def __init__(self, Graph graph, const uint8_t[::1] occupied, bit_generator, int reach):
        cdef State *s = &self.s
        cdef size_t rows = graph.n_sites + 1
        cdef int g
        self.graph = graph
        self.reach = reach
        self.bit_generator = bit_generator
        s.block.bitgen = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        s.block.next = BLOCK
        s.n_sites = graph.n_sites
        s.degree = graph.degree
        s.chunks = graph.chunks
        s.triangles = graph.triangles
        s.neighbour = graph.neighbour
        s.reverse = graph.reverse
        s.occupied = <uint8_t *>allocate(rows, sizeof(uint8_t))
        s.events.group = <uint16_t *>allocate(rows, sizeof(uint16_t))
        s.events.place = <int32_t *>allocate(rows, sizeof(int32_t))
        if graph.degree == LATTICE_DEGREE:
            s.blocked = <uint8_t *>allocate(rows, sizeof(uint8_t))
        else:
            s.blocked_wide = <uint64_t *>allocate(rows, sizeof(uint64_t))
        if reach:
            s.effective = <double *>allocate(rows * graph.degree, sizeof(double))
            s.refreshed = <int64_t *>allocate(rows, sizeof(int64_t))
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
        free(self.s.refreshed)
        free(self.s.events.group)
        free(self.s.events.place)
        for g in range(GROUPS):
            free(self.s.events.member[g])
        if self.reach:
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
                y = neighbours_of(s, x, s.degree)[k]
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
        if table.graph is not self.graph or table.capped != (self.reach > 0):
            raise ValueError("The rate table belongs to another graph or mode.")
        self.table = table
        s.rate = table.rate
        s.cap.logs = table.logs
        s.cap.gamma = gamma
        if not self.reach:
            s.effective = table.rate
        self._clear(table.offset, 0)
        for x in range(s.n_sites):
            if s.occupied[x]:
                refresh(s, x, s.degree, self.reach)
        self._settle()

    def lower_gamma(self, int gamma):
        """Enter the next window: only oxygens with a capped bond are touched."""
        cdef State *s = &self.s
        cdef int64_t x
        s.cap.gamma = gamma
        with nogil:
            for x in range(s.n_sites):
                if s.occupied[x] and cap_slots(logs_of(s, x, s.chunks), gamma, s.chunks):
                    refresh(s, x, s.degree, self.reach)
        self._settle()

    cdef void _clear(self, int offset, int anchor) noexcept:
        cdef Events *events = &self.s.events
        memset(events.count, 0, sizeof(events.count))
        memset(events.filled, 0, sizeof(events.filled))
        events.filled_words = 0
        memset(events.group, 0xff, (self.s.n_sites + 1) * sizeof(uint16_t))
        events.total = 0
        events.offset = offset
        events.anchor = anchor

    cdef int _settle(self) except -1:
        if self.s.events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        events_settle(&self.s.events)
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
            if self.s.degree != LATTICE_DEGREE:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     self.s.degree, self.reach, False)
            elif self.reach == 2:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     LATTICE_DEGREE, 2, False)
            elif self.reach == 1:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     LATTICE_DEGREE, 1, False)
            elif self.s.n_sites < LARGE:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     LATTICE_DEGREE, 0, False)
            else:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     LATTICE_DEGREE, 0, True)
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
        cdef int64_t m = 0, _
        cdef int g
        self.use(table, state["gamma"])
        self._clear(table.offset, state["anchor"])
        for g in range(GROUPS):
            for _ in range(state["counts"][g]):
                events_add(events, members[m], g)
                m += 1
        if events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        self.s.hops = state["hops"]
        self.s.trials = state["trials"]
        self.s.block.next = state["block_next"]
        memcpy(self.s.block.word, &word[0], sizeof(self.s.block.word))
        memcpy(self.s.block.wait, &wait[0], sizeof(self.s.block.wait))
