# The event list: oxygens grouped by their total rate (composition-rejection; Slepoy, Thompson,
# Plimpton, JCP 128:205101, 2008), four groups to a factor of two.
#
# Group g = 4 e + m holds the oxygens whose total rate over 2^offset lies in [(4+m)/4, (5+m)/4) 2^e;
# each counts with the upper end as its weight, and the excess is rejected when the direction is
# drawn. Weights are integers times powers of two and counts are integers, so the sum over all
# groups is an integer: it is kept exactly in 128 bits and cannot drift, however many hops are made
# and however far apart the rates are.

from libc.stdint cimport int32_t, uint16_t, uint64_t, uint8_t
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
    /* 4 times the binary exponent plus the two leading bits of the mantissa. */
    static inline int kmc_quarter_octave(double value)
    {
        union { double value; unsigned long long bits; } u;
        u.value = value;
        return (int)((u.bits >> 50) & 0x1fff) - 4 * 1023;
    }
    /* Uniform integer below count, to within count^2 / 2^64. Takes the low bits of the word if
       they are below count, otherwise the high bits. A change of count then leaves most draws
       unchanged, so that the kernel can predict coming trials and prefetch their memory. */
    static inline int kmc_below(unsigned count, unsigned long long word)
    {
        unsigned low = (unsigned)word & (0xffffffffu >> __builtin_clz((count - 1) | 1));
        unsigned high = (unsigned)(((kmc_u128)word * count) >> 64);
        return (int)(low < count ? low : high);
    }
    """
    ctypedef unsigned long long u128 "kmc_u128"
    u128 kmc_shifted(uint64_t count, int shift) noexcept nogil
    u128 kmc_fraction(u128 total, uint64_t word) noexcept nogil
    double kmc_to_double(u128 total) noexcept nogil
    int kmc_high_bit(uint64_t word) noexcept nogil
    int kmc_low_bit(uint64_t word) noexcept nogil
    double kmc_power_of_two(int exponent) noexcept nogil
    int kmc_quarter_octave(double value) noexcept nogil
    int kmc_below(unsigned count, uint64_t word) noexcept nogil

cdef enum:
    GROUPS = 1024               # groups 0..1023: 256 octaves
    EMPTY = 65535               # group of an empty site
    UNLISTED = 65534            # group of an oxygen that cannot move
    OCTAVES = 256
    WORDS = 4                   # of the bitmap of octaves
    WINDOW = 88                 # octaves below the anchor that the total counts
    SLACK = 36                  # octaves that the fastest oxygen may fall below the anchor

cdef struct Site:               # what a hop changes, packed so that one load reads it
    int32_t place               # index of its oxygen in the list of the group
    uint16_t group              # group of its oxygen, or UNLISTED, or EMPTY
    uint8_t blocked             # degree 6: bit k: the neighbour at slot k is occupied or missing
    uint8_t relevant            # degree 6: bit k: see relevant_slots in rate_cap.pxd

cdef struct Events:
    int32_t *member[GROUPS]     # sites of the oxygens in each group
    int32_t count[GROUPS]
    int32_t room[GROUPS]
    uint64_t octave[OCTAVES]    # sum of count * (5 + m) over the octave's groups
    uint64_t filled[WORDS]      # bit e: octave e has members
    uint64_t filled_words       # bit w: filled[w] is not zero
    Site *site
    u128 total                  # sum of octave << (e - anchor + WINDOW) over the window
    int anchor                  # highest octave of the window
    int offset                  # exponent of group 0's lower end
    int out_of_memory           # a list could not grow; the event list is no longer valid


cdef inline int events_top(const Events *events) noexcept nogil:
    """Highest octave with members, -1 if there is none."""
    cdef int word
    if not events.filled_words:
        return -1
    word = kmc_high_bit(events.filled_words)
    return 64 * word + kmc_high_bit(events.filled[word])


cdef inline void events_anchor(Events *events, int anchor) noexcept nogil:
    """Move the top of the window to octave `anchor` and recompute the total."""
    cdef int e
    events.anchor = anchor
    events.total = 0
    for e in range(anchor - WINDOW if anchor > WINDOW else 0, anchor + 1):
        events.total = events.total + kmc_shifted(events.octave[e], e - anchor + WINDOW)


cdef inline void events_add(Events *events, int32_t site, int g) noexcept nogil:
    """Append an oxygen that is not listed to group g (which may be UNLISTED). O(1) amortised."""
    cdef int32_t count, room
    cdef int e = g >> 2, weight = 5 + (g & 3)
    cdef void *grown
    events.site[site].group = <uint16_t>g
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
    events.site[site].place = count
    events.count[g] = count + 1
    events.filled[e >> 6] |= <uint64_t>1 << (e & 63)
    events.filled_words |= <uint64_t>1 << (e >> 6)
    events.octave[e] += weight
    if e > events.anchor:
        events_anchor(events, e)
    elif e >= events.anchor - WINDOW:
        events.total = events.total + kmc_shifted(weight, e - events.anchor + WINDOW)


cdef inline void events_remove(Events *events, int32_t site) noexcept nogil:
    """Remove an oxygen from its group; the last member of the group takes its place. O(1)."""
    cdef int g = events.site[site].group, e = g >> 2, weight = 5 + (g & 3)
    cdef int32_t last, hole, count
    if g == UNLISTED:
        return
    events.site[site].group = UNLISTED
    hole = events.site[site].place
    count = events.count[g] - 1
    events.count[g] = count
    last = events.member[g][count]
    events.member[g][hole] = last
    events.site[last].place = hole
    events.octave[e] -= weight
    # Whether the octave is empty now is random: arithmetic in place of a mispredicted branch.
    events.filled[e >> 6] &= ~(<uint64_t>(events.octave[e] == 0) << (e & 63))
    events.filled_words &= ~(<uint64_t>(events.filled[e >> 6] == 0) << (e >> 6))
    if e >= events.anchor - WINDOW:
        events.total = events.total - kmc_shifted(weight, e - events.anchor + WINDOW)


cdef inline void events_settle(Events *events) noexcept nogil:
    """Lower the window once the fastest oxygen is more than SLACK octaves below its top."""
    cdef int top = events_top(events)
    if top >= 0 and events.anchor - top > SLACK:
        events_anchor(events, top)


cdef inline int events_group(double rate, int offset) noexcept nogil:
    """Group of an oxygen by its total rate."""
    cdef int g
    if rate <= 0.0:
        return UNLISTED
    g = kmc_quarter_octave(rate) - 4 * offset
    return g if g > 0 else 0


cdef inline void events_put(Events *events, int32_t site, int g) noexcept nogil:
    """Put a listed or unlisted oxygen into group g."""
    if g != events.site[site].group:
        events_remove(events, site)
        events_add(events, site, g)


cdef inline double events_rate(const Events *events) noexcept nogil:
    """Upper bound of the total rate: that of trials, the rejected ones included (1/s)."""
    return kmc_to_double(events.total) * kmc_power_of_two(
        events.anchor - WINDOW + events.offset - 2)


cdef inline int events_draw(const Events *events, uint64_t word) noexcept nogil:
    """Draw a group with probability proportional to its members' weight; the total is not zero."""
    cdef u128 target = kmc_fraction(events.total, word)
    cdef u128 weight
    cdef int w, e, m, g
    cdef uint64_t words = events.filled_words, bits, rest, here
    while words:
        w = kmc_high_bit(words)
        bits = events.filled[w]
        while bits:
            e = 64 * w + kmc_high_bit(bits)
            weight = kmc_shifted(events.octave[e], e - events.anchor + WINDOW)
            if target < weight:
                rest = <uint64_t>(target >> (e - events.anchor + WINDOW))
                for m in range(3, -1, -1):
                    g = 4 * e + m
                    here = <uint64_t>events.count[g] * (5 + m)
                    if rest < here:
                        return g
                    rest -= here
            target = target - weight
            bits ^= <uint64_t>1 << (e & 63)
        words ^= <uint64_t>1 << w
    return -1


cdef inline double events_bound(const Events *events, int g) noexcept nogil:
    """Upper end of the rates of group g, 1/s."""
    return (5 + (g & 3)) * kmc_power_of_two((g >> 2) + events.offset - 2)
