# Capped mode: the effective rates that a hop changes, next to it and further away.

from libc.stdint cimport int32_t, int64_t, uint64_t

from competition_weights cimport Competition, TwoLargest, cap_largest_changed
from rate_cap cimport cap_rate_at_slot, cap_rates_of_oxygen, capped_of, update_competition
from event_list cimport kmc_low_bit
from hop_selection cimport update_group
from kernel_state cimport (
    Hop, State, blocked_of, end_mask, end_of, neighbour_of, occupied_at, reverse_bit, reverse_of,
    slot_of,
)


cdef inline void update_competition_around(State *s, Hop *hop, int end, int path) noexcept nogil:
    """Recompute the competition at the neighbours of a hop; keep the previous one in `before`."""
    cdef uint64_t slots = end_mask(hop.affects, end, path)
    cdef int64_t y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        y = neighbour_of(s, hop.site[end_of(end, k, path)], slot_of(k, path), path)
        hop.before[end_of(end, k, path)][slot_of(k, path)] = s.competition[y]
        update_competition(s, y, path)


cdef inline void list_further(State *s, int64_t x) noexcept nogil:
    """Note that the rates of the oxygen at x have changed, unless it is next to the hop."""
    if s.mark[x] < 2 * s.hops:
        s.mark[x] = 2 * s.hops
        s.further[s.n_further] = <int32_t>x
        s.n_further += 1


cdef inline void cap_rates_into(
    State *s, int64_t x, uint64_t others, int path, int reach
) noexcept nogil:
    """Update the rates of hops into the empty site x, whose competition has changed."""
    cdef uint64_t slots = capped_of(s, x, path) & blocked_of(s, x, path) & others
    cdef int64_t p
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        p = neighbour_of(s, x, k, path)
        if s.mark[p] != 2 * s.hops + 1:
            list_further(s, p)
            cap_rate_at_slot(s, p, reverse_of(s, x, k, path), path, reach)


cdef inline void update_rates_at(State *s, int64_t x, int path, int reach) noexcept nogil:
    """Update the rates of hops from or into x, whose competition has changed."""
    if not occupied_at(s, x):
        cap_rates_into(s, x, ~<uint64_t>0, path, reach)
    elif s.mark[x] != 2 * s.hops + 1:
        list_further(s, x)
        s.mark[x] = 2 * s.hops + 1
        cap_rates_of_oxygen(s, x, path, reach)


cdef inline void update_rates_near(
    State *s, const Hop *hop, int end, const uint64_t *near, int path, int reach
) noexcept nogil:
    """Update the rates of the oxygens next to a hop."""
    cdef uint64_t slots = end_mask(near, end, path), affects = end_mask(hop.affects, end, path)
    cdef int64_t y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        y = neighbour_of(s, hop.site[end_of(end, k, path)], slot_of(k, path), path)
        if y != s.n_sites and s.mark[y] != 2 * s.hops + 1:
            s.mark[y] = 2 * s.hops
            if (affects >> k) & 1:
                s.mark[y] += 1
                cap_rates_of_oxygen(s, y, path, reach)


cdef inline void update_rates_further(
    State *s, const Hop *hop, int end, const uint64_t *near, int path, int reach
) noexcept nogil:
    """Update the rates of oxygens further away that a hop affects."""
    cdef uint64_t near_affected = end_mask(hop.affects, end, path), seen_from
    cdef uint64_t affects = near_affected & ~end_mask(near, end, path)
    cdef int64_t center, y
    cdef const Competition *before
    cdef TwoLargest *now
    cdef const TwoLargest *old
    cdef int k, m
    cdef bint filled
    while affects:
        k = kmc_low_bit(affects)
        affects &= affects - 1
        center = hop.site[end_of(end, k, path)]
        m = slot_of(k, path)
        # An oxygen at `center` is the one that hops; the event loop sets its rates.
        cap_rates_into(s, neighbour_of(s, center, m, path),
                       ~reverse_bit(s, center, m, path), path, reach)
    while near_affected and reach == 2:
        k = kmc_low_bit(near_affected)
        near_affected &= near_affected - 1
        center = hop.site[end_of(end, k, path)]
        m = slot_of(k, path)
        y = neighbour_of(s, center, m, path)
        filled = (end_mask(near, end, path) >> k) & 1
        before = &hop.before[end_of(end, k, path)][m]
        old = &before.back if filled else &before.out
        now = &s.competition[y].back if filled else &s.competition[y].out
        seen_from = capped_of(s, y, path) & ~reverse_bit(s, center, m, path)
        if not s.triangles:
            seen_from &= cap_largest_changed(old, now)
        while seen_from:
            m = kmc_low_bit(seen_from)
            seen_from &= seen_from - 1
            update_rates_at(s, neighbour_of(s, y, m, path), path, reach)


cdef inline void update_groups_further(State *s, int path) noexcept nogil:
    """Move the oxygens listed in `further` to the groups of their new rates.

    In the order of the sites, so that the event list does not depend on the order of the updates.
    """
    cdef int32_t x
    cdef int a, b
    for a in range(1, s.n_further):
        x = s.further[a]
        b = a
        while b > 0 and s.further[b - 1] > x:
            s.further[b] = s.further[b - 1]
            b -= 1
        s.further[b] = x
    for a in range(s.n_further):
        update_group(s, s.further[a], path)
    s.n_further = 0
