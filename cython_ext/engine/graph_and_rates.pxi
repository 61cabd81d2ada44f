# The tables that systems share: the neighbours of each site, and the rates of each bond.

from libc.math cimport log2, rint
from libc.string cimport memcmp

#: Largest rate of a hop (1/s) that a table takes. Beyond 2^358 the 16-bit logarithms of the cap
#: would overflow.
MAX_RATE_HZ = 1e100


cdef class Graph:
    """Neighbours of each site, by slots.

    Each site has a row of neighbours. Row n belongs to a dummy site that stands for missing
    neighbours, so that updates need no test for them. On a lattice few patterns of neighbours
    recur, so that an index of two bytes can replace the row. This is slower while the rows fit the
    cache and faster beyond.
    """

    cdef readonly int n_sites
    cdef readonly int path      # LATTICE, PATTERNED, or the degree where it exceeds SLOTS
    cdef readonly int degree    # slots a site
    cdef readonly int stride    # entries of a row of neighbours
    cdef readonly int chunks    # vectors of LANES logarithms that hold a row
    cdef readonly bint parallel     # some pair of sites has two bonds: the caller must merge them
    cdef int32_t *neighbour     # (n + 1, stride): sites at the slots; n: no neighbour
    cdef uint8_t *reverse       # (n + 1, degree): slot of this site there; NULL at degree 6
    cdef NeighbourPattern patterns[MAX_PATTERNS]
    cdef uint16_t *pattern      # (n,): pattern of each site, in place of the rows; or NULL
    cdef bint triangles         # whether neighbours of a site are ever neighbours of each other

    def __init__(self, int n_sites, const int32_t[:, ::1] bonds, bint patterned=False):
        """`bonds` should name each pair of sites once; `parallel` tells whether it does.

        `patterned` asks for patterns in place of rows, if there are few; for exact mode only.
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
            self._set_neighbour(i, used[i], j, used[j])
            self._set_neighbour(j, used[j], i, used[i])
            used[i] += 1
            used[j] += 1
        self.triangles = self._has_triangles(bonds)
        if patterned and self.degree == SLOTS:
            self._find_patterns()

    cdef bint _has_triangles(self, const int32_t[:, ::1] bonds) noexcept:
        cdef int64_t b
        cdef int k, far_slot
        cdef const int32_t *near
        cdef const int32_t *further
        for b in range(bonds.shape[0]):
            near = self.neighbour + <int64_t>bonds[b, 0] * self.stride
            further = self.neighbour + <int64_t>bonds[b, 1] * self.stride
            for k in range(self.degree):
                for far_slot in range(self.degree):
                    if near[k] == further[far_slot] and near[k] != self.n_sites:
                        return True
        return False

    cdef uint8_t *_bits(self, int64_t x) noexcept:
        """Of a row at degree 6: bit of x in the mask of each neighbour; 0: no neighbour."""
        return <uint8_t *>(self.neighbour + x * STRIDE + SLOTS)

    cdef void _set_neighbour(self, int64_t x, int slot, int64_t y, int slot_there) noexcept:
        self.neighbour[x * self.stride + slot] = <int32_t>y
        if self.degree == SLOTS:
            self._bits(x)[slot] = <uint8_t>(1 << slot_there)
        else:
            self.reverse[x * self.degree + slot] = <uint8_t>slot_there

    cdef int _find_patterns(self) except -1:
        """Replace the rows of neighbours by patterns, if there are few."""
        cdef int64_t x
        cdef int k, n_patterns = 0, pattern = 0
        cdef NeighbourPattern own
        self.pattern = <uint16_t *>allocate(self.n_sites, sizeof(uint16_t))
        memset(&own, 0, sizeof(own))
        for x in range(self.n_sites):
            for k in range(SLOTS):
                own.bit[k] = self._bits(x)[k]
                own.step[k] = <int32_t>(self.neighbour[x * STRIDE + k] - x) if own.bit[k] else 0
            if not n_patterns or memcmp(&self.patterns[pattern], &own, sizeof(own)) != 0:
                pattern = 0
                while (pattern < n_patterns
                       and memcmp(&self.patterns[pattern], &own, sizeof(own)) != 0):
                    pattern += 1
            if pattern == MAX_PATTERNS:
                free(self.pattern)
                self.pattern = NULL
                return 0
            if pattern == n_patterns:
                self.patterns[pattern] = own
                n_patterns += 1
            self.pattern[x] = <uint16_t>pattern
        free(self.neighbour)
        self.neighbour = NULL
        self.path = PATTERNED
        return 0

    def __dealloc__(self):
        free(self.neighbour)
        free(self.reverse)
        free(self.pattern)


cdef class RateTable:
    """Rates of all directed bonds in one potential, and for the cap their logarithms."""

    cdef readonly Graph graph
    cdef readonly bint capped
    cdef readonly int offset    # exponent of the lower end of group 0 (see event_list.pxd)
    cdef double *rate           # (n + 1, degree): rates out of the site; 0: no neighbour
    cdef uint16_t *row          # (n,): row of each site in `rate` where rows are shared; or NULL
    cdef uint16_t *group        # (rows, MASKS): group of an oxygen by blocked slots; or NULL
    cdef int16_t *logs          # (n + 1, 2, LANES * chunks): see competition_weights.pxd
    cdef object used            # number of slots of each site that are filled so far

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
        """Enter the rates of the next bonds, in the order of the bonds of the graph.

        Raises ValueError if a rate is negative, NaN or above MAX_RATE_HZ, or if the bonds are not
        those of the graph.
        """
        cdef int64_t b, i, j, row_i, row_j
        cdef int log_ij, log_ji, slower
        cdef double most = MAX_RATE_HZ
        cdef uint8_t[::1] used = self.used
        cdef int degree = self.graph.degree, width = LANES * self.graph.chunks
        if k_ij.shape[0] != bonds.shape[0] or k_ji.shape[0] != bonds.shape[0]:
            raise ValueError("The rates must be as many as the bonds.")
        for b in range(bonds.shape[0]):
            i = bonds[b, 0]
            j = bonds[b, 1]
            if not (0 <= k_ij[b] <= most and 0 <= k_ji[b] <= most):
                raise ValueError(
                    f"The hop rates must lie between 0 and {most:g} 1/s. "
                    f"Got {k_ij[b]} and {k_ji[b]} on the bond of sites {i} and {j} instead."
                )
            if not (0 <= i < self.graph.n_sites and 0 <= j < self.graph.n_sites
                    and used[i] < degree and used[j] < degree):
                raise ValueError(f"The bond of sites {i} and {j} is not in the graph.")
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
        """Fix the scale of the event list, after the rates of all bonds have been entered."""
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
        if self.graph.path == PATTERNED:
            self._merge_equal_rows()

    cdef int _merge_equal_rows(self) except -1:
        """Store equal rows of rates once, if few differ, as on a lattice with one barrier."""
        cdef int64_t x
        cdef int n_rows = 0, recent = 0
        cdef size_t width = SLOTS * sizeof(double)
        cdef double *rows = <double *>allocate(MAX_RATE_ROWS, width)
        cdef double *own
        cdef double sums[SLOTS]
        cdef uint16_t *row = <uint16_t *>allocate(self.graph.n_sites, sizeof(uint16_t))
        for x in range(self.graph.n_sites):
            own = self.rate + x * SLOTS
            if n_rows == 0 or memcmp(rows + recent * SLOTS, own, width) != 0:
                recent = 0
                while recent < n_rows and memcmp(rows + recent * SLOTS, own, width) != 0:
                    recent += 1
            if recent == MAX_RATE_ROWS:
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
    """log2 of a rate in steps of 1/OCTAVE; FROZEN for a rate of zero."""
    if rate < 2.3e-308:
        return FROZEN
    return <int>rint(OCTAVE * log2(rate))
