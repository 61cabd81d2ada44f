# The state of one system of oxygens on a graph, and how its arrays are read.
#
# A site has slots, one for each neighbour. `path` says how the graph stores its neighbours. Callers
# pass it as a compile-time constant, so that the compiler makes an unrolled version for lattices
# (degree 6) and one version for all other graphs.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t

from competition_weights cimport Cap, Competition, LANES, SiteCap
from event_list cimport EMPTY, Events, Site, kmc_low_bit
from random_blocks cimport Block

cdef enum:
    MAX_DEGREE = 64
    SLOTS = 6                   # slots of a lattice site: any graph of at most this degree
    STRIDE = 8                  # 4-byte entries of a row: 6 sites, 6 bits, padding
    SECOND_END = 8              # in a mask for both ends of a hop: first slot of the second end
    # Paths. A graph of larger degree has its number of slots as its path.
    LATTICE = SLOTS             # rows of neighbours
    PATTERNED = SLOTS + 256     # neighbour patterns in place of the rows
    MAX_PATTERNS = 256          # different neighbour patterns of one graph
    MAX_RATE_ROWS = 512         # different rows of rates of one table, where rows are shared
    MASKS = 64                  # different masks of blocked slots at degree 6
    # Prefetching: how many trials in advance each piece of memory is loaded.
    ENTRY_AHEAD = 8             # the oxygen's entry in the list of its group
    SITE_AHEAD = 6              # its site and its rates
    NEIGHBOURS_AHEAD = 4        # the neighbours of its site
    TARGET_AHEAD = 2            # the neighbours of the site that it hops to
    OXYGENS_AHEAD = 1           # the rates of the oxygens next to both sites
    GUESSES = 16                # length of the ring of guesses: a power of two above ENTRY_AHEAD
    PREFETCH_FROM = 65000       # number of sites from which on prefetching saves time


cdef struct NeighbourPattern:   # the neighbours of a site, relative to it
    int32_t step[SLOTS]         # number of the neighbour minus that of the site; 0: no neighbour
    uint8_t bit[STRIDE]         # bit of the site in the neighbour's mask; 0: no neighbour

cdef struct SiteIndices:
    uint16_t pattern            # index of the site's neighbour pattern
    uint16_t rate_row           # index of its row of rates, where rows are shared

cdef struct TrialGuess:         # a coming trial, predicted from the present event list
    int group
    int32_t index               # in the list of the group; -1: unknown
    int32_t site                # of the oxygen; -1: unknown
    int32_t target              # site that it hops to; -1: unknown

cdef struct State:
    # The graph.
    int n_sites
    int path
    int chunks                  # vectors of LANES logarithms in a row
    bint triangles              # some neighbours of a site are neighbours of each other
    const int32_t *neighbour
    const uint8_t *reverse
    const NeighbourPattern *patterns
    SiteIndices *indices        # (n,) with neighbour patterns
    # The rates.
    const uint16_t *group       # (rate rows, MASKS): group of an oxygen; NULL: rows are not shared
    const double *rate          # quenched rates, rows of `degree`
    double *effective           # rates of oxygens after the cap; `rate` itself in exact mode
    # The occupation, and what the cap derives from it.
    Site *site                  # (n + 1,)
    uint64_t *blocked_wide      # (n + 1,) as Site.blocked, for degrees above 6; NULL otherwise
    SiteCap *site_cap           # (n + 1,) on a lattice in capped mode
    Competition *competition    # (n + 1,) where the cap looks two steps around
    Cap cap
    # Trials and hops.
    Events events
    Block block
    int64_t hops
    int64_t trials
    # Updates of the cap after a hop.
    int64_t *mark               # (n + 1,) of oxygens: 2 h if hop h was the last to concern them,
    #                             2 h + 1 once all their capped rates are updated after hop h
    int32_t *further            # oxygens not next to the hop whose rates have changed
    int n_further
    uint8_t window              # number of the present window, counted from 1
    TrialGuess guesses[GUESSES]     # by trial


cdef inline bint occupied_at(const State *s, int64_t x) noexcept nogil:
    return s.site[x].group != EMPTY


cdef inline int slots_of(int path) noexcept nogil:
    return path & 255


cdef inline bint is_lattice(int path) noexcept nogil:
    return slots_of(path) == SLOTS


cdef inline uint64_t blocked_of(const State *s, int64_t site, int path) noexcept nogil:
    if is_lattice(path):
        return s.site[site].blocked
    return s.blocked_wide[site]


cdef inline int64_t neighbour_of(const State *s, int64_t x, int k, int path) noexcept nogil:
    """Site at slot k of x. Without a neighbour there: n, or with neighbour patterns x itself."""
    if path == PATTERNED:
        return x + s.patterns[s.indices[x].pattern].step[k]
    return s.neighbour[x * (STRIDE if path == LATTICE else path) + k]


cdef inline int bit_of(const State *s, int64_t x, int k, int path) noexcept nogil:
    """On a lattice: the bit of x in the mask of its neighbour at slot k; 0 for no neighbour."""
    if path == PATTERNED:
        return s.patterns[s.indices[x].pattern].bit[k]
    return (<const uint8_t *>(s.neighbour + x * STRIDE + SLOTS))[k]


cdef inline int reverse_of(const State *s, int64_t x, int k, int path) noexcept nogil:
    """Slot of x at its neighbour at slot k, which must exist."""
    if is_lattice(path):
        return kmc_low_bit(bit_of(s, x, k, path))
    return s.reverse[x * path + k]


cdef inline uint64_t reverse_bit(const State *s, int64_t x, int k, int path) noexcept nogil:
    """Bit of x in the masks of its neighbour at slot k, which must exist."""
    if is_lattice(path):
        return bit_of(s, x, k, path)
    return <uint64_t>1 << reverse_of(s, x, k, path)


cdef inline const double *rates_of(const State *s, int64_t x, int path) noexcept nogil:
    """Effective rates of the oxygen at x."""
    if path == PATTERNED and s.group != NULL:
        x = s.indices[x].rate_row
    return s.effective + x * slots_of(path)


cdef inline const int16_t *logs_of(const State *s, int64_t x, int chunks) noexcept nogil:
    return s.cap.logs + 2 * LANES * chunks * x


cdef inline int chunks_of(const State *s, int path) noexcept nogil:
    return 1 if is_lattice(path) else s.chunks


# Both ends of a hop are updated by loops over masks of slots. On a lattice one mask holds the slots
# of both ends, those of the second end from bit SECOND_END on: the number of passes is random, so a
# second loop would cost a second mispredicted branch. On other graphs each end has its own mask.

cdef struct Hop:                # end 0 is the site that is left, end 1 the site that is reached
    int64_t site[2]
    int slot[2]                 # slot of the other end
    uint64_t affects[2]         # bit k: the hop changes the competition at the neighbour at slot k
    Competition before[2][MAX_DEGREE]       # competition offered by that neighbour before the hop


cdef inline uint64_t end_mask(const uint64_t *masks, int end, int path) noexcept nogil:
    """The mask of one end, or on a lattice the mask of both."""
    return masks[0] | masks[1] << SECOND_END if is_lattice(path) else masks[end]


cdef inline int masks_of(int path) noexcept nogil:
    """Number of masks for the two ends of a hop."""
    return 1 if is_lattice(path) else 2


cdef inline int end_of(int end, int k, int path) noexcept nogil:
    """End that slot k of a mask belongs to."""
    return k // SECOND_END if is_lattice(path) else end


cdef inline int slot_of(int k, int path) noexcept nogil:
    """Slot k of a mask as a slot of its end."""
    return k & (SECOND_END - 1) if is_lattice(path) else k
