# Total rate of an oxygen, the direction of its hop, and its group in the event list.

from libc.stdint cimport int32_t, int64_t, uint64_t

from event_list cimport events_group, events_put
from kernel_state cimport MASKS, PATTERNED, SLOTS, State, blocked_of, is_lattice, rates_of, slots_of

cdef extern from *:
    """
    /* Cumulated rates of the six slots of a lattice site; blocked slots count as zero. */
    #ifdef __SSE2__
    #include <emmintrin.h>
    static inline void kmc_cumulate(const double *rate, int blocked, double *sum)
    {
        const __m128i all = _mm_set1_epi32(blocked), none = _mm_setzero_si128();
        __m128d a = _mm_and_pd(_mm_loadu_pd(rate), _mm_castsi128_pd(_mm_cmpeq_epi32(
            _mm_and_si128(all, _mm_setr_epi32(1, 1, 2, 2)), none)));
        __m128d b = _mm_and_pd(_mm_loadu_pd(rate + 2), _mm_castsi128_pd(_mm_cmpeq_epi32(
            _mm_and_si128(all, _mm_setr_epi32(4, 4, 8, 8)), none)));
        __m128d c = _mm_and_pd(_mm_loadu_pd(rate + 4), _mm_castsi128_pd(_mm_cmpeq_epi32(
            _mm_and_si128(all, _mm_setr_epi32(16, 16, 32, 32)), none)));
        sum[0] = _mm_cvtsd_f64(a);
        sum[1] = sum[0] + _mm_cvtsd_f64(_mm_unpackhi_pd(a, a));
        sum[2] = sum[1] + _mm_cvtsd_f64(b);
        sum[3] = sum[2] + _mm_cvtsd_f64(_mm_unpackhi_pd(b, b));
        sum[4] = sum[3] + _mm_cvtsd_f64(c);
        sum[5] = sum[4] + _mm_cvtsd_f64(_mm_unpackhi_pd(c, c));
    }
    #else
    static inline void kmc_cumulate(const double *rate, int blocked, double *sum)
    {
        double total = 0.0;
        for (int k = 0; k < 6; ++k) {
            total += (blocked >> k) & 1 ? 0.0 : rate[k];
            sum[k] = total;
        }
    }
    #endif
    """
    void kmc_cumulate(const double *rate, int blocked, double *sum) noexcept nogil


cdef inline double total_rate(const State *s, int64_t x, int path) noexcept nogil:
    """Total rate of the possible hops of the oxygen at x, summed in the order of the slots."""
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef const double *rate = rates_of(s, x, path)
    cdef double total = 0.0
    cdef double sums[SLOTS]
    cdef int k
    if is_lattice(path):
        kmc_cumulate(rate, <int>blocked, sums)
        return sums[SLOTS - 1]
    for k in range(slots_of(path)):
        if not (blocked >> k) & 1:
            total += rate[k]
    return total


cdef inline int direction(
    const State *s, int64_t x, double rest, int path
) noexcept nogil:
    """First slot at which the cumulated rate of the possible hops exceeds `rest`.

    The number of slots if none does: the trial is rejected. A slot of zero rate is never chosen.
    """
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef const double *rate = rates_of(s, x, path)
    cdef double total = 0.0
    cdef double sums[SLOTS]
    cdef int k, slot = 0
    if is_lattice(path):
        kmc_cumulate(rate, <int>blocked, sums)
        for k in range(SLOTS):
            slot += rest >= sums[k]
        return slot
    for k in range(slots_of(path)):
        if not (blocked >> k) & 1:
            total += rate[k]
        slot += rest >= total
    return slot


cdef inline void update_group(State *s, int64_t x, int path) noexcept nogil:
    """Move the oxygen at x to the group of its total rate."""
    if path == PATTERNED and s.group != NULL:
        events_put(&s.events, <int32_t>x,
                   s.group[MASKS * s.indices[x].rate_row + blocked_of(s, x, path)])
    else:
        events_put(&s.events, <int32_t>x,
                   events_group(total_rate(s, x, path), s.events.offset))
