"""The residence-time kernel: oxygens on a graph with exclusion, exact or with capped rates.

Typed loops only. `kmc_oxy.physics.engine` checks arguments, keeps time, documents the method.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp2
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from numpy.random cimport bitgen_t

from competition_weights cimport Competition, FROZEN, LANES, OCTAVE, SiteCap
from rate_cap cimport (
    cap_rates_of_oxygen, evaluate_surroundings, is_capped, set_effective_rates, update_competition,
)
from event_list cimport (
    EMPTY, Events, GROUPS, OCTAVES, SLACK, Site, UNLISTED,
    events_add, events_group, events_rate, events_settle, events_top, kmc_quarter_octave,
)
from event_loop cimport run_events
from hop_selection cimport kmc_cumulate, update_group
from memory cimport allocate
from random_blocks cimport BLOCK
from kernel_state cimport (
    LATTICE, MASKS, MAX_DEGREE, MAX_PATTERNS, MAX_RATE_ROWS, NeighbourPattern, PATTERNED,
    PREFETCH_FROM, SLOTS, STRIDE, SiteIndices, State, is_lattice, neighbour_of, occupied_at,
    slots_of,
)

import numpy as np

include "graph_and_rates.pxi"


cdef class Kernel:
    """Oxygens on a graph with exclusion. One instance is one independent system.

    Invariants between calls: the number of oxygens is conserved; every oxygen that can hop is in
    exactly one group; masks, competition, effective rates of possible hops, and groups are
    functions of the occupation, the table and Gamma.
    """

    cdef State s
    cdef readonly Graph graph
    cdef readonly RateTable table
    cdef readonly int reach     # of the cap: 0 in exact mode, otherwise 1 or 2 steps
    cdef object bit_generator

    def __init__(self, Graph graph, const uint8_t[::1] occupied, bit_generator, int reach):
        cdef State *s = &self.s
        cdef size_t rows = graph.n_sites + 1
        cdef int64_t x
        cdef int g
        self.graph = graph
        self.reach = reach
        self.bit_generator = bit_generator
        s.block.bitgen = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        s.block.next = BLOCK
        memset(s.guesses, 255, sizeof(s.guesses))
        s.n_sites = graph.n_sites
        s.path = graph.path
        s.chunks = graph.chunks
        s.triangles = graph.triangles
        s.neighbour = graph.neighbour
        s.reverse = graph.reverse
        s.site = s.events.site = <Site *>allocate(rows, sizeof(Site))
        if graph.degree != SLOTS:
            s.blocked_wide = <uint64_t *>allocate(rows, sizeof(uint64_t))
        if reach:
            s.effective = <double *>allocate(rows * graph.degree, sizeof(double))
            if graph.degree == SLOTS:
                s.site_cap = <SiteCap *>allocate(rows, sizeof(SiteCap))
            if reach == 2:
                s.competition = <Competition *>allocate(rows, sizeof(Competition))
            s.mark = <int64_t *>allocate(rows, sizeof(int64_t))
            s.further = <int32_t *>allocate(rows, sizeof(int32_t))
        for g in range(OCTAVE):
            s.cap.factor[g] = exp2(-g / <double>OCTAVE)
        for x in range(graph.n_sites):
            s.site[x].group = UNLISTED if occupied[x] else EMPTY
        s.site[graph.n_sites].group = EMPTY
        if graph.path == PATTERNED:
            s.patterns = graph.patterns
            s.indices = <SiteIndices *>allocate(graph.n_sites, sizeof(SiteIndices))
            for x in range(graph.n_sites):
                s.indices[x].pattern = graph.pattern[x]
        self._set_blocked()

    def __dealloc__(self):
        cdef int g
        free(self.s.site)
        free(self.s.blocked_wide)
        free(self.s.indices)
        free(self.s.site_cap)
        free(self.s.competition)
        free(self.s.mark)
        free(self.s.further)
        for g in range(GROUPS):
            free(self.s.events.member[g])
        if self.reach:
            free(self.s.effective)

    cdef void _set_blocked(self) noexcept:
        """Compute the masks of blocked slots from the occupation."""
        cdef State *s = &self.s
        cdef int64_t x
        cdef int k
        cdef int64_t y, nowhere
        cdef uint64_t blocked
        for x in range(s.n_sites if s.path == PATTERNED else s.n_sites + 1):
            blocked = 0
            nowhere = x if s.path == PATTERNED else s.n_sites
            for k in range(slots_of(s.path)):
                y = neighbour_of(s, x, k, s.path)
                if y == nowhere or occupied_at(s, y):
                    blocked |= <uint64_t>1 << k
            if is_lattice(s.path):
                s.site[x].blocked = <uint8_t>blocked
            else:
                s.blocked_wide[x] = blocked

    def use(self, RateTable table, int gamma):
        """Use the rates of `table`, capped at log Gamma `gamma`, and rebuild the event list.

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
            s.group = table.group
            for x in range(s.n_sites if s.group != NULL else 0):
                s.indices[x].rate_row = table.row[x]
        self._clear(table.offset, 0)
        self._new_window()
        for x in range(s.n_sites):
            if occupied_at(s, x):
                set_effective_rates(s, x, s.path, self.reach)
                update_group(s, x, s.path)
        self._settle()

    def lower_gamma(self, int gamma):
        """Enter the next window: update the rates of oxygens with a capped bond."""
        cdef State *s = &self.s
        cdef int64_t x
        s.cap.gamma = gamma
        self._new_window()
        with nogil:
            for x in range(s.n_sites):
                if occupied_at(s, x) and is_capped(s, x, s.path):
                    evaluate_surroundings(s, x, s.path, self.reach)
                    cap_rates_of_oxygen(s, x, s.path, self.reach)
                    update_group(s, x, s.path)
        self._settle()

    cdef void _new_window(self) noexcept:
        """Invalidate what was evaluated for the sites in the previous window."""
        cdef State *s = &self.s
        cdef int64_t x
        if not self.reach:
            return
        if not is_lattice(s.path):
            for x in range(s.n_sites if self.reach == 2 else 0):
                update_competition(s, x, s.path)
            return
        s.window += 1
        if not s.window:
            for x in range(s.n_sites):
                s.site_cap[x].evaluated_in = s.site_cap[x].surroundings_evaluated_in = 0
            s.window = 1

    cdef void _clear(self, int offset, int anchor) noexcept:
        cdef Events *events = &self.s.events
        cdef int64_t x
        memset(events.count, 0, sizeof(events.count))
        memset(events.octave, 0, sizeof(events.octave))
        memset(events.filled, 0, sizeof(events.filled))
        events.filled_words = 0
        for x in range(self.s.n_sites):
            if occupied_at(&self.s, x):
                self.s.site[x].group = UNLISTED
        events.total = 0
        events.offset = offset
        events.anchor = anchor

    cdef int _settle(self) except -1:
        if self.s.events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        events_settle(&self.s.events)
        return 0

    def run(self, double horizon_s, int64_t most_trials, double elapsed_s=0.0):
        """Make hops until `horizon_s`, or for at most `most_trials` trials.

        Parameters
        ----------
        horizon_s : float
            Time at which to stop, on the clock that starts at `elapsed_s`.
        most_trials : int
        elapsed_s : float
            What the call before returned, if that had not reached the same horizon. Where calls
            are cut then changes nothing.

        Returns
        -------
        elapsed_s : float
            `horizon_s` itself when it was reached.
        done : bool
        """
        cdef double clock = elapsed_s
        cdef int outcome
        cdef bint prefetching = self.s.n_sites >= PREFETCH_FROM
        with self.bit_generator.lock, nogil:
            if not is_lattice(self.s.path):
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     self.s.path, self.reach, False)
            elif self.reach == 2:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 2, False)
            elif self.reach == 1:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 1, False)
            elif self.s.path == LATTICE:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 0, False)
            else:
                outcome = run_events(
                    &self.s, horizon_s, most_trials, &clock, PATTERNED, 0, prefetching)
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
        cdef int64_t x
        cdef uint8_t[::1] view = np.zeros(self.s.n_sites, dtype=np.uint8)
        for x in range(self.s.n_sites):
            view[x] = occupied_at(&self.s, x)
        return np.asarray(view).view(bool)

    def state(self):
        """Arrays and numbers from which `restore` continues bit for bit."""
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
            "block_word": np.array(<uint64_t[:3 * BLOCK]>self.s.block.word),
            "block_wait": np.array(<double[:BLOCK]>self.s.block.wait),
        }

    def restore(self, RateTable table, state):
        """Continue from `state`.

        Parameters
        ----------
        table : RateTable or None
            The table that was in use. None: the next call is `use`, and the event list of the
            state is not read.
        state : dict
            Of `state`, with arrays of those types and lengths; `occupied` is that of this kernel.

        Raises
        ------
        ValueError
            If the event list is not that of the occupation, the table and Gamma.
        """
        cdef const uint64_t[::1] word = state["block_word"]
        cdef const double[::1] wait = state["block_wait"]
        cdef int next_trial = state["block_next"]
        if word.shape[0] != 3 * BLOCK or wait.shape[0] != BLOCK or not 0 <= next_trial <= BLOCK:
            raise ValueError("The block of random numbers has another length.")
        if table is not None:
            self.use(table, state["gamma"])
            self._restore_events(state["members"], state["counts"], state["anchor"])
        self.s.hops = state["hops"]
        self.s.trials = state["trials"]
        self.s.block.next = next_trial
        memcpy(self.s.block.word, &word[0], sizeof(self.s.block.word))
        memcpy(self.s.block.wait, &wait[0], sizeof(self.s.block.wait))

    cdef int _restore_events(
        self, const int32_t[::1] members, const int32_t[::1] counts, int anchor
    ) except -1:
        """Replace the event list, which `use` has made, by the same one in the order given."""
        cdef Events *events = &self.s.events
        cdef int64_t m = 0, x, listed = 0
        cdef int g, _, top
        cdef uint8_t[::1] seen = np.zeros(self.s.n_sites, dtype=np.uint8)
        if counts.shape[0] != GROUPS:
            raise ValueError(f"The 'kernel_counts' of a state must have {GROUPS} entries.")
        for g in range(GROUPS):
            if counts[g] != events.count[g]:
                raise ValueError(
                    "The 'kernel_counts' of a state must be those of its occupation and rates. "
                    f"Got {counts[g]} oxygens in group {g} instead of {events.count[g]}."
                )
            listed += counts[g]
        if members.shape[0] != listed:
            raise ValueError(
                f"The 'kernel_members' of a state must list its {listed} mobile oxygens. "
                f"Got {members.shape[0]} instead."
            )
        for g in range(GROUPS):
            for _ in range(counts[g]):
                x = members[m]
                if not 0 <= x < self.s.n_sites or seen[x] or self.s.site[x].group != g:
                    raise ValueError(
                        "The 'kernel_members' of a state must list every mobile oxygen once, in "
                        f"the group of its rate. Got site {x} in group {g} instead."
                    )
                seen[x] = 1
                m += 1
        top = events_top(events)
        if not (max(top, 0) <= anchor < OCTAVES) or (top >= 0 and anchor - top > SLACK):
            raise ValueError(
                "The 'kernel_anchor' of a state must be the octave of its fastest oxygen, "
                f"{top}, or at most {SLACK} above. Got {anchor} instead."
            )
        self._clear(events.offset, anchor)
        m = 0
        for g in range(GROUPS):
            for _ in range(counts[g]):
                events_add(events, members[m], g)
                m += 1
        if events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        return 0
