# The event list: oxygens grouped by the binary exponent of their total rate (composition-rejection,
# Slepoy, Thompson, Plimpton, JCP 128:205101, 2008).
#
# Group g holds the oxygens whose total rate lies in [2^(g+offset), 2^(g+offset+1)); each counts with
# the upper end as its weight, and the excess is rejected when the direction is drawn. Weights are
# powers of two and counts are integers, so the sum over all groups is an integer: it is kept exactly
# in 128 bits and cannot drift, however many hops are made and however far apart the rates are.

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport realloc

cdef extern from *:
    """
    typedef unsigned __int128 kmc_u128;
    static inline kmc_u128 kmc_shifted(unsigned long long count, int shift)
    { return (kmc_u128)count << shift; }
    /* floor(total * word / 2^64): a uniform integer below total. */
    static inline kmc_u128 kmc_fraction(kmc_u128 total, unsigned long long word)
    {
        kmc_u128 low = (kmc_u128)(unsigned long long)total * word;
        kmc_u128 high = (kmc_u128)(unsigned long long)(total >> 64) * word;
        return high + (low >> 64);
    }
    static inline double kmc_to_double(kmc_u128 total)
    {
        return (double)(long long)(total >> 64) * 18446744073709551616.0
             + (double)(long long)((unsigned long long)total >> 1) * 2.0;
    }
    static inline int kmc_high_bit(unsigned long long word)
    { return 63 - __builtin_clzll(word); }
    static inline int kmc_low_bit(unsigned long long word)
    { return __builtin_ctzll(word); }
    static inline double kmc_power_of_two(int exponent)  /* in the range of normal doubles */
    {
        union { unsigned long long bits; double value; } u;
        u.bits = (unsigned long long)(exponent + 1023) << 52;
        return u.value;
    }
    static inline int kmc_exponent(double value)
    {
        union { double value; unsigned long long bits; } u;
        u.value = value;
        return (int)((u.bits >> 52) & 0x7ff) - 1023;
    }
    """
    ctypedef unsigned long long u128 "kmc_u128"
    u128 kmc_shifted(uint64_t count, int shift) noexcept nogil
    u128 kmc_fraction(u128 total, uint64_t word) noexcept nogil
    double kmc_to_double(u128 total) noexcept nogil
    int kmc_high_bit(uint64_t word) noexcept nogil
    int kmc_low_bit(uint64_t word) noexcept nogil
    double kmc_power_of_two(int exponent) noexcept nogil
    int kmc_exponent(double value) noexcept nogil

cdef enum:
    GROUPS = 255                # groups 0..254
    UNLISTED = 255              # group of an empty site, or of an oxygen that cannot move
    WINDOW = 95                 # groups below the anchor that the total counts
    SLACK = 40                  # how far the fastest oxygen may fall below the anchor

cdef struct Events:
    int32_t *member[GROUPS]     # sites of the oxygens in each group
    int32_t count[GROUPS]
    int32_t room[GROUPS]
    uint64_t filled[4]          # bit g: group g has members
    uint8_t *group              # of each site
    int32_t *place              # of each site: where it stands in its group's list
    u128 total                  # sum of count << (g - anchor + WINDOW) over the window
    int anchor                  # highest group of the window
    int offset                  # exponent of group 0's lower end
    int out_of_memory           # a list could not grow; the event list is no longer valid


cdef inline int events_top(const Events *events) noexcept nogil:
    """Highest group with members, -1 if there is none."""
    cdef int word
    for word in range(3, -1, -1):
        if events.filled[word]:
            return 64 * word + kmc_high_bit(events.filled[word])
    return -1


cdef inline void events_anchor(Events *events, int anchor) noexcept nogil:
    """Move the window's top to `anchor` and count its total anew."""
    cdef int g
    events.anchor = anchor
    events.total = 0
    for g in range(anchor - WINDOW if anchor > WINDOW else 0, anchor + 1):
        if events.count[g]:
            events.total = events.total + kmc_shifted(events.count[g], g - anchor + WINDOW)


cdef inline void events_add(Events *events, int32_t site, int g) noexcept nogil:
    """Append a site that is not listed to group g (which may be UNLISTED). O(1) amortised."""
    cdef int32_t count, room
    cdef void *grown
    events.group[site] = <uint8_t>g
    if g == UNLISTED:
        return
    count = events.count[g]
    if count == events.room[g]:
        room = 16 if count == 0 else 2 * count
        grown = realloc(events.member[g], room * sizeof(int32_t))
        if grown == NULL:
            events.out_of_memory = 1
            return
        events.member[g] = <int32_t *>grown
        events.room[g] = room
    events.member[g][count] = site
    events.place[site] = count
    events.count[g] = count + 1
    events.filled[g >> 6] |= <uint64_t>1 << (g & 63)
    if g > events.anchor:
        events_anchor(events, g)
    elif g >= events.anchor - WINDOW:
        events.total = events.total + kmc_shifted(1, g - events.anchor + WINDOW)


cdef inline void events_remove(Events *events, int32_t site) noexcept nogil:
    """Take a site off its group's list; the list's last member takes its place. O(1)."""
    cdef int g = events.group[site]
    cdef int32_t last, hole
    events.group[site] = UNLISTED
    if g == UNLISTED:
        return
    hole = events.place[site]
    events.count[g] -= 1
    last = events.member[g][events.count[g]]
    events.member[g][hole] = last
    events.place[last] = hole
    if events.count[g] == 0:
        events.filled[g >> 6] &= ~(<uint64_t>1 << (g & 63))
    if g >= events.anchor - WINDOW:
        events.total = events.total - kmc_shifted(1, g - events.anchor + WINDOW)


cdef inline int events_group_of(const Events *events, double rate) noexcept nogil:
    """Group of an oxygen with this total rate."""
    cdef int g
    if rate <= 0.0:
        return UNLISTED
    g = kmc_exponent(rate) - events.offset
    return g if g > 0 else 0


cdef inline void events_update(Events *events, int32_t site, double rate) noexcept nogil:
    """Put a listed or unlisted oxygen where its new total rate belongs."""
    cdef int g = events_group_of(events, rate)
    if g != events.group[site]:
        events_remove(events, site)
        events_add(events, site, g)


cdef inline double events_rate(const Events *events) noexcept nogil:
    """Upper bound of the total rate: that of trials, the rejected ones included (1/s)."""
    return kmc_to_double(events.total) * kmc_power_of_two(
        events.anchor - WINDOW + events.offset + 1)


cdef inline int32_t events_pick(const Events *events, uint64_t word, double *bound) noexcept nogil:
    """Draw an oxygen with probability proportional to its group's weight.

    The total must not be zero. `bound` receives the weight: the upper end of the group's rates.
    """
    cdef u128 target = kmc_fraction(events.total, word)
    cdef u128 weight
    cdef int w, g, shift
    cdef uint64_t bits
    for w in range(3, -1, -1):
        bits = events.filled[w]
        while bits:
            g = 64 * w + kmc_high_bit(bits)
            shift = g - events.anchor + WINDOW
            weight = kmc_shifted(events.count[g], shift)
            if target < weight:
                bound[0] = kmc_power_of_two(g + events.offset + 1)
                return events.member[g][<int32_t>(target >> shift)]
            target = target - weight
            bits ^= <uint64_t>1 << (g & 63)
    return -1
