# The event loop: trials, hops and the clock.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from rate_cap_updates cimport (
    update_competition_around, update_groups_further, update_rates_further, update_rates_near,
)
from rate_cap cimport (
    evaluate_surroundings, relevant_slots, set_effective_rates, update_competition,
)
from event_list cimport (
    EMPTY, UNLISTED, events_bound, events_draw, events_rate, events_remove, events_settle,
    kmc_below, kmc_low_bit,
)
from hop_selection cimport direction, update_group
from prefetching cimport prefetch_trials
from random_blocks cimport BLOCK, block_refill, uniform
from kernel_state cimport (
    Hop, PATTERNED, State, bit_of, blocked_of, end_mask, end_of, is_lattice, masks_of,
    neighbour_of, reverse_bit, reverse_of, slot_of, slots_of,
)


cdef inline void update_blocked(State *s, Hop *hop, int end, int path, int reach) noexcept nogil:
    """Update the masks of blocked slots around one end, whose occupation has changed."""
    cdef int64_t center = hop.site[end], y
    cdef int k
    for k in range(slots_of(path)):
        y = neighbour_of(s, center, k, path)
        if is_lattice(path):
            s.site[y].blocked ^= <uint8_t>bit_of(s, center, k, path)
        else:
            s.blocked_wide[y] ^= reverse_bit(s, center, k, path)
    if not reach:
        return
    hop.affects[end] = relevant_slots(s, center, path) & ~(<uint64_t>1 << hop.slot[end])


cdef inline void update_groups_near(
    State *s, const Hop *hop, int end, const uint64_t *near, int path
) noexcept nogil:
    """Move the oxygens next to a hop to the groups of their new rates."""
    cdef uint64_t slots = end_mask(near, end, path)
    cdef int64_t center, y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        center = hop.site[end_of(end, k, path)]
        y = neighbour_of(s, center, slot_of(k, path), path)
        if y != (center if path == PATTERNED else s.n_sites):
            update_group(s, y, path)


cdef inline void make_hop(State *s, int64_t i, int k, int path, int reach) noexcept nogil:
    """Move the oxygen at i through slot k."""
    cdef Hop hop
    cdef uint64_t near[2]
    cdef int end
    hop.site[0] = i
    hop.site[1] = neighbour_of(s, i, k, path)
    hop.slot[0] = k
    hop.slot[1] = reverse_of(s, i, k, path)
    if reach:
        evaluate_surroundings(s, hop.site[0], path, reach)
        evaluate_surroundings(s, hop.site[1], path, reach)
    events_remove(&s.events, <int32_t>i)
    s.site[i].group = EMPTY
    s.site[hop.site[1]].group = UNLISTED
    s.hops += 1
    update_blocked(s, &hop, 0, path, reach)
    update_blocked(s, &hop, 1, path, reach)
    if reach == 2:
        update_competition(s, hop.site[0], path)
        update_competition(s, hop.site[1], path)
        for end in range(masks_of(path)):
            update_competition_around(s, &hop, end, path)
    for end in range(2):
        near[end] = blocked_of(s, hop.site[end], path) & ~(<uint64_t>1 << hop.slot[end])
    if reach:
        s.mark[hop.site[1]] = 2 * s.hops + 1
        for end in range(masks_of(path)):
            update_rates_near(s, &hop, end, near, path, reach)
        for end in range(masks_of(path)):
            update_rates_further(s, &hop, end, near, path, reach)
    for end in range(masks_of(path)):
        update_groups_near(s, &hop, end, near, path)
    if reach:
        update_groups_further(s, path)
        set_effective_rates(s, hop.site[1], path, reach)
    update_group(s, hop.site[1], path)
    events_settle(&s.events)


cdef inline int run_events(
    State *s, double horizon, int64_t most_trials, double *clock,
    int path, int reach, bint prefetching
) noexcept nogil:
    """Run from `clock` until `horizon`, in seconds of one clock, or for `most_trials` trials.

    The time is summed trial by trial from the value of `clock` on: where calls are cut does not
    change it. Returns 1 when the horizon was reached, 0 when the trials were used up, -1 without
    memory.
    """
    cdef int64_t _
    cdef double now = clock[0], wait
    cdef double mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
    cdef const uint64_t *word
    cdef int32_t site
    cdef int g, k
    for _ in range(most_trials):
        if mean_wait < 0.0:
            clock[0] = horizon
            return 1
        if s.block.next == BLOCK:
            block_refill(&s.block)
            memset(s.guesses, 255, sizeof(s.guesses))
        wait = s.block.wait[s.block.next] * mean_wait
        if now + wait > horizon:
            # The waiting time is memoryless: the rest of it is drawn anew after the horizon.
            s.block.next += 1
            clock[0] = horizon
            return 1
        now += wait
        s.trials += 1
        if prefetching:
            prefetch_trials(s)
        word = s.block.word + 3 * s.block.next
        s.block.next += 1
        g = events_draw(&s.events, word[0])
        site = s.events.member[g][kmc_below(s.events.count[g], word[1])]
        k = direction(s, site, uniform(word[2]) * events_bound(&s.events, g), path)
        if k < slots_of(path):
            make_hop(s, site, k, path, reach)
            mean_wait = 1.0 / events_rate(&s.events) if s.events.total else -1.0
            if s.events.out_of_memory:
                return -1
    clock[0] = now
    return 0
