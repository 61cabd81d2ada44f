# The competing-exit cap: by how much a bond that is fast compared with the time of interest may be
# slowed without changing what happens at that time.
#
# All logarithms are integers in sixteenths of an octave: the factor must be the same from both ends
# of a bond (that is what keeps detailed balance exact), but need not be finer than that.

from libc.stdint cimport int16_t, int64_t, uint64_t

cdef enum:
    OCTAVE = 16                 # steps of the logarithm per factor of two
    FROZEN = -17184             # logarithm of a rate too small for a double, and of no bond at all
    LOG_THREE = 25              # log2(3) and log2(100) in steps: how far an uncapped hop is lifted
    LOG_HUNDRED = 106           # over its slower direction when it competes with a capped one

cdef struct Cap:
    int gamma                   # logarithm of the window's Gamma
    const int16_t *slower       # log of a bond's slower direction, a row per site
    const int16_t *out          # log of k(site -> neighbour) over the slower direction, >= 0
    const int16_t *back         # log of k(neighbour -> site) over the slower direction, >= 0
    const int16_t *fastest      # largest entry of each site's row of `slower`
    double factor[OCTAVE]       # 2^(-k/OCTAVE)


cdef inline int cap_lift(const Cap *cap, int slower) noexcept nogil:
    """log of the static weight W over Gamma, less the hop's own entry in `out` or `back`."""
    cdef int below = cap.gamma - slower
    cdef int lift
    if below < 0:
        return 0
    lift = LOG_THREE - below if below < LOG_THREE else 0
    return lift if lift < LOG_HUNDRED - below else LOG_HUNDRED - below


cdef inline void cap_competitors(
    const Cap *cap, int64_t row, int skip, uint64_t blocked, int degree, int *leave, int *fill
) noexcept nogil:
    """Largest weights of the other hops at one end of a bond.

    leave: out of this site into its empty neighbours (an oxygen here would be gone);
    fill: out of its occupied neighbours into this site (a hole here would be gone).
    """
    cdef int k, w, lift
    for k in range(degree):
        if k == skip:
            continue
        lift = cap_lift(cap, cap.slower[row + k])
        if (blocked >> k) & 1:
            w = cap.back[row + k] + lift
            if w > fill[0]:
                fill[0] = w
        else:
            w = cap.out[row + k] + lift
            if w > leave[0]:
                leave[0] = w
