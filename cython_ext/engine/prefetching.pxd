# Prefetching of the memory that the coming trials will most likely read.
#
# Used on large lattices in exact mode, whose arrays do not fit the cache.

from libc.stdint cimport int32_t, int64_t, uint64_t

from event_list cimport Events, events_bound, events_draw, kmc_below, kmc_low_bit
from hop_selection cimport direction
from memory cimport prefetch
from random_blocks cimport BLOCK, uniform
from kernel_state cimport (
    ENTRY_AHEAD, GUESSES, NEIGHBOURS_AHEAD, OXYGENS_AHEAD, PATTERNED, SITE_AHEAD, SLOTS, State,
    TARGET_AHEAD, TrialGuess, blocked_of, neighbour_of,
)


cdef inline void fetch_site(const State *s, int64_t x) noexcept nogil:
    prefetch(s.site + x)
    prefetch(s.indices + x)


cdef inline void fetch_rates(const State *s, int64_t x) noexcept nogil:
    if s.group == NULL:
        prefetch(s.effective + x * SLOTS)
        prefetch(s.effective + x * SLOTS + SLOTS - 1)


cdef inline void fetch_around(const State *s, int64_t x) noexcept nogil:
    cdef int k
    for k in range(SLOTS):
        fetch_site(s, neighbour_of(s, x, k, PATTERNED))


cdef inline void fetch_oxygens(const State *s, int64_t x) noexcept nogil:
    """Load the rates of the oxygens next to x."""
    cdef uint64_t occupied = blocked_of(s, x, PATTERNED)
    while occupied:
        fetch_rates(s, neighbour_of(s, x, kmc_low_bit(occupied), PATTERNED))
        occupied &= occupied - 1


cdef inline void prefetch_trials(State *s) noexcept nogil:
    """Start to load the memory of the coming trials; for a lattice in exact mode.

    Their outcome is predicted from the present event list. A wrong guess costs time and nothing
    else.
    """
    cdef int next = s.block.next, k
    cdef Events *events = &s.events
    cdef const uint64_t *word
    cdef TrialGuess *it = &s.guesses[(next + ENTRY_AHEAD) & (GUESSES - 1)]
    it.site = it.target = it.index = -1
    if next + ENTRY_AHEAD < BLOCK:
        word = s.block.word + 3 * (next + ENTRY_AHEAD)
        it.group = events_draw(events, word[0])
        it.index = kmc_below(events.count[it.group], word[1])
        prefetch(events.member[it.group] + it.index)
    it = &s.guesses[(next + SITE_AHEAD) & (GUESSES - 1)]
    if 0 <= it.index < events.count[it.group]:
        it.site = events.member[it.group][it.index]
        fetch_site(s, it.site)
        fetch_rates(s, it.site)
    it = &s.guesses[(next + NEIGHBOURS_AHEAD) & (GUESSES - 1)]
    if it.site >= 0:
        fetch_around(s, it.site)
    it = &s.guesses[(next + TARGET_AHEAD) & (GUESSES - 1)]
    if it.site >= 0:
        k = direction(s, it.site, events_bound(events, it.group)
                      * uniform(s.block.word[3 * (next + TARGET_AHEAD) + 2]), PATTERNED)
        if k < SLOTS:
            it.target = <int32_t>neighbour_of(s, it.site, k, PATTERNED)
            fetch_around(s, it.target)
    it = &s.guesses[(next + OXYGENS_AHEAD) & (GUESSES - 1)]
    if it.target >= 0:
        fetch_rates(s, it.target)
        fetch_oxygens(s, it.site)
        fetch_oxygens(s, it.target)
