"""The residence-time kernel: event list, hops, exclusion and the competing-exit cap.

Typed loops only. `kmc_oxy.physics.engine` checks arguments, keeps time, documents the method.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp2, log2, rint
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset
from numpy.random cimport bitgen_t

from _blocks cimport BLOCK, Block, block_refill
from _cap cimport (
    Cap, FROZEN, Found, LANES, MOST_CHUNKS, OCTAVE, Top, View, Weights, row_t,
    cap_changed, cap_most, cap_most_of_two, cap_none, cap_raise_back, cap_raise_out,
    cap_relevant, cap_site, cap_slots, cap_top, cap_without,
)
from _events cimport (
    EMPTY, Events, GROUPS, Site, UNLISTED,
    events_add, events_bound, events_draw, events_group, events_put, events_rate, events_remove,
    events_settle, kmc_below, kmc_low_bit, kmc_power_of_two, kmc_quarter_octave,
)

import numpy as np

cdef enum:
    MAX_DEGREE = 64
    SLOTS = 6               # of a lattice site: graphs of at most this degree take unrolled paths
    SECOND = 8              # slots from here on are those of the second site of a hop
    STRIDE = 8              # of its row of neighbours: six sites, their bits for this site, spare
    # Paths, told apart when compiling; any other graph has its number of slots for a path.
    LATTICE = SLOTS
    LINKED = SLOTS + 256    # the same with links instead of rows of neighbours
    # Trials by which their memory is fetched in advance: the oxygen's entry in its group's list,
    # its site, what is around that and around the site it goes to, and rates of oxygens there.
    ENTRY = 8
    SITE = 6
    NEAR = 4
    TARGET = 2
    OXYGENS = 1
    RING = 16               # a power of two above ENTRY
    AHEAD_FROM = 65000      # sites from which on that pays
    SURROUNDINGS = 256      # that the sites of a graph may have
    ROWS = 512              # differing rows of rates that are worth a table of their own
    MASKS = 64              # of blocked slots

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    /* Zeroed memory; large blocks on huge pages, since hops touch it at random. */
    static void *kmc_allocate(size_t bytes)
    {
        void *memory = NULL;
        size_t large = (size_t)1 << 21;
        if (bytes > large / 2)  /* at most half of it is spare */
            bytes = (bytes + large - 1) & ~(large - 1);
        if (posix_memalign(&memory, bytes < large ? 64 : large, bytes ? bytes : 64))
            return NULL;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (bytes >= large)
            madvise(memory, bytes, MADV_HUGEPAGE);
    #endif
        memset(memory, 0, bytes);
        return memory;
    }
    /* Without branches, since what they would ask cannot be predicted. */
    static inline int kmc_positive(int a) { return a & ~(a >> 31); }
    static inline int kmc_larger(int a, int b) { return b + kmc_positive(a - b); }
    /* Cumulated rates of the six slots of a lattice site, blocked ones counting as zero. */
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
    void *kmc_allocate(size_t size) noexcept nogil
    int kmc_positive(int a) noexcept nogil
    int kmc_larger(int a, int b) noexcept nogil
    void kmc_cumulate(const double *rate, int blocked, double *sum) noexcept nogil
    void prefetch "__builtin_prefetch"(const void *address) noexcept nogil


cdef void *allocate(size_t count, size_t size) except NULL:
    cdef void *memory = kmc_allocate(count * size)
    if memory == NULL:
        raise MemoryError(f"No memory for {count * size} bytes of kernel tables.")
    return memory


cdef struct Surroundings:       # where the slots of a site lead, seen from it
    int32_t step[SLOTS]         # to add to the number of the site; 0 for a slot that leads nowhere
    uint8_t bit[STRIDE]         # of the site in the mask of that neighbour, or 0

cdef struct Links:              # of a site
    uint16_t around             # its surroundings
    uint16_t row                # of rates, where few of them differ


cdef class Graph:
    """Neighbours of each site, by slots.

    A site has a row of neighbours; row n is a dummy that absorbs what missing neighbours are told.
    Seen from a site, few surroundings recur on a lattice, so that two bytes can stand for the row:
    slower while rows fit the cache, and faster beyond.
    """

    cdef readonly int n_sites
    cdef readonly int path      # LATTICE, LINKED or the largest degree beyond SLOTS
    cdef readonly int degree    # slots a site
    cdef readonly int stride    # entries of a row of neighbours
    cdef readonly int chunks    # vectors of LANES logarithms that hold a row
    cdef readonly bint parallel     # some pair of sites is joined twice: those must be merged
    cdef int32_t *neighbour     # (n + 1, stride): site at the other end, n where there is none
    cdef uint8_t *reverse       # (n + 1, degree): this site's slot there; NULL at degree 6
    cdef Surroundings around[SURROUNDINGS]
    cdef uint16_t *kind         # (n,): of each site's surroundings, instead of the rows; or NULL
    cdef bint triangles         # whether neighbours of a site are ever neighbours of each other

    def __init__(self, int n_sites, const int32_t[:, ::1] bonds, bint linked=False):
        """`bonds` should name each pair of sites once; `parallel` tells whether it does.

        `linked` asks for surroundings instead of rows, if few differ; only for exact mode.
        """
        cdef int64_t b, i, j, x
        cdef int k
        cdef int32_t most = 0
        cdef uint8_t[::1] used = np.zeros(n_sites + 1, dtype=np.uint8)
        cdef int32_t[::1] degrees = np.zeros(n_sites + 1, dtype=np.int32)
        for b in range(bonds.shape[0]):
            for k in range(2):
                degrees[bonds[b, k]] += 1
                most = max(most, degrees[bonds[b, k]])
        if most > MAX_DEGREE:
            raise ValueError(
                f"The 'bonds' parameter must give a site at most {MAX_DEGREE} neighbours. "
                f"Got {most} at site {int(np.argmax(degrees))} instead."
            )
        degrees = None
        self.n_sites = n_sites
        self.path = self.degree = max(most, SLOTS)
        self.stride = STRIDE if most <= SLOTS else most
        self.chunks = (self.degree + LANES - 1) // LANES
        self.neighbour = <int32_t *>allocate(<size_t>(n_sites + 1) * self.stride, sizeof(int32_t))
        if self.degree != SLOTS:
            self.reverse = <uint8_t *>allocate(<size_t>(n_sites + 1) * self.degree, 1)
        for x in range(n_sites + 1):
            for k in range(self.degree):
                self.neighbour[x * self.stride + k] = n_sites
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            for k in range(used[i]):
                if self.neighbour[i * self.stride + k] == j:
                    self.parallel = True
            self._enter(i, used[i], j, used[j])
            self._enter(j, used[j], i, used[i])
            used[i] += 1
            used[j] += 1
        self.triangles = self._has_triangles(bonds)
        if linked and self.degree == SLOTS:
            self._link()

    cdef bint _has_triangles(self, const int32_t[:, ::1] bonds) noexcept:
        cdef int64_t b
        cdef int k, far_slot
        cdef const int32_t *near
        cdef const int32_t *far
        for b in range(bonds.shape[0]):
            near = self.neighbour + <int64_t>bonds[b, 0] * self.stride
            far = self.neighbour + <int64_t>bonds[b, 1] * self.stride
            for k in range(self.degree):
                for far_slot in range(self.degree):
                    if near[k] == far[far_slot] and near[k] != self.n_sites:
                        return True
        return False

    cdef uint8_t *_bits(self, int64_t x) noexcept:
        """Of a row at degree 6: the bit of x in the mask of each neighbour; 0 for none."""
        return <uint8_t *>(self.neighbour + x * STRIDE + SLOTS)

    cdef void _enter(self, int64_t x, int slot, int64_t y, int slot_there) noexcept:
        self.neighbour[x * self.stride + slot] = <int32_t>y
        if self.degree == SLOTS:
            self._bits(x)[slot] = <uint8_t>(1 << slot_there)
        else:
            self.reverse[x * self.degree + slot] = <uint8_t>slot_there

    cdef int _link(self) except -1:
        """Replace the rows of neighbours by the surroundings of sites, if few differ."""
        cdef int64_t x
        cdef int k, n_kinds = 0, kind = 0
        cdef Surroundings own
        self.kind = <uint16_t *>allocate(self.n_sites, sizeof(uint16_t))
        memset(&own, 0, sizeof(own))
        for x in range(self.n_sites):
            for k in range(SLOTS):
                own.bit[k] = self._bits(x)[k]
                own.step[k] = <int32_t>(self.neighbour[x * STRIDE + k] - x) if own.bit[k] else 0
            if not n_kinds or memcmp(&self.around[kind], &own, sizeof(own)) != 0:
                kind = 0
                while kind < n_kinds and memcmp(&self.around[kind], &own, sizeof(own)) != 0:
                    kind += 1
            if kind == SURROUNDINGS:
                free(self.kind)
                self.kind = NULL
                return 0
            if kind == n_kinds:
                self.around[kind] = own
                n_kinds += 1
            self.kind[x] = <uint16_t>kind
        free(self.neighbour)
        self.neighbour = NULL
        self.path = LINKED
        return 0

    def __dealloc__(self):
        free(self.neighbour)
        free(self.reverse)
        free(self.kind)


cdef class RateTable:
    """Rates of every directed bond at one voltage, and for the cap their logarithms."""

    cdef readonly Graph graph
    cdef readonly bint capped
    cdef readonly int offset    # exponent of group 0's lower end (see _events.pxd)
    cdef double *rate           # (n + 1, degree): out of the site, 0 where there is no neighbour
    cdef uint16_t *row          # with links, few rows differ: the site's row in `rate`; or NULL
    cdef uint16_t *group        # (rows, MASKS): then the group of an oxygen by its blocked slots
    cdef int16_t *logs          # (n + 1, 2, LANES * chunks): see _cap.pxd
    cdef object used            # slots of each site filled so far

    def __init__(self, Graph graph, bint capped):
        cdef size_t rows = graph.n_sites + 1, row, k, width = LANES * graph.chunks
        self.graph = graph
        self.capped = capped
        self.rate = <double *>allocate(rows * graph.degree, sizeof(double))
        self.used = np.zeros(rows, dtype=np.uint8)
        if capped:
            self.logs = <int16_t *>allocate(rows * 2 * width, sizeof(int16_t))
            for row in range(rows):
                for k in range(width):
                    self.logs[2 * width * row + k] = FROZEN

    def __dealloc__(self):
        free(self.rate)
        free(self.row)
        free(self.group)
        free(self.logs)

    @property
    def nbytes(self):
        rows = self.graph.n_sites + 1
        if self.row != NULL:
            return 2 * rows
        return rows * (8 * self.graph.degree + 4 * LANES * self.graph.chunks * self.capped)

    def fill(self, const int32_t[:, ::1] bonds, const double[::1] k_ij, const double[::1] k_ji):
        """Enter the rates of the next bonds, in the order in which the graph was built."""
        cdef int64_t b, i, j, row_i, row_j
        cdef int log_ij, log_ji, slower
        cdef uint8_t[::1] used = self.used
        cdef int degree = self.graph.degree, width = LANES * self.graph.chunks
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            self.rate[i * degree + used[i]] = k_ij[b]
            self.rate[j * degree + used[j]] = k_ji[b]
            if self.capped:
                log_ij = logarithm(k_ij[b])
                log_ji = logarithm(k_ji[b])
                slower = log_ij if log_ij < log_ji else log_ji
                row_i = 2 * width * i + used[i]
                row_j = 2 * width * j + used[j]
                self.logs[row_i] = self.logs[row_j] = <int16_t>slower
                self.logs[row_i + width] = <int16_t>(log_ij - log_ji)
                self.logs[row_j + width] = <int16_t>(log_ji - log_ij)
            used[i] += 1
            used[j] += 1

    def close(self):
        """All bonds are in: fix the scale of the event list."""
        cdef int64_t i
        cdef int k
        cdef double total, most = 0.0
        for i in range(self.graph.n_sites):
            total = 0.0
            for k in range(self.graph.degree):
                total += self.rate[i * self.graph.degree + k]
            if total > most:
                most = total
        # Far enough above the denormal numbers that every weight is a normal one.
        self.offset = max(kmc_quarter_octave(most) // 4 - (GROUPS // 4 - 1), -900)
        self.used = None
        if self.graph.path == LINKED:
            self._share_rows()

    cdef int _share_rows(self) except -1:
        """Keep each row of rates once, if few of them differ: on a lattice with one barrier."""
        cdef int64_t x
        cdef int n_rows = 0, recent = 0
        cdef size_t width = SLOTS * sizeof(double)
        cdef double *rows = <double *>allocate(ROWS, width)
        cdef double *own
        cdef double sums[SLOTS]
        cdef uint16_t *row = <uint16_t *>allocate(self.graph.n_sites, sizeof(uint16_t))
        for x in range(self.graph.n_sites):
            own = self.rate + x * SLOTS
            if n_rows == 0 or memcmp(rows + recent * SLOTS, own, width) != 0:
                recent = 0
                while recent < n_rows and memcmp(rows + recent * SLOTS, own, width) != 0:
                    recent += 1
            if recent == ROWS:
                free(rows)
                free(row)
                return 0
            if recent == n_rows:
                memcpy(rows + recent * SLOTS, own, width)
                n_rows += 1
            row[x] = <uint16_t>recent
        free(self.rate)
        self.rate = rows
        self.row = row
        self.group = <uint16_t *>allocate(n_rows * MASKS, sizeof(uint16_t))
        for x in range(n_rows * MASKS):
            kmc_cumulate(rows + x // MASKS * SLOTS, <int>(x % MASKS), sums)
            self.group[x] = <uint16_t>events_group(sums[SLOTS - 1], self.offset)
        return 0


cdef inline int logarithm(double rate) noexcept nogil:
    """log2 in steps of 1/OCTAVE; FROZEN for a rate of zero."""
    if rate < 2.3e-308:
        return FROZEN
    return <int>rint(OCTAVE * log2(rate))


cdef struct Glimpse:            # of a coming trial, as it would be if nothing changed until then
    int group
    int32_t index               # in the group's list; -1 if nothing is known
    int32_t site                # of its oxygen, or -1
    int32_t target              # where it goes, or -1


cdef struct State:
    int n_sites
    int path
    int chunks
    bint triangles
    const int32_t *neighbour
    const uint8_t *reverse
    const Surroundings *around
    Links *links                # (n,)
    const uint16_t *group       # of an oxygen by Links.row and mask, if few rows differ; or NULL
    const double *rate          # quenched rates, rows of `degree`
    double *effective           # of oxygens, after the cap; `rate` itself in exact mode
    Site *site                  # (n + 1,)
    uint64_t *blocked_wide      # as Site.blocked, for larger degrees; NULL otherwise
    Found *found                # (n + 1,) on a lattice in capped mode
    View *view                  # (n + 1,) where the cap looks two steps around
    Cap cap
    Events events
    Block block
    int64_t hops
    int64_t trials
    int64_t *mark               # of oxygens, by the last hop h that bore on them: 2 h, or 2 h + 1
    #                             once all rates have been made anew
    int32_t *far                # oxygens on which a hop bears from a distance
    int n_far
    uint8_t window              # number of the window, from 1 on; see Found
    Glimpse coming[RING]        # by trial


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
    """Site at slot k of x; for a slot that leads nowhere n, or with links x itself."""
    if path == LINKED:
        return x + s.around[s.links[x].around].step[k]
    return s.neighbour[x * (STRIDE if path == LATTICE else path) + k]


cdef inline int bit_of(const State *s, int64_t x, int k, int path) noexcept nogil:
    """On a lattice: the bit of x in the mask of its neighbour at slot k; 0 for no neighbour."""
    if path == LINKED:
        return s.around[s.links[x].around].bit[k]
    return (<const uint8_t *>(s.neighbour + x * STRIDE + SLOTS))[k]


cdef inline int reverse_of(const State *s, int64_t x, int k, int path) noexcept nogil:
    """Slot of x in the row of its neighbour at slot k, which must lead somewhere."""
    if is_lattice(path):
        return kmc_low_bit(bit_of(s, x, k, path))
    return s.reverse[x * path + k]


cdef inline uint64_t reverse_bit(const State *s, int64_t x, int k, int path) noexcept nogil:
    """Bit of x in the masks of its neighbour at slot k, which must lead somewhere."""
    if is_lattice(path):
        return bit_of(s, x, k, path)
    return <uint64_t>1 << reverse_of(s, x, k, path)


cdef inline const double *rates_of(const State *s, int64_t x, int path) noexcept nogil:
    """Effective rates of the oxygen at x."""
    if path == LINKED and s.group != NULL:
        x = s.links[x].row
    return s.effective + x * slots_of(path)


cdef inline const int16_t *logs_of(const State *s, int64_t x, int chunks) noexcept nogil:
    return s.cap.logs + 2 * LANES * chunks * x


cdef inline int chunks_of(const State *s, int path) noexcept nogil:
    return 1 if is_lattice(path) else s.chunks


cdef inline uint64_t capped_of(const State *s, int64_t x, int path) noexcept nogil:
    """Bit k: the bond at slot k is capped."""
    if is_lattice(path):
        return s.found[x].capped
    return cap_slots(logs_of(s, x, s.chunks), s.cap.gamma, s.chunks)


cdef inline bint is_capped(const State *s, int64_t x, int path) noexcept nogil:
    """Whether any bond of x is capped, surveyed or not."""
    return cap_slots(logs_of(s, x, chunks_of(s, path)), s.cap.gamma, chunks_of(s, path)) != 0


cdef inline uint64_t heeds_of(const State *s, int64_t x, int path) noexcept nogil:
    """Bit k: the bond at slot k is capped or a hop over it weighs more than Gamma.

    Only what is at such a slot bears on what competes at x. It is the same from both ends.
    """
    cdef row_t out[MOST_CHUNKS]
    cdef row_t back[MOST_CHUNKS]
    if is_lattice(path):
        return s.site[x].heeds
    cap_site(logs_of(s, x, s.chunks), s.cap.gamma, s.chunks, out, back)
    return (cap_relevant(out, s.chunks) | cap_relevant(back, s.chunks)
            | capped_of(s, x, path))


cdef inline void show(
    State *s, int64_t x, const row_t *out, const row_t *back, int path
) noexcept nogil:
    """What site x offers to those that look at it, from the weights of its hops."""
    cdef int chunks = chunks_of(s, path)
    cdef uint64_t blocked = blocked_of(s, x, path)
    cap_top(out, ~blocked, chunks, &s.view[x].out)
    cap_top(back, blocked, chunks, &s.view[x].back)


cdef inline void look_anew(State *s, int64_t x, int path) noexcept nogil:
    """A neighbour of x has come or gone: what x offers now."""
    cdef int chunks = chunks_of(s, path)
    cdef row_t out[MOST_CHUNKS]
    cdef row_t back[MOST_CHUNKS]
    cap_site(logs_of(s, x, chunks), s.cap.gamma, chunks, out, back)
    show(s, x, out, back, path)


cdef inline void survey(State *s, int64_t x, int path, int reach) noexcept nogil:
    """On a lattice: what Gamma and the table make of site x, and what it offers."""
    cdef const int16_t *logs
    cdef row_t out[1]
    cdef row_t back[1]
    cdef Found *found = s.found + x
    if found.surveyed == s.window:
        return
    found.surveyed = s.window
    logs = logs_of(s, x, 1)
    # Most bonds are frozen for long: their sites offer nothing, now as in the window before.
    if not s.site[x].heeds and cap_none(logs, s.cap.gamma, 1):
        return
    cap_site(logs, s.cap.gamma, 1, out, back)
    if reach == 2:
        show(s, x, out, back, path)
    found.capped = <uint8_t>cap_slots(logs, s.cap.gamma, 1)
    s.site[x].heeds = <uint8_t>(
        found.capped | cap_relevant(out, 1) | cap_relevant(back, 1))


cdef inline void ripen(State *s, int64_t x, int path, int reach) noexcept nogil:
    """On a lattice, once a window: survey all sites that a hop from or to x has to do with.

    An oxygen with a capped bond stands on a ripe site, so that its rates can be found at any time.
    """
    cdef uint64_t heeds, beyond
    cdef int64_t y
    cdef int k
    if not is_lattice(path) or s.found[x].ripe == s.window:
        return
    s.found[x].ripe = s.window
    # Of these only those of capped bonds change within a window, and they are judged.
    for k in range(SLOTS):
        s.effective[x * SLOTS + k] = s.rate[x * SLOTS + k]
    survey(s, x, path, reach)
    heeds = heeds_of(s, x, path)
    while heeds:
        y = neighbour_of(s, x, kmc_low_bit(heeds), path)
        heeds &= heeds - 1
        survey(s, y, path, reach)
        if reach == 2:
            beyond = capped_of(s, y, path)
            while beyond:
                survey(s, neighbour_of(s, y, kmc_low_bit(beyond), path), path, reach)
                beyond &= beyond - 1


cdef inline double scaled(const State *s, double rate, int over) noexcept nogil:
    """`rate` slowed by 2^(-over/OCTAVE), or itself if `over` is not positive."""
    if over <= 0:
        return rate
    return rate * (s.cap.factor[over & (OCTAVE - 1)] * kmc_power_of_two(-(over // OCTAVE)))


cdef inline int beyond(
    const State *s, int64_t x, int k, bint filled, int path
) noexcept nogil:
    """Largest weight of what lies beyond x's neighbour at slot k, as seen from x.

    Beyond an empty neighbour: its ways on. Beyond a filled one: who would take its place.
    What is beside x is left out because it might be the other end of the bond that is judged,
    whose occupation must not matter.
    """
    cdef int chunks = chunks_of(s, path)
    cdef int64_t y = neighbour_of(s, x, k, path)
    cdef int slot = reverse_of(s, x, k, path), far_slot, m
    cdef uint64_t slots
    cdef row_t out[MOST_CHUNKS]
    cdef row_t back[MOST_CHUNKS]
    if not s.triangles:
        return cap_without(&s.view[y].back if filled else &s.view[y].out, slot)
    slots = ~(<uint64_t>1 << slot)
    for far_slot in range(slots_of(path)):
        for m in range(slots_of(path)):
            if neighbour_of(s, y, far_slot, path) == neighbour_of(s, x, m, path):
                slots &= ~(<uint64_t>1 << far_slot)
    cap_site(logs_of(s, y, chunks), s.cap.gamma, chunks, out, back)
    if filled:
        return cap_most(back, blocked_of(s, y, path) & slots, chunks)
    return cap_most(out, ~blocked_of(s, y, path) & slots, chunks)


cdef inline void weigh(
    const State *s, int64_t x, uint64_t looked_at, Weights *weights, int path
) noexcept nogil:
    """Weights of all hops at x, and what lies beyond the capped bonds among some slots."""
    cdef int chunks = chunks_of(s, path)
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef uint64_t slots = capped_of(s, x, path) & looked_at
    cdef int k
    cap_site(logs_of(s, x, chunks), s.cap.gamma, chunks, weights.out, weights.back)
    memset(weights.beyond, 0, LANES * chunks * sizeof(int16_t))
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        weights.beyond[k] = <int16_t>beyond(s, x, k, (blocked >> k) & 1, path)


cdef inline void offers(
    const State *s, int64_t x, int k, int *own, int *hole, int path
) noexcept nogil:
    """Largest weights of what competes at site x with the bond at slot k, two steps around.

    own: other ways out for an oxygen at x; hole: other oxygens that would take a hole at x.
    """
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef const View *view = &s.view[x]
    cdef uint64_t blocked = blocked_of(s, x, path), others = ~(<uint64_t>1 << k)
    cdef Weights weights
    cdef row_t raised[MOST_CHUNKS]
    if not heeds_of(s, x, path) & others:
        own[0] = hole[0] = 0
        return
    weigh(s, x, others, &weights, path)
    cap_raise_out(&s.cap, logs, &weights, cap_without(&view.back, k), chunks, raised)
    own[0] = cap_most(raised, ~blocked & others, chunks)
    cap_raise_back(&s.cap, logs, &weights, cap_without(&view.out, k), chunks, raised)
    hole[0] = cap_most(raised, blocked & others, chunks)


cdef inline void slow(
    State *s, int64_t x, int k, int forward, int backward, int path
) noexcept nogil:
    """Effective rate of the possible hop out of slot k of x, whose bond is capped.

    `forward` and `backward` are the largest weights of what competes with the hop and with the
    way back. The factor min(1, max(Gamma/m, A/f, B/b)) is the same from both ends of the bond
    whichever is occupied, so that detailed balance is exact within a window.
    """
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs = logs_of(s, x, chunks)
    cdef int over = logs[k] - s.cap.gamma
    cdef int tilt = logs[LANES * chunks + k]
    over -= kmc_positive(kmc_larger(
        forward - kmc_positive(tilt), backward + tilt - kmc_positive(tilt)))
    s.effective[x * slots_of(path) + k] = scaled(s, s.rate[x * slots_of(path) + k], over)


cdef inline void judge(
    State *s, int64_t x, int k, int own_x, int hole_x, int path
) noexcept nogil:
    """Rate out of slot k of x from what competes two steps around, given that at x itself."""
    cdef int own_y, hole_y
    offers(s, neighbour_of(s, x, k, path), reverse_of(s, x, k, path), &own_y, &hole_y, path)
    slow(s, x, k, max(own_x, hole_y), max(own_y, hole_x), path)


cdef inline void judge_one(State *s, int64_t x, int k, int path, int reach) noexcept nogil:
    """Rate out of slot k of x, whose bond is capped."""
    cdef int chunks = chunks_of(s, path)
    cdef int64_t y
    cdef uint64_t others, others_y, blocked, blocked_y
    cdef row_t out[MOST_CHUNKS]
    cdef row_t back[MOST_CHUNKS]
    cdef row_t out_y[MOST_CHUNKS]
    cdef row_t back_y[MOST_CHUNKS]
    cdef int own, hole
    if reach == 2:
        offers(s, x, k, &own, &hole, path)
        judge(s, x, k, own, hole, path)
        return
    y = neighbour_of(s, x, k, path)
    others = ~(<uint64_t>1 << k)
    others_y = ~reverse_bit(s, x, k, path)
    blocked = blocked_of(s, x, path)
    blocked_y = blocked_of(s, y, path)
    cap_site(logs_of(s, x, chunks), s.cap.gamma, chunks, out, back)
    cap_site(logs_of(s, y, chunks), s.cap.gamma, chunks, out_y, back_y)
    slow(s, x, k,
         cap_most_of_two(out, ~blocked & others, back_y, blocked_y & others_y, chunks),
         cap_most_of_two(out_y, ~blocked_y & others_y, back, blocked & others, chunks),
         path)


cdef inline void judge_all(State *s, int64_t x, int path, int reach) noexcept nogil:
    """Effective rates of all possible hops of the oxygen at x whose bonds are capped."""
    cdef int chunks = chunks_of(s, path)
    cdef const int16_t *logs
    cdef const View *view
    cdef uint64_t blocked = blocked_of(s, x, path)
    cdef uint64_t slots = capped_of(s, x, path) & ~blocked
    cdef Weights weights
    cdef row_t raised[MOST_CHUNKS]
    cdef Top own
    cdef int k, hole, hole_at_best
    if not slots:
        return
    if reach < 2 or not slots & (slots - 1):
        while slots:
            judge_one(s, x, kmc_low_bit(slots), path, reach)
            slots &= slots - 1
        return
    logs = logs_of(s, x, chunks)
    view = &s.view[x]
    weigh(s, x, ~<uint64_t>0, &weights, path)
    # No possible hop is among the ways in, so what follows a departure is the same for all.
    cap_raise_out(&s.cap, logs, &weights, view.back.first, chunks, raised)
    cap_top(raised, ~blocked, chunks, &own)
    cap_raise_back(&s.cap, logs, &weights, view.out.first, chunks, raised)
    hole = cap_most(raised, blocked, chunks)
    hole_at_best = hole
    if view.out.first > 0 and (slots >> view.out.slot) & 1:
        cap_raise_back(&s.cap, logs, &weights, view.out.second, chunks, raised)
        hole_at_best = cap_most(raised, blocked, chunks)
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        judge(s, x, k, cap_without(&own, k), hole_at_best if view.out.slot == k else hole, path)


cdef inline double total_rate(const State *s, int64_t x, int path) noexcept nogil:
    """Sum over the possible hops of an oxygen at x, in slot order."""
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
    """Slot where the cumulated rate of an oxygen's possible hops passes `rest`, or one too many.

    A slot of zero rate never does.
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


cdef inline void list_anew(State *s, int64_t x, int path) noexcept nogil:
    """Put the oxygen at x where its rates belong."""
    if path == LINKED and s.group != NULL:
        events_put(&s.events, <int32_t>x,
                   s.group[MASKS * s.links[x].row + blocked_of(s, x, path)])
    else:
        events_put(&s.events, <int32_t>x,
                   events_group(total_rate(s, x, path), s.events.offset))


cdef inline void arrive(State *s, int64_t x, int path, int reach) noexcept nogil:
    """All effective rates of an oxygen that was not at x before."""
    cdef int k
    if not reach:
        return
    ripen(s, x, path, reach)
    if not is_lattice(path):
        for k in range(slots_of(path)):
            s.effective[x * slots_of(path) + k] = s.rate[x * slots_of(path) + k]
    judge_all(s, x, path, reach)


cdef struct Hop:                # the two ends of a hop: the site that is left and the one reached
    int64_t site[2]
    int slot[2]                 # of each in the other's row
    uint64_t bears[2]           # bit k: the hop bears on what competes at the neighbour at slot k
    View before[2][MAX_DEGREE]  # what that neighbour offered

# Loops around a hop take masks of slots. On a lattice one mask is for both ends, since how often a
# loop runs cannot be predicted and one such loop costs less than two: slots from SECOND on are
# those of the second end. Otherwise each end has a mask of its own.


cdef inline uint64_t around(const uint64_t *masks, int end, int path) noexcept nogil:
    """The mask of an end, or on a lattice of both."""
    return masks[0] | masks[1] << SECOND if is_lattice(path) else masks[end]


cdef inline int ends_of(int path) noexcept nogil:
    """Number of masks that there are around a hop."""
    return 1 if is_lattice(path) else 2


cdef inline int64_t center_of(const Hop *hop, int end, int k, int path) noexcept nogil:
    """Which site of the hop has slot k of a mask."""
    return hop.site[k // SECOND if is_lattice(path) else end]


cdef inline int slot_of(int k, int path) noexcept nogil:
    """Slot k of a mask in the row of its site."""
    return k & (SECOND - 1) if is_lattice(path) else k


cdef inline void tell_neighbours(State *s, Hop *hop, int end, int path, int reach) noexcept nogil:
    """All neighbours of one end learn that it has been left or filled."""
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
    hop.bears[end] = heeds_of(s, center, path) & ~(<uint64_t>1 << hop.slot[end])


cdef inline void renew_views(State *s, Hop *hop, int end, int path) noexcept nogil:
    """What the neighbours of a hop, and its own two sites, offer now."""
    cdef uint64_t slots = around(hop.bears, end, path)
    cdef int64_t y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        y = neighbour_of(s, center_of(hop, end, k, path), slot_of(k, path), path)
        hop.before[k // SECOND if is_lattice(path) else end][slot_of(k, path)] = s.view[y]
        look_anew(s, y, path)


cdef inline void note_far(State *s, int64_t x) noexcept nogil:
    """The oxygen at x has new rates; unless it stands next to the hop, keep it for later."""
    if s.mark[x] < 2 * s.hops:
        s.mark[x] = 2 * s.hops
        s.far[s.n_far] = <int32_t>x
        s.n_far += 1


cdef inline void judge_coming(
    State *s, int64_t x, uint64_t others, int path, int reach
) noexcept nogil:
    """What competes at the empty site x has changed: rates of those that would come."""
    cdef uint64_t slots = capped_of(s, x, path) & blocked_of(s, x, path) & others
    cdef int64_t p
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        p = neighbour_of(s, x, k, path)
        if s.mark[p] != 2 * s.hops + 1:
            note_far(s, p)
            judge_one(s, p, reverse_of(s, x, k, path), path, reach)


cdef inline void judge_anew(State *s, int64_t x, int path, int reach) noexcept nogil:
    """What competes at site x has changed: rates of its oxygen, or of those that would come."""
    if not occupied_at(s, x):
        judge_coming(s, x, ~<uint64_t>0, path, reach)
    elif s.mark[x] != 2 * s.hops + 1:
        note_far(s, x)
        s.mark[x] = 2 * s.hops + 1
        judge_all(s, x, path, reach)


cdef inline void judge_near(
    State *s, const Hop *hop, int end, const uint64_t *near, int path, int reach
) noexcept nogil:
    """Rates of the oxygens next to a hop."""
    cdef uint64_t slots = around(near, end, path), bears = around(hop.bears, end, path)
    cdef int64_t y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        y = neighbour_of(s, center_of(hop, end, k, path), slot_of(k, path), path)
        if y != s.n_sites and s.mark[y] != 2 * s.hops + 1:
            s.mark[y] = 2 * s.hops
            if (bears >> k) & 1:
                s.mark[y] += 1
                judge_all(s, y, path, reach)


cdef inline void judge_far(
    State *s, const Hop *hop, int end, const uint64_t *near, int path, int reach
) noexcept nogil:
    """Rates of the oxygens further away on which a hop bears."""
    cdef uint64_t shows = around(hop.bears, end, path), viewers
    cdef uint64_t bears = shows & ~around(near, end, path)
    cdef int64_t center, y
    cdef const View *before
    cdef Top *now
    cdef const Top *old
    cdef int k, m
    cdef bint filled
    while bears:
        k = kmc_low_bit(bears)
        bears &= bears - 1
        center = center_of(hop, end, k, path)
        m = slot_of(k, path)
        # An oxygen at the center itself is the one that hops and is not judged here.
        judge_coming(s, neighbour_of(s, center, m, path),
                     ~reverse_bit(s, center, m, path), path, reach)
    while shows and reach == 2:
        k = kmc_low_bit(shows)
        shows &= shows - 1
        center = center_of(hop, end, k, path)
        m = slot_of(k, path)
        y = neighbour_of(s, center, m, path)
        filled = (around(near, end, path) >> k) & 1
        before = &hop.before[k // SECOND if is_lattice(path) else end][m]
        old = &before.back if filled else &before.out
        now = &s.view[y].back if filled else &s.view[y].out
        viewers = capped_of(s, y, path) & ~reverse_bit(s, center, m, path)
        if not s.triangles:
            viewers &= cap_changed(old, now)
        while viewers:
            m = kmc_low_bit(viewers)
            viewers &= viewers - 1
            judge_anew(s, neighbour_of(s, y, m, path), path, reach)


cdef inline void list_near(
    State *s, const Hop *hop, int end, const uint64_t *near, int path
) noexcept nogil:
    """Groups of the oxygens next to a hop."""
    cdef uint64_t slots = around(near, end, path)
    cdef int64_t center, y
    cdef int k
    while slots:
        k = kmc_low_bit(slots)
        slots &= slots - 1
        center = center_of(hop, end, k, path)
        y = neighbour_of(s, center, slot_of(k, path), path)
        if y != (center if path == LINKED else s.n_sites):
            list_anew(s, y, path)


cdef inline void list_far(State *s, int path) noexcept nogil:
    """In the order of the sites, so that the event list depends on what changed alone."""
    cdef int32_t x
    cdef int a, b
    for a in range(1, s.n_far):
        x = s.far[a]
        b = a
        while b > 0 and s.far[b - 1] > x:
            s.far[b] = s.far[b - 1]
            b -= 1
        s.far[b] = x
    for a in range(s.n_far):
        list_anew(s, s.far[a], path)
    s.n_far = 0


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
        ripen(s, hop.site[0], path, reach)
        ripen(s, hop.site[1], path, reach)
    events_remove(&s.events, <int32_t>i)
    s.site[i].group = EMPTY
    s.site[hop.site[1]].group = UNLISTED
    s.hops += 1
    tell_neighbours(s, &hop, 0, path, reach)
    tell_neighbours(s, &hop, 1, path, reach)
    if reach == 2:
        look_anew(s, hop.site[0], path)
        look_anew(s, hop.site[1], path)
        for end in range(ends_of(path)):
            renew_views(s, &hop, end, path)
    for end in range(2):
        near[end] = blocked_of(s, hop.site[end], path) & ~(<uint64_t>1 << hop.slot[end])
    if reach:
        s.mark[hop.site[1]] = 2 * s.hops + 1
        for end in range(ends_of(path)):
            judge_near(s, &hop, end, near, path, reach)
        for end in range(ends_of(path)):
            judge_far(s, &hop, end, near, path, reach)
    for end in range(ends_of(path)):
        list_near(s, &hop, end, near, path)
    if reach:
        list_far(s, path)
        arrive(s, hop.site[1], path, reach)
    list_anew(s, hop.site[1], path)
    events_settle(&s.events)


cdef inline double uniform(uint64_t word) noexcept nogil:
    """In [0, 1), a multiple of 2^-53."""
    return (word >> 11) * (1.0 / 9007199254740992.0)


cdef inline void fetch_site(const State *s, int64_t x) noexcept nogil:
    prefetch(s.site + x)
    prefetch(s.links + x)


cdef inline void fetch_rates(const State *s, int64_t x) noexcept nogil:
    if s.group == NULL:
        prefetch(s.effective + x * SLOTS)
        prefetch(s.effective + x * SLOTS + SLOTS - 1)


cdef inline void fetch_around(const State *s, int64_t x) noexcept nogil:
    cdef int k
    for k in range(SLOTS):
        fetch_site(s, neighbour_of(s, x, k, LINKED))


cdef inline void fetch_oxygens(const State *s, int64_t x) noexcept nogil:
    """Rates of the oxygens next to x."""
    cdef uint64_t occupied = blocked_of(s, x, LINKED)
    while occupied:
        fetch_rates(s, neighbour_of(s, x, kmc_low_bit(occupied), LINKED))
        occupied &= occupied - 1


cdef inline void look_ahead(State *s) noexcept nogil:
    """Start loading what the coming trials will most likely need, on a lattice in exact mode.

    What they draw is guessed from the present event list; a wrong guess costs a little time only.
    """
    cdef int next = s.block.next, k
    cdef Events *events = &s.events
    cdef const uint64_t *word
    cdef Glimpse *it = &s.coming[(next + ENTRY) & (RING - 1)]
    it.site = it.target = it.index = -1
    if next + ENTRY < BLOCK:
        word = s.block.word + 3 * (next + ENTRY)
        it.group = events_draw(events, word[0])
        it.index = kmc_below(events.count[it.group], word[1])
        prefetch(events.member[it.group] + it.index)
    it = &s.coming[(next + SITE) & (RING - 1)]
    if 0 <= it.index < events.count[it.group]:
        it.site = events.member[it.group][it.index]
        fetch_site(s, it.site)
        fetch_rates(s, it.site)
    it = &s.coming[(next + NEAR) & (RING - 1)]
    if it.site >= 0:
        fetch_around(s, it.site)
    it = &s.coming[(next + TARGET) & (RING - 1)]
    if it.site >= 0:
        k = direction(s, it.site, events_bound(events, it.group)
                      * uniform(s.block.word[3 * (next + TARGET) + 2]), LINKED)
        if k < SLOTS:
            it.target = <int32_t>neighbour_of(s, it.site, k, LINKED)
            fetch_around(s, it.target)
    it = &s.coming[(next + OXYGENS) & (RING - 1)]
    if it.target >= 0:
        fetch_rates(s, it.target)
        fetch_oxygens(s, it.site)
        fetch_oxygens(s, it.target)


cdef inline int run_events(
    State *s, double horizon, int64_t most_trials, double *clock,
    int path, int reach, bint ahead
) noexcept nogil:
    """Run until `horizon` seconds from now or for `most_trials` trials.

    Returns 1 when the horizon was reached, 0 when the trials were used up, -1 without memory.
    """
    cdef int64_t _
    cdef double now = 0.0, wait
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
            memset(s.coming, 255, sizeof(s.coming))
        wait = s.block.wait[s.block.next] * mean_wait
        if now + wait > horizon:
            # Memoryless: what is left of this waiting time may be drawn anew after the horizon.
            s.block.next += 1
            clock[0] = horizon
            return 1
        now += wait
        s.trials += 1
        if ahead:
            look_ahead(s)
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


cdef class Kernel:
    """Oxygens on a graph with exclusion. One instance is one independent system.

    Invariants between calls: there are as many oxygens as it was made with; every oxygen that can
    hop is in exactly one group; masks, views, effective rates of possible hops and groups are those
    that the occupation, the table and Gamma imply.
    """

    cdef State s
    cdef readonly Graph graph
    cdef readonly RateTable table
    cdef readonly int reach     # of the cap: 0 in exact mode, otherwise 1 or 2 steps
    cdef object bit_generator

    def __init__(self, Graph graph, const uint8_t[::1] occupied, bit_generator, int reach):
        cdef State *s = &self.s
        cdef size_t rows = graph.n_sites + 1
        cdef int64_t x
        cdef int g
        self.graph = graph
        self.reach = reach
        self.bit_generator = bit_generator
        s.block.bitgen = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        s.block.next = BLOCK
        memset(s.coming, 255, sizeof(s.coming))
        s.n_sites = graph.n_sites
        s.path = graph.path
        s.chunks = graph.chunks
        s.triangles = graph.triangles
        s.neighbour = graph.neighbour
        s.reverse = graph.reverse
        s.site = s.events.site = <Site *>allocate(rows, sizeof(Site))
        if graph.degree != SLOTS:
            s.blocked_wide = <uint64_t *>allocate(rows, sizeof(uint64_t))
        if reach:
            s.effective = <double *>allocate(rows * graph.degree, sizeof(double))
            if graph.degree == SLOTS:
                s.found = <Found *>allocate(rows, sizeof(Found))
            if reach == 2:
                s.view = <View *>allocate(rows, sizeof(View))
            s.mark = <int64_t *>allocate(rows, sizeof(int64_t))
            s.far = <int32_t *>allocate(rows, sizeof(int32_t))
        for g in range(OCTAVE):
            s.cap.factor[g] = exp2(-g / <double>OCTAVE)
        for x in range(graph.n_sites):
            s.site[x].group = UNLISTED if occupied[x] else EMPTY
        s.site[graph.n_sites].group = EMPTY
        if graph.path == LINKED:
            s.around = graph.around
            s.links = <Links *>allocate(graph.n_sites, sizeof(Links))
            for x in range(graph.n_sites):
                s.links[x].around = graph.kind[x]
        self._mask()

    def __dealloc__(self):
        cdef int g
        free(self.s.site)
        free(self.s.blocked_wide)
        free(self.s.links)
        free(self.s.found)
        free(self.s.view)
        free(self.s.mark)
        free(self.s.far)
        for g in range(GROUPS):
            free(self.s.events.member[g])
        if self.reach:
            free(self.s.effective)

    cdef void _mask(self) noexcept:
        """Masks of blocked slots from the occupation."""
        cdef State *s = &self.s
        cdef int64_t x
        cdef int k
        cdef int64_t y, nowhere
        cdef uint64_t blocked
        for x in range(s.n_sites if s.path == LINKED else s.n_sites + 1):
            blocked = 0
            nowhere = x if s.path == LINKED else s.n_sites
            for k in range(slots_of(s.path)):
                y = neighbour_of(s, x, k, s.path)
                if y == nowhere or occupied_at(s, y):
                    blocked |= <uint64_t>1 << k
            if is_lattice(s.path):
                s.site[x].blocked = <uint8_t>blocked
            else:
                s.blocked_wide[x] = blocked

    def use(self, RateTable table, int gamma):
        """Take the rates of `table`, capped at log Gamma `gamma`, and rebuild the event list.

        Parameters
        ----------
        table : RateTable
            Closed, and made for this graph and mode.
        gamma : int
            log2 of Gamma in steps of 1/16; not read in exact mode.
        """
        cdef State *s = &self.s
        cdef int64_t x
        if table.graph is not self.graph or table.capped != (self.reach > 0):
            raise ValueError("The rate table belongs to another graph or mode.")
        self.table = table
        s.rate = table.rate
        s.cap.logs = table.logs
        s.cap.gamma = gamma
        if not self.reach:
            s.effective = table.rate
            s.group = table.group
            for x in range(s.n_sites if s.group != NULL else 0):
                s.links[x].row = table.row[x]
        self._clear(table.offset, 0)
        self._new_window()
        for x in range(s.n_sites):
            if occupied_at(s, x):
                arrive(s, x, s.path, self.reach)
                list_anew(s, x, s.path)
        self._settle()

    def lower_gamma(self, int gamma):
        """Enter the next window: the rates of oxygens with a capped bond change."""
        cdef State *s = &self.s
        cdef int64_t x
        s.cap.gamma = gamma
        self._new_window()
        with nogil:
            for x in range(s.n_sites):
                if occupied_at(s, x) and is_capped(s, x, s.path):
                    ripen(s, x, s.path, self.reach)
                    judge_all(s, x, s.path, self.reach)
                    list_anew(s, x, s.path)
        self._settle()

    cdef void _new_window(self) noexcept:
        """What was found of any site is out of date."""
        cdef State *s = &self.s
        cdef int64_t x
        if not self.reach:
            return
        if not is_lattice(s.path):
            for x in range(s.n_sites if self.reach == 2 else 0):
                look_anew(s, x, s.path)
            return
        s.window += 1
        if not s.window:
            for x in range(s.n_sites):
                s.found[x].surveyed = s.found[x].ripe = 0
            s.window = 1

    cdef void _clear(self, int offset, int anchor) noexcept:
        cdef Events *events = &self.s.events
        cdef int64_t x
        memset(events.count, 0, sizeof(events.count))
        memset(events.octave, 0, sizeof(events.octave))
        memset(events.filled, 0, sizeof(events.filled))
        events.filled_words = 0
        for x in range(self.s.n_sites):
            if occupied_at(&self.s, x):
                self.s.site[x].group = UNLISTED
        events.total = 0
        events.offset = offset
        events.anchor = anchor

    cdef int _settle(self) except -1:
        if self.s.events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        events_settle(&self.s.events)
        return 0

    def run(self, double horizon_s, int64_t most_trials):
        """Make hops until `horizon_s` from now, or for at most `most_trials` trials.

        Returns
        -------
        elapsed_s : float
            `horizon_s` itself when it was reached.
        done : bool
        """
        cdef double clock = 0.0
        cdef int outcome
        cdef bint ahead = self.s.n_sites >= AHEAD_FROM
        with self.bit_generator.lock, nogil:
            if not is_lattice(self.s.path):
                outcome = run_events(&self.s, horizon_s, most_trials, &clock,
                                     self.s.path, self.reach, False)
            elif self.reach == 2:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 2, False)
            elif self.reach == 1:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 1, False)
            elif self.s.path == LATTICE:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LATTICE, 0, False)
            else:
                outcome = run_events(&self.s, horizon_s, most_trials, &clock, LINKED, 0, ahead)
        if outcome < 0:
            raise MemoryError("No memory for the event list.")
        return clock, outcome == 1

    @property
    def hops(self):
        return self.s.hops

    @property
    def trials(self):
        return self.s.trials

    @property
    def total_rate(self):
        """Total rate of trials (hops and rejections) now, 1/s."""
        return events_rate(&self.s.events) if self.s.events.total else 0.0

    def occupied(self):
        """Copy of the occupation, shape (n,), bool."""
        cdef int64_t x
        cdef uint8_t[::1] view = np.zeros(self.s.n_sites, dtype=np.uint8)
        for x in range(self.s.n_sites):
            view[x] = occupied_at(&self.s, x)
        return np.asarray(view).view(bool)

    def state(self):
        """All that a later `restore` needs to continue bit for bit, as arrays and numbers."""
        cdef Events *events = &self.s.events
        cdef int g
        members = []
        for g in range(GROUPS):
            if events.count[g]:
                members.append(np.array(<int32_t[:events.count[g]]>events.member[g]))
        return {
            "occupied": self.occupied(),
            "members": np.concatenate(members) if members else np.zeros(0, np.int32),
            "counts": np.array(<int32_t[:GROUPS]>events.count),
            "anchor": events.anchor,
            "gamma": self.s.cap.gamma,
            "hops": self.s.hops,
            "trials": self.s.trials,
            "block_next": self.s.block.next,
            "block_word": np.array(<uint64_t[:3 * BLOCK]>self.s.block.word),
            "block_wait": np.array(<double[:BLOCK]>self.s.block.wait),
        }

    def restore(self, RateTable table, state):
        """Continue from `state`; the table must be the one that was in use."""
        cdef Events *events = &self.s.events
        cdef const int32_t[::1] members = state["members"]
        cdef const uint64_t[::1] word = state["block_word"]
        cdef const double[::1] wait = state["block_wait"]
        cdef int64_t m = 0, _
        cdef int g
        self.use(table, state["gamma"])
        self._clear(table.offset, state["anchor"])
        for g in range(GROUPS):
            for _ in range(state["counts"][g]):
                events_add(events, members[m], g)
                m += 1
        if events.out_of_memory:
            raise MemoryError("No memory for the event list.")
        self.s.hops = state["hops"]
        self.s.trials = state["trials"]
        self.s.block.next = state["block_next"]
        memcpy(self.s.block.word, &word[0], sizeof(self.s.block.word))
        memcpy(self.s.block.wait, &wait[0], sizeof(self.s.block.wait))
