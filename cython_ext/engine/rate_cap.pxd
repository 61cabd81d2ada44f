# Capped mode: the effective rates of hops over capped bonds.
#
# A bond whose slower direction is faster than Gamma is capped: both its rates are divided by the
# same factor, but no further than the rates of the hops that compete with it allow (docs/cap.md).
# `reach` is the number of steps around a bond within which hops count as competing.

from libc.stdint cimport int16_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from competition_weights cimport (
    Competition, LANES, MAX_CHUNKS, OCTAVE, SiteCap, TwoLargest, Weights, row_t,
    cap_capped_slots, cap_hop_weights, cap_largest, cap_largest_except, cap_largest_of_two_sites,
    cap_no_weight, cap_raise_back, cap_raise_out, cap_relevant, cap_two_largest,
)
from event_list cimport kmc_low_bit, kmc_power_of_two
from kernel_state cimport (
    SLOTS, State, blocked_of, chunks_of, is_lattice, logs_of, neighbour_of, reverse_bit,
    reverse_of, slots_of,
)

cdef extern from *:
    """
    /* Arithmetic in place of branches that would be mispredicted. */
    static inline int kmc_positive(int a) { return a & ~(a >> 31); }
    static inline int kmc_larger(int a, int b) { return b + kmc_positive(a - b); }
    """
    int kmc_positive(int a) noexcept nogil
    int kmc_larger(int a, int b) noexcept nogil


cdef inline uint64_t capped_of(const State *s, int64_t x, int path) noexcept nogil:
    """Bit k: the bond at slot k of x is capped."""
    if is_lattice(path):
        return s.site_cap[x].capped
    return cap_capped_slots(logs_of(s, x, s.chunks), s.cap.gamma, s.chunks)


cdef inline bint is_capped(const State *s, int64_t x, int path) noexcept nogil:
    """Whether any bond of x is capped; needs no evaluation of the site."""
    return cap_capped_slots(logs_of(s, x, chunks_of(s, path)), s.cap.gamma, chunks_of(s, path)) != 0


cdef inline uint64_t relevant_slots(const State *s, int64_t x, int path) noexcept nogil:
    """Bit k: the bond at slot k is capped, or the weight of a hop over it exceeds Gamma.

    Only the occupation of such a neighbour can change the competition at x. Both ends of a bond
    give the same answer.
    """
    cdef row_t out[MAX_CHUNKS]
    cdef row_t back[MAX_CHUNKS]
    if is_lattice(path):
        return s.site[x].relevant
    cap_hop_weights(logs_of(s, x, s.chunks), s.cap.gamma, s.chunks, out, back)
    return (cap_relevant(out, s.chunks) | cap_relevant(back, s.chunks)
            | capped_of(s, x, path))


cdef inline void store_competition(
    State *s, int64_t x, const row_t *out, const row_t *back, int path
) noexcept nogil:
    """Store the competition at x that its neighbours see, from the weights of its hops."""
    cdef int chunks = chunks_of(s, path)
    cdef uint64_t blocked = blocked_of(s, x, path)
    cap_two_largest(out, ~blocked, chunks, &s.competition[x].out)
    cap_two_largest(back, blocked, chunks, &s.competition[x].back)


cdef inline void update_competition(State *s, int64_t x, int path) noexcept nogil:
    """Recompute the competition at x after a change of a neighbour's occupation."""
    cdef int chunks = chunks_of(s, path)
    cdef row_t out[MAX_CHUNKS]
    cdef row_t back[MAX_CHUNKS]
    cap_hop_weights(logs_of(s, x, chunks), s.cap.gamma, chunks, out, back)
    store_competition(s, x, out, back, path)


cdef inline void evaluate_site(State *s, int64_t x, int path, int reach) noexcept nogil:
    """On a lattice: find the capped and the relevant slots of x and its competition."""
    cdef const int16_t *logs
    cdef row_t out[1]
    cdef row_t back[1]
    cdef SiteCap *site_cap = s.site_cap + x
    if site_cap.evaluated_in == s.window:
        return
    site_cap.evaluated_in = s.window
    logs = logs_of(s, x, 1)
    # Most bonds are frozen for many windows: their sites have no competition, as before.
    if not s.site[x].relevant and cap_no_weight(logs, s.cap.gamma, 1):
        return
    cap_hop_weights(logs, s.cap.gamma, 1, out, back)
    if reach == 2:
        store_competition(s, x, out, back, path)
    site_cap.capped = <uint8_t>cap_capped_slots(logs, s.cap.gamma, 1)
    s.site[x].relevant = <uint8_t>(
        site_cap.capped | cap_relevant(out, 1) | cap_relevant(back, 1))


cdef inline void evaluate_surroundings(State *s, int64_t x, int path, int reach) noexcept nogil:
    """On a lattice, once a window: evaluate x and all sites that the rates of its oxygen depend on.

    This is done for the site of every oxygen that has a capped bond.
    """
    cdef uint64_t relevant, beyond
    cdef int64_t y
    cdef int k
    if not is_lattice(path) or s.site_cap[x].surroundings_evaluated_in == s.window:
        return
    s.site_cap[x].surroundings_evaluated_in = s.window
    # Only the rates of capped bonds differ from these; the caller sets them.
    for k in range(SLOTS):
        s.effective[x * SLOTS + k] = s.rate[x * SLOTS + k]
    evaluate_site(s, x, path, reach)
    relevant = relevant_slots(s, x, path)
    while relevant:
        y = neighbour_of(s, x, kmc_low_bit(relevant), path)
        relevant &= relevant - 1
        evaluate_site(s, y, path, reach)
        if reach == 2:
            beyond = capped_of(s, y, path)
            while beyond:
                evaluate_site(s, neighbour_of(s, y, kmc_low_bit(beyond), path), path, reach)
                beyond &= beyond - 1


cdef inline double slowed(const State *s, double rate, int over) noexcept nogil:
    """`rate` times 2^(-over/OCTAVE), or `rate` if `over` is not positive."""
    if over <= 0:
        return rate
    return rate * (s.cap.factor[over & (OCTAVE - 1)] * kmc_power_of_two(-(over // OCTAVE)))


cdef inline int beyond(
    const State *s, int64_t x, int k, bint filled, int path
) noexcept nogil:
    """Largest weight of the hops one step beyond the neighbour of x at slot k.

    Of an empty neighbour: hops from there onwards. Of an occupied one: hops that would fill it
    after its oxygen has left. Neighbours of x itself are left out: one of them may be the other
    end of the bond to be capped, and the factor must not depend on the occupation of its ends.
    """
    cdef int chunks = chunks_of(s, path)
    cdef int64_t y = neighbour_of(s, x, k, path)
    cdef int slot = reverse_of(s, x, k, path), far_slot, m
    cdef uint64_t slots
    cdef row_t out[MAX_CHUNKS]
    cdef row_t back[MAX_CHUNKS]
    if not s.triangles:
        return cap_largest_except(&s.competition[y].back if filled else &s.competition[y].out, slot)
    slots = ~(<uint64_t>1 << slot)
    for far_slot in range(slots_of(path)):
        for m in range(slots_of(path)):
            if neighbour_of(s, y, far_slot, path) == neighbour_of(s, x, m, path):
                slots &= ~(<uint64_t>1 << far_slot)
    cap_hop_weights(logs_of(s, y, chunks), s.cap.gamma, chunks, out, back)
    if filled:
        return cap_largest(back, blocked_of(s, y, path) & slots, chunks)
    return cap_largest(out, ~blocked_of(s, y, path) & slots, chunks)


cdef inline void compute_weights(
    const State *s, int64_t x, uint64_t looked_at, Weights *weights, int path
) noexcept nogil:
    """Weights of all hops at x, and those beyond the capped bonds among `looked_at`."""
    cdef int chunks = chunks_of(s, path)
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef uint64_t slots = capped_of(s, x, path) & looked_at
    cdef int k
    cap_hop_weights(logs_of(s, x, chunks), s.cap.gamma, chunks, weights.out, weights.back)
    memset(weights.beyond, 0, LANES * chunks * sizeof(int16_t))
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        weights.beyond[k] = <int16_t>beyond(s, x, k, (blocked >> k) & 1, path)


cdef inline void competing_weights(
    const State *s, int64_t x, int k, int *own, int *hole, int path
) noexcept nogil:
    """Largest weights of the hops that compete at x with the bond at slot k, within two steps.

    own: other hops of an oxygen at x. hole: hops of other oxygens into x, if it were empty.
    """
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef const Competition *competition = &s.competition[x]
    cdef uint64_t blocked = blocked_of(s, x, path), others = ~(<uint64_t>1 << k)
    cdef Weights weights
    cdef row_t raised[MAX_CHUNKS]
    if not relevant_slots(s, x, path) & others:
        own[0] = hole[0] = 0
        return
    compute_weights(s, x, others, &weights, path)
    cap_raise_out(&s.cap, logs, &weights, cap_largest_except(&competition.back, k), chunks, raised)
    own[0] = cap_largest(raised, ~blocked & others, chunks)
    cap_raise_back(&s.cap, logs, &weights, cap_largest_except(&competition.out, k), chunks, raised)
    hole[0] = cap_largest(raised, blocked & others, chunks)


cdef inline void cap_rate(
    State *s, int64_t x, int k, int forward, int backward, int path
) noexcept nogil:
    """Set the effective rate of the possible hop out of slot k of x, whose bond is capped.

    `forward` and `backward` are the largest weights of the hops that compete with this hop and
    with the reverse hop. The factor min(1, max(Gamma/m, A/f, B/b)) is the same from both ends of
    the bond and does not depend on which is occupied, so that detailed balance is exact within a
    window.
    """
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef int over = logs[k] - s.cap.gamma
    cdef int tilt = logs[LANES * chunks + k]
    over -= kmc_positive(kmc_larger(
        forward - kmc_positive(tilt), backward + tilt - kmc_positive(tilt)))
    s.effective[x * slots_of(path) + k] = slowed(s, s.rate[x * slots_of(path) + k], over)


cdef inline void cap_rate_two_steps(
    State *s, int64_t x, int k, int own_x, int hole_x, int path
) noexcept nogil:
    """Cap the rate out of slot k of x by the competition within two steps; that at x is given."""
    cdef int own_y, hole_y
    competing_weights(
        s, neighbour_of(s, x, k, path), reverse_of(s, x, k, path), &own_y, &hole_y, path)
    cap_rate(s, x, k, max(own_x, hole_y), max(own_y, hole_x), path)


cdef inline void cap_rate_at_slot(State *s, int64_t x, int k, int path, int reach) noexcept nogil:
    """Cap the rate out of slot k of x, whose bond is capped."""
    cdef int chunks = chunks_of(s, path)
    cdef int64_t y
    cdef uint64_t others, others_y, blocked, blocked_y
    cdef row_t out[MAX_CHUNKS]
    cdef row_t back[MAX_CHUNKS]
    cdef row_t out_y[MAX_CHUNKS]
    cdef row_t back_y[MAX_CHUNKS]
    cdef int own, hole
    if reach == 2:
        competing_weights(s, x, k, &own, &hole, path)
        cap_rate_two_steps(s, x, k, own, hole, path)
        return
    y = neighbour_of(s, x, k, path)
    others = ~(<uint64_t>1 << k)
    others_y = ~reverse_bit(s, x, k, path)
    blocked = blocked_of(s, x, path)
    blocked_y = blocked_of(s, y, path)
    cap_hop_weights(logs_of(s, x, chunks), s.cap.gamma, chunks, out, back)
    cap_hop_weights(logs_of(s, y, chunks), s.cap.gamma, chunks, out_y, back_y)
    cap_rate(
        s, x, k,
        cap_largest_of_two_sites(out, ~blocked & others, back_y, blocked_y & others_y, chunks),
        cap_largest_of_two_sites(out_y, ~blocked_y & others_y, back, blocked & others, chunks),
        path)


cdef inline void cap_rates_of_oxygen(State *s, int64_t x, int path, int reach) noexcept nogil:
    """Cap the rates of all possible hops of the oxygen at x over capped bonds."""
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs
    cdef const Competition *competition
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef uint64_t slots = capped_of(s, x, path) & ~blocked
    cdef Weights weights
    cdef row_t raised[MAX_CHUNKS]
    cdef TwoLargest own
    cdef int k, hole, hole_at_best
    if not slots:
        return
    if reach < 2 or not slots & (slots - 1):
        while slots:
            cap_rate_at_slot(s, x, kmc_low_bit(slots), path, reach)
            slots &= slots - 1
        return
    logs = logs_of(s, x, chunks)
    competition = &s.competition[x]
    compute_weights(s, x, ~<uint64_t>0, &weights, path)
    # A possible hop leads to an empty site and is no hop into x: one value serves all slots.
    cap_raise_out(&s.cap, logs, &weights, competition.back.first, chunks, raised)
    cap_two_largest(raised, ~blocked, chunks, &own)
    cap_raise_back(&s.cap, logs, &weights, competition.out.first, chunks, raised)
    hole = cap_largest(raised, blocked, chunks)
    hole_at_best = hole
    if competition.out.first > 0 and (slots >> competition.out.slot) & 1:
        cap_raise_back(&s.cap, logs, &weights, competition.out.second, chunks, raised)
        hole_at_best = cap_largest(raised, blocked, chunks)
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        cap_rate_two_steps(
            s, x, k, cap_largest_except(&own, k),
            hole_at_best if competition.out.slot == k else hole, path)


cdef inline void set_effective_rates(State *s, int64_t x, int path, int reach) noexcept nogil:
    """Set all effective rates of an oxygen that is new at x."""
    cdef int k
    if not reach:
        return
    evaluate_surroundings(s, x, path, reach)
    if not is_lattice(path):
        for k in range(slots_of(path)):
            s.effective[x * slots_of(path) + k] = s.rate[x * slots_of(path) + k]
    cap_rates_of_oxygen(s, x, path, reach)
