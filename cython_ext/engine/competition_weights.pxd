# The competing-exit cap (docs/cap.md): weights of hops, eight slots to a vector.
#
# All logarithms are base 2, integers in steps of 1/16. Integers make the factor of a bond the same
# from both of its ends, which keeps detailed balance exact; a finer step is not needed. A row holds
# the logarithms of one site as 16-bit numbers: first the rate of the slower direction of each bond,
# then the rate out over the rate back.

from libc.stdint cimport int16_t, uint64_t, uint8_t

from event_list cimport kmc_low_bit

cdef extern from *:
    """
    #include <stdint.h>
    #define KMC_FROZEN (-17184)    /* log of a rate below the normal doubles; of a missing bond */
    #define KMC_LOG_THREE 25       /* log2(3), log2(100) in steps: the weight of an uncapped hop */
    #define KMC_LOG_HUNDRED 106    /* exceeds the rate of its slower direction by this much */

    #ifdef __SSE2__
    #include <emmintrin.h>
    typedef __m128i kmc_row;
    static inline kmc_row kmc_row_load(const int16_t *p)
    { return _mm_loadu_si128((const __m128i *)p); }
    static inline kmc_row kmc_row_all(int x) { return _mm_set1_epi16((short)x); }
    static inline kmc_row kmc_row_add(kmc_row a, kmc_row b) { return _mm_add_epi16(a, b); }
    static inline kmc_row kmc_row_sub(kmc_row a, kmc_row b) { return _mm_sub_epi16(a, b); }
    static inline kmc_row kmc_row_max(kmc_row a, kmc_row b) { return _mm_max_epi16(a, b); }
    static inline kmc_row kmc_row_min(kmc_row a, kmc_row b) { return _mm_min_epi16(a, b); }
    static inline kmc_row kmc_row_and(kmc_row a, kmc_row b) { return _mm_and_si128(a, b); }
    static inline kmc_row kmc_row_greater(kmc_row a, kmc_row b) { return _mm_cmpgt_epi16(a, b); }
    static inline kmc_row kmc_row_andnot(kmc_row a, kmc_row b) { return _mm_andnot_si128(a, b); }
    static inline unsigned kmc_row_bits(kmc_row a)
    { return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(a, _mm_setzero_si128())); }
    #ifdef __SSE4_1__
    #include <smmintrin.h>
    static inline int kmc_row_largest(kmc_row a)  /* none of them negative */
    {
        __m128i found = _mm_minpos_epu16(_mm_xor_si128(a, _mm_set1_epi16(-1)));
        return (int)(0xffffu - ((unsigned)_mm_cvtsi128_si32(found) & 0xffffu));
    }
    #else
    static inline int kmc_row_largest(kmc_row a)
    {
        a = _mm_max_epi16(a, _mm_shuffle_epi32(a, 0x4e));
        a = _mm_max_epi16(a, _mm_shuffle_epi32(a, 0xb1));
        a = _mm_max_epi16(a, _mm_srli_epi32(a, 16));
        return (short)_mm_extract_epi16(a, 0);
    }
    #endif
    static inline unsigned kmc_row_equal(kmc_row a, int x)  /* bits of the equal ones */
    { return kmc_row_bits(_mm_cmpeq_epi16(a, kmc_row_all(x))); }
    static inline kmc_row kmc_row_select(unsigned bits)
    {
        const __m128i each = _mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128);
        return _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16((short)bits), each), each);
    }
    #ifdef __SSE4_1__
    /* Largest of the lanes that `bits` selects, and its lane; 0 if none is positive. */
    static inline int kmc_row_first(kmc_row a, unsigned bits, int *lane)
    {
        const __m128i ones = _mm_set1_epi16(-1);
        __m128i m = _mm_and_si128(_mm_max_epi16(a, _mm_setzero_si128()), kmc_row_select(bits));
        unsigned found = (unsigned)_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(m, ones)));
        *lane = (int)(found >> 16);
        return (int)(0xffffu - (found & 0xffffu));
    }
    #define KMC_ROW_FIRST
    #endif
    #else
    typedef struct { int16_t e[8]; } kmc_row;
    #define KMC_EACH(expression) \\
        kmc_row r; for (int k = 0; k < 8; ++k) r.e[k] = (int16_t)(expression); return r
    static inline kmc_row kmc_row_load(const int16_t *p) { KMC_EACH(p[k]); }
    static inline kmc_row kmc_row_all(int x) { KMC_EACH(x); }
    static inline kmc_row kmc_row_add(kmc_row a, kmc_row b) { KMC_EACH(a.e[k] + b.e[k]); }
    static inline kmc_row kmc_row_sub(kmc_row a, kmc_row b) { KMC_EACH(a.e[k] - b.e[k]); }
    static inline kmc_row kmc_row_max(kmc_row a, kmc_row b)
    { KMC_EACH(a.e[k] > b.e[k] ? a.e[k] : b.e[k]); }
    static inline kmc_row kmc_row_min(kmc_row a, kmc_row b)
    { KMC_EACH(a.e[k] < b.e[k] ? a.e[k] : b.e[k]); }
    static inline kmc_row kmc_row_and(kmc_row a, kmc_row b) { KMC_EACH(a.e[k] & b.e[k]); }
    static inline kmc_row kmc_row_greater(kmc_row a, kmc_row b)
    { KMC_EACH(a.e[k] > b.e[k] ? -1 : 0); }
    static inline kmc_row kmc_row_andnot(kmc_row a, kmc_row b) { KMC_EACH(~a.e[k] & b.e[k]); }
    static inline unsigned kmc_row_bits(kmc_row a)
    { unsigned r = 0; for (int k = 0; k < 8; ++k) r |= (a.e[k] < 0 ? 1u : 0u) << k; return r; }
    static inline int kmc_row_largest(kmc_row a)
    { int r = a.e[0]; for (int k = 1; k < 8; ++k) if (a.e[k] > r) r = a.e[k]; return r; }
    static inline unsigned kmc_row_equal(kmc_row a, int x)
    { unsigned r = 0; for (int k = 0; k < 8; ++k) r |= (a.e[k] == x ? 1u : 0u) << k; return r; }
    static inline kmc_row kmc_row_select(unsigned bits) { KMC_EACH((bits >> k) & 1 ? -1 : 0); }
    #endif

    #ifndef KMC_ROW_FIRST
    static inline int kmc_row_first(kmc_row a, unsigned bits, int *lane)
    {
        int most = kmc_row_largest(kmc_row_max(
            kmc_row_and(a, kmc_row_select(bits)), kmc_row_all(0)));
        *lane = __builtin_ctz((kmc_row_equal(a, most) & bits) | 256u) & 7;
        return most;
    }
    #endif

    /* log of the faster direction of each bond. */
    static inline kmc_row kmc_row_faster(const int16_t *slower, const int16_t *tilt)
    {
        kmc_row t = kmc_row_load(tilt);
        return kmc_row_add(kmc_row_load(slower),
                           kmc_row_max(t, kmc_row_sub(kmc_row_all(0), t)));
    }

    /* log of the weight W over Gamma of the hops out of a site and of the reverse hops. */
    static inline void kmc_weights(const int16_t *slower, const int16_t *tilt, int gamma,
                                   kmc_row *out, kmc_row *back)
    {
        const kmc_row zero = kmc_row_all(0);
        kmc_row below = kmc_row_sub(kmc_row_all(gamma), kmc_row_load(slower));
        kmc_row lift = kmc_row_min(
            kmc_row_max(kmc_row_sub(kmc_row_all(KMC_LOG_THREE), below), zero),
            kmc_row_sub(kmc_row_all(KMC_LOG_HUNDRED), below));
        kmc_row t = kmc_row_load(tilt);
        lift = kmc_row_andnot(kmc_row_greater(zero, below), lift);  /* capped hops have none */
        *out = kmc_row_add(kmc_row_max(t, zero), lift);
        *back = kmc_row_add(kmc_row_max(kmc_row_sub(zero, t), zero), lift);
    }

    /* Raise the weights of capped hops to the weights beyond them, at most to their full rates. */
    static inline kmc_row kmc_raise(kmc_row weight, const int16_t *slower, kmc_row tilt, int gamma,
                                    kmc_row beyond)
    {
        kmc_row over = kmc_row_sub(kmc_row_load(slower), kmc_row_all(gamma));
        kmc_row full = kmc_row_add(over, kmc_row_max(tilt, kmc_row_all(0)));
        kmc_row raised = kmc_row_min(full, kmc_row_add(tilt, beyond));
        return kmc_row_max(weight, kmc_row_and(raised, kmc_row_greater(over, kmc_row_all(0))));
    }
    static inline kmc_row kmc_raise_out(kmc_row out, const int16_t *slower, const int16_t *tilt,
                                        int gamma, kmc_row beyond)
    { return kmc_raise(out, slower, kmc_row_load(tilt), gamma, beyond); }
    static inline kmc_row kmc_raise_back(kmc_row back, const int16_t *slower, const int16_t *tilt,
                                         int gamma, kmc_row beyond)
    { return kmc_raise(back, slower, kmc_row_sub(kmc_row_all(0), kmc_row_load(tilt)), gamma,
                       beyond); }
    """
    const int FROZEN "KMC_FROZEN"
    const int LOG_HUNDRED "KMC_LOG_HUNDRED"
    ctypedef struct row_t "kmc_row":
        pass
    row_t row_load "kmc_row_load"(const int16_t *p) noexcept nogil
    row_t row_all "kmc_row_all"(int x) noexcept nogil
    row_t row_max "kmc_row_max"(row_t a, row_t b) noexcept nogil
    row_t row_and "kmc_row_and"(row_t a, row_t b) noexcept nogil
    row_t row_greater "kmc_row_greater"(row_t a, row_t b) noexcept nogil
    unsigned row_bits "kmc_row_bits"(row_t a) noexcept nogil
    int row_largest "kmc_row_largest"(row_t a) noexcept nogil
    int row_first "kmc_row_first"(row_t a, unsigned bits, int *lane) noexcept nogil
    unsigned row_equal "kmc_row_equal"(row_t a, int x) noexcept nogil
    row_t row_select "kmc_row_select"(unsigned bits) noexcept nogil
    row_t row_faster "kmc_row_faster"(
        const int16_t *slower, const int16_t *tilt
    ) noexcept nogil
    void cap_weights "kmc_weights"(
        const int16_t *slower, const int16_t *tilt, int gamma, row_t *out, row_t *back
    ) noexcept nogil
    row_t raise_out "kmc_raise_out"(
        row_t out, const int16_t *slower, const int16_t *tilt, int gamma, row_t beyond
    ) noexcept nogil
    row_t raise_back "kmc_raise_back"(
        row_t back, const int16_t *slower, const int16_t *tilt, int gamma, row_t beyond
    ) noexcept nogil

cdef enum:
    OCTAVE = 16                 # steps of the logarithm per factor of two
    LANES = 8                   # logarithms in a vector
    MAX_CHUNKS = 8             # vectors of a row at the largest degree

cdef struct Cap:
    int gamma                   # logarithm of the window's Gamma
    const int16_t *logs         # (n + 1, 2, LANES * chunks): slower direction, out over back
    double factor[OCTAVE]       # 2^(-k/OCTAVE)

cdef struct Weights:            # log over Gamma, of all hops at one site
    row_t out[MAX_CHUNKS]
    row_t back[MAX_CHUNKS]
    int16_t beyond[LANES * MAX_CHUNKS]     # largest one beyond each neighbour

cdef struct TwoLargest:         # the two largest of some weights; zero: none exceeds Gamma
    int16_t first
    int16_t second              # largest of all but that at `slot`
    uint8_t slot                # slot of the first, if that is not zero

cdef struct Competition:        # largest weights at a site, as seen from its neighbours
    TwoLargest out              # of hops out to empty neighbours
    TwoLargest back             # of hops in from occupied neighbours

cdef struct SiteCap:            # degree 6: what follows for a site from Gamma and the table
    uint8_t capped              # bit k: the bond at slot k is capped
    uint8_t evaluated_in        # window in which this, Site.relevant and Competition were found
    uint8_t surroundings_evaluated_in       # window in which that was done for the sites around


cdef inline uint64_t cap_capped_slots(const int16_t *logs, int gamma, int chunks) noexcept nogil:
    """Bit k: the bond at slot k is capped."""
    cdef uint64_t bits = 0
    cdef int c
    for c in range(chunks):
        bits |= <uint64_t>row_bits(
            row_greater(row_load(logs + LANES * c), row_all(gamma))) << (8 * c)
    return bits


cdef inline bint cap_no_weight(const int16_t *logs, int gamma, int chunks) noexcept nogil:
    """Whether all bonds of a site are so slow that no weight of a hop exceeds Gamma."""
    cdef int c
    for c in range(chunks):
        if row_bits(row_greater(
            row_faster(logs + LANES * c, logs + LANES * (chunks + c)), row_all(gamma - LOG_HUNDRED)
        )):
            return False
    return True


cdef inline void cap_hop_weights(
    const int16_t *logs, int gamma, int chunks, row_t *out, row_t *back
) noexcept nogil:
    """Weights of all hops out of a site and of the reverse hops."""
    cdef int c
    for c in range(chunks):
        cap_weights(logs + LANES * c, logs + LANES * (chunks + c), gamma, &out[c], &back[c])


cdef inline uint64_t cap_relevant(const row_t *weight, int chunks) noexcept nogil:
    """Bit k: the weight at slot k exceeds Gamma."""
    cdef uint64_t bits = 0
    cdef int c
    for c in range(chunks):
        bits |= <uint64_t>row_bits(row_greater(weight[c], row_all(0))) << (8 * c)
    return bits


cdef inline int cap_largest(const row_t *weight, uint64_t slots, int chunks) noexcept nogil:
    """Largest weight among some slots; zero where none exceeds Gamma."""
    cdef row_t most = row_all(0)
    cdef int c
    for c in range(chunks):
        most = row_max(most, row_and(weight[c], row_select((slots >> (8 * c)) & 255)))
    return row_largest(most)


cdef inline int cap_largest_of_two_sites(
    const row_t *weight, uint64_t slots, const row_t *other, uint64_t other_slots, int chunks
) noexcept nogil:
    """Largest weight among some slots of two sites; zero where none exceeds Gamma."""
    cdef row_t most = row_all(0)
    cdef int c
    for c in range(chunks):
        most = row_max(most, row_and(weight[c], row_select((slots >> (8 * c)) & 255)))
        most = row_max(most, row_and(other[c], row_select((other_slots >> (8 * c)) & 255)))
    return row_largest(most)


cdef inline void cap_two_largest(
    const row_t *weight, uint64_t slots, int chunks, TwoLargest *top
) noexcept nogil:
    """The two largest weights among some slots."""
    cdef int most, c, lane = 0
    cdef uint64_t equal = 0
    if chunks == 1:
        top.first = <int16_t>row_first(weight[0], <unsigned>slots, &lane)
        top.slot = <uint8_t>lane
        top.second = <int16_t>row_first(weight[0], <unsigned>slots & ~(<unsigned>1 << lane), &lane)
        return
    most = cap_largest(weight, slots, chunks)
    for c in range(chunks):
        equal |= <uint64_t>row_equal(weight[c], most) << (8 * c)
    equal &= slots
    top.first = <int16_t>most
    top.slot = <uint8_t>kmc_low_bit(equal) if equal else 0
    top.second = <int16_t>cap_largest(weight, slots & ~(<uint64_t>1 << top.slot), chunks)


cdef inline int cap_largest_except(const TwoLargest *top, int slot) noexcept nogil:
    """Largest of all weights but that at `slot`."""
    return top.second if top.slot == slot else top.first


cdef inline uint64_t cap_largest_changed(
    const TwoLargest *old, const TwoLargest *now
) noexcept nogil:
    """Bit k: the largest of all weights but that at slot k has changed."""
    cdef uint64_t at_old = <uint64_t>1 << old.slot, at_now = <uint64_t>1 << now.slot
    cdef uint64_t elsewhere = -<uint64_t>(old.first != now.first)
    return (elsewhere & ~(at_old | at_now)
            | at_old & -<uint64_t>(old.second != cap_largest_except(now, old.slot))
            | at_now & -<uint64_t>(now.second != cap_largest_except(old, now.slot)))


cdef inline void cap_raise_out(
    const Cap *cap, const int16_t *logs, const Weights *x, int after_leaving, int chunks,
    row_t *raised
) noexcept nogil:
    """Weights of the hops out of a site, raised to the weights beyond capped bonds.

    `after_leaving`: largest weight of the hops that would fill the site after the hop.
    """
    cdef int c
    for c in range(chunks):
        raised[c] = raise_out(
            x.out[c], logs + LANES * c, logs + LANES * (chunks + c), cap.gamma,
            row_max(row_load(x.beyond + LANES * c), row_all(after_leaving)))


cdef inline void cap_raise_back(
    const Cap *cap, const int16_t *logs, const Weights *x, int after_coming, int chunks,
    row_t *raised
) noexcept nogil:
    """Weights of the hops into an empty site, raised to the weights beyond capped bonds.

    `after_coming`: largest weight of the hops onwards from the site.
    """
    cdef int c
    for c in range(chunks):
        raised[c] = raise_back(
            x.back[c], logs + LANES * c, logs + LANES * (chunks + c), cap.gamma,
            row_max(row_load(x.beyond + LANES * c), row_all(after_coming)))
