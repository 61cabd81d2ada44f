"""Kernel of the filament network: assembly on the lattice, preconditioner, conjugate gradients.

Everything here is in units of the conductance scale G0 and of one volt.
kmc_oxy.physics.filament_network checks, allocates the quenched tables and documents the physics.

Nodes are numbered from the Co side down to LSMO, the order in which the preconditioner
eliminates them. A link is stored once, in the row of the node that is eliminated first.
"""

from libc.math cimport exp, fabs, sqrt
from libc.string cimport memcpy, memset
from conjugate_gradients cimport Descent, Elimination, Links, factorise, iterate, precondition
from sinh_links cimport Balance, descend, relax, tangent

import numpy as np


cdef class FilamentKernel:
    """Owns the quenched tables of one cross-point and the work space of its solves.

    Parameters
    ----------
    background : uint8 array, shape (n_layers, ny, nx)
        Organic sites that are nodes whether occupied or not; z = 0 next to LSMO.
    layer_z_m : float64 array, shape (n_layers,)
    top_link : float64 array, shape (n_layers, ny, nx)
        Link of each site to Co.
    stencil : int32 array, shape (m, 3)
        Displacements (dz, dy, dx) with dz <= 0; all lateral ones for dz = 0, each residue of
        the periodic lattice once.
    stencil_link : float64 array, shape (m,)
        exp(-2 r/xi) of each displacement.
    taps_x, taps_y : float64 array, shape (k,)
        Weights of the periodic smoothing for displacements 0 .. k - 1 (k = nx or ny).
    slab_layers : int
        Lowest layers whose oxygens make up the density at LSMO.
    density_per_oxygen, density_floor : float
        Density (1/m3) of one oxygen in a column's slab, and the floor that is added.
    width_coefficient : float
        W sqrt(n), in m^-1/2.
    prefactor, wave_number_per_m, decay_per_m, depth_ratio : float
        1e-3, k0, 1/xi and phi_B/E0 of the links near LSMO.
    """

    cdef int nx
    cdef int ny
    cdef int n_layers
    cdef int slab_layers
    cdef int n_stencil
    cdef int reach_x                 # ghost sites on each side of a row
    cdef int reach_y
    cdef int reach_z                 # empty layers below z = 0
    cdef int row_stride
    cdef int layer_stride
    cdef double density_per_oxygen
    cdef double density_floor
    cdef double width_coefficient
    cdef double prefactor
    cdef double wave_number_per_m
    cdef double decay_per_m
    cdef double depth_ratio

    cdef unsigned char[::1] background
    cdef double[::1] layer_z_m
    cdef double[::1] top_link
    cdef double[::1] stencil_link
    cdef int[::1] stencil_jump       # displacement in the padded map
    cdef double[::1] taps_x
    cdef double[::1] taps_y

    cdef int[::1] node_map           # padded lattice: node number or -1
    cdef double[::1] column_count    # oxygens of the slab in each column, then smoothed
    cdef double[::1] column_scratch
    cdef double[::1] column_width    # W of each column, m

    cdef int[::1] site               # site of each node
    cdef double[::1] weight          # exp(w/2) of each node
    cdef double[::1] bottom          # link of each node to LSMO
    cdef double[::1] top             # link of each node to Co
    cdef double[::1] ground          # what ties each node to any electrode in a solve
    cdef double[::1] arriving        # current of each node to Co at one volt

    cdef dict owned                  # the arrays that the three structs below point into
    cdef int capacity                # links that there is room for
    cdef Links network
    cdef Elimination elimination
    cdef Descent descent

    def __init__(
        self, background, layer_z_m, top_link, stencil, stencil_link, taps_x, taps_y, *,
        int slab_layers, double density_per_oxygen, double density_floor,
        double width_coefficient, double prefactor, double wave_number_per_m,
        double decay_per_m, double depth_ratio,
    ):
        self.n_layers, self.ny, self.nx = background.shape
        self.slab_layers = slab_layers
        self.density_per_oxygen = density_per_oxygen
        self.density_floor = density_floor
        self.width_coefficient = width_coefficient
        self.prefactor = prefactor
        self.wave_number_per_m = wave_number_per_m
        self.decay_per_m = decay_per_m
        self.depth_ratio = depth_ratio

        self.background = np.ascontiguousarray(background, dtype=np.uint8).ravel()
        self.layer_z_m = np.ascontiguousarray(layer_z_m, dtype=np.float64)
        self.top_link = np.ascontiguousarray(top_link, dtype=np.float64).ravel()
        self.taps_x = np.ascontiguousarray(taps_x, dtype=np.float64)
        self.taps_y = np.ascontiguousarray(taps_y, dtype=np.float64)

        reach = np.abs(stencil).max(axis=0, initial=0)
        self.reach_z, self.reach_y, self.reach_x = (int(value) for value in reach)
        self.row_stride = self.nx + 2 * self.reach_x
        self.layer_stride = self.row_stride * (self.ny + 2 * self.reach_y)
        jump = (stencil[:, 0] * self.layer_stride + stencil[:, 1] * self.row_stride
                + stencil[:, 2])
        self.n_stencil = jump.size
        self.stencil_jump = np.ascontiguousarray(jump, dtype=np.int32)
        self.stencil_link = np.ascontiguousarray(stencil_link, dtype=np.float64)

        n_columns = self.nx * self.ny
        n_sites = n_columns * self.n_layers
        self.node_map = np.empty(
            self.layer_stride * (self.n_layers + self.reach_z), dtype=np.int32
        )
        self.column_count = np.empty(n_columns)
        self.column_scratch = np.empty(n_columns)
        self.column_width = np.empty(n_columns)
        self.site = np.empty(n_sites, dtype=np.int32)
        self.weight = np.empty(n_sites)
        self.bottom = np.empty(n_sites)
        self.top = np.empty(n_sites)
        self.ground = np.empty(n_sites)
        self.arriving = np.empty(n_sites)
        self.owned = {}
        self.network.row = self._integers("row", n_sites + 1)
        self.network.total = self._reals("total", n_sites)
        self.elimination.row = self._integers("kept row", n_sites + 1)
        self.elimination.inverse_pivot = self._reals("inverse pivot", n_sites)
        self.elimination.rest = self._reals("rest", n_sites)
        self.elimination.mark = self._reals("mark", n_sites)
        self.descent.potential = self._reals("potential", n_sites)
        self.descent.residual = self._reals("residual", n_sites)
        self.descent.direction = self._reals("direction", n_sites)
        self.descent.image = self._reals("image", n_sites)
        self._reserve(max(1024, 4 * n_sites))

    cdef int *_integers(self, str name, Py_ssize_t size) except NULL:
        cdef int[::1] array = np.zeros(size, dtype=np.int32)
        self.owned[name] = array
        return &array[0]

    cdef double *_reals(self, str name, Py_ssize_t size) except NULL:
        cdef double[::1] array = np.zeros(size)
        self.owned[name] = array
        return &array[0]

    cdef _reserve(self, Py_ssize_t capacity):
        """Room for `capacity` links; the contents are lost."""
        if capacity >= 2**31:
            raise MemoryError("The filament network has more links than can be numbered.")
        self.network.other = self._integers("other", capacity)
        self.network.link = self._reals("link", capacity)
        self.elimination.other = self._integers("kept other", capacity)
        self.elimination.share = self._reals("share", capacity)
        self.capacity = <int>capacity

    @property
    def n_nodes(self):
        """Nodes of the last assembly."""
        return self.network.n

    @property
    def iterations(self):
        """Conjugate-gradient steps of the last solve."""
        return self.descent.iterations

    @property
    def converged(self):
        """Whether the last solve met its tolerance."""
        return self.descent.converged

    @property
    def bound(self):
        """Upper bound of the squared energy error of the last solve."""
        return self.descent.bound

    def assemble(self, const unsigned char[::1] occupied):
        """Nodes and links of the organic sites `occupied` (uint8, one entry a site)."""
        while not self._assemble(occupied):
            self._reserve(2 * <Py_ssize_t>self.capacity)

    cdef bint _assemble(self, const unsigned char[::1] occupied) noexcept nogil:
        self._find_widths(occupied)
        self._find_nodes(occupied)
        return self._find_links()

    cdef void _find_widths(self, const unsigned char[::1] occupied) noexcept nogil:
        """Depletion width of each column from the smoothed density of oxygen at LSMO."""
        cdef int n_columns = self.nx * self.ny
        cdef int x, y, z, shift, target
        cdef double *count = &self.column_count[0]
        cdef double *scratch = &self.column_scratch[0]
        cdef double tap
        for x in range(n_columns):
            scratch[x] = 0.0
        for z in range(self.slab_layers):
            for x in range(n_columns):
                scratch[x] += occupied[z * n_columns + x]
        # Separable periodic smoothing: along y into count, then along x into scratch.
        memset(count, 0, n_columns * sizeof(double))
        for shift in range(self.ny):
            tap = self.taps_y[shift]
            if tap == 0.0:
                continue
            for y in range(self.ny):
                target = y + shift
                if target >= self.ny:
                    target -= self.ny
                for x in range(self.nx):
                    count[target * self.nx + x] += tap * scratch[y * self.nx + x]
        memset(scratch, 0, n_columns * sizeof(double))
        for shift in range(self.nx):
            tap = self.taps_x[shift]
            if tap == 0.0:
                continue
            for y in range(self.ny):
                for x in range(self.nx - shift):
                    scratch[y * self.nx + x + shift] += tap * count[y * self.nx + x]
                for x in range(self.nx - shift, self.nx):
                    scratch[y * self.nx + x + shift - self.nx] += tap * count[y * self.nx + x]
        for x in range(n_columns):
            self.column_width[x] = self.width_coefficient / sqrt(
                scratch[x] * self.density_per_oxygen + self.density_floor
            )

    cdef void _find_nodes(self, const unsigned char[::1] occupied) noexcept nogil:
        """Number the nodes, enter them in the padded map and link them to the electrodes."""
        cdef int n_columns = self.nx * self.ny
        cdef int n = 0
        cdef int x, y, z, site
        cdef int *line
        cdef double height, width, action, exponent
        memset(&self.node_map[0], -1, self.node_map.shape[0] * sizeof(int))
        for z in range(self.n_layers - 1, -1, -1):
            height = self.layer_z_m[z]
            for y in range(self.ny):
                line = (&self.node_map[0] + (z + self.reach_z) * self.layer_stride
                        + (y + self.reach_y) * self.row_stride + self.reach_x)
                for x in range(self.nx):
                    site = z * n_columns + y * self.nx + x
                    if not (occupied[site] or self.background[site]):
                        continue
                    width = self.column_width[y * self.nx + x]
                    if height < width:
                        action = self.wave_number_per_m * (height - height * height / (2 * width))
                        exponent = self.depth_ratio * (1 - height / width) ** 2
                        self.weight[n] = exp(-0.5 * exponent)
                        self.bottom[n] = self.prefactor * exp(-2 * action - exponent)
                    else:
                        action = (self.wave_number_per_m * width / 2
                                  + (height - width) * self.decay_per_m)
                        self.weight[n] = 1.0
                        self.bottom[n] = self.prefactor * exp(-2 * action)
                    self.top[n] = self.top_link[site]
                    self.site[n] = site
                    line[x] = n
                    n += 1
                # Copies of the border columns left and right, then above and below: a periodic map.
                for x in range(self.reach_x):
                    line[-1 - x] = line[self.nx - 1 - x]
                    line[self.nx + x] = line[x]
            line = &self.node_map[0] + (z + self.reach_z) * self.layer_stride
            for y in range(self.reach_y):
                memcpy(line + (self.reach_y - 1 - y) * self.row_stride,
                       line + (self.reach_y + self.ny - 1 - y) * self.row_stride,
                       self.row_stride * sizeof(int))
                memcpy(line + (self.reach_y + self.ny + y) * self.row_stride,
                       line + (self.reach_y + y) * self.row_stride,
                       self.row_stride * sizeof(int))
        self.network.n = n

    cdef bint _find_links(self) noexcept nogil:
        """Links of every node to the later ones in reach; False when there is no room."""
        cdef int n_columns = self.nx * self.ny
        cdef int n = self.network.n
        cdef int used = 0
        cdef int first, i, k, site, candidate
        cdef const int *here
        cdef const int *jump = &self.stencil_jump[0] if self.n_stencil else NULL
        cdef const double *strength = &self.stencil_link[0] if self.n_stencil else NULL
        cdef int *other = self.network.other
        cdef double *link = self.network.link
        cdef double *total = self.network.total
        cdef const double *weight = &self.weight[0]
        cdef double own, sum_out
        for i in range(n):
            total[i] = self.bottom[i] + self.top[i]
        for i in range(n):
            self.network.row[i] = used
            if self.capacity - used <= self.n_stencil:
                return False
            site = self.site[i]
            here = (&self.node_map[0]
                    + (site // n_columns + self.reach_z) * self.layer_stride
                    + ((site % n_columns) // self.nx + self.reach_y) * self.row_stride
                    + site % self.nx + self.reach_x)
            first = used
            # Written always and kept only when it is a later node: no branch to mispredict.
            for k in range(self.n_stencil):
                candidate = here[jump[k]]
                other[used] = candidate
                link[used] = strength[k]
                used += candidate > i
            own = weight[i]
            sum_out = 0.0
            for k in range(first, used):
                link[k] *= own * weight[other[k]]
                sum_out += link[k]
                total[other[k]] += link[k]
            total[i] += sum_out
        self.network.row[n] = used
        return True

    def conductance(self, double tolerance, double parallel, int most):
        """Two-terminal conductance of the last assembly.

        Stops when the bound of its error is below `tolerance` times it and `parallel`
        together, or after `most` steps; `converged` tells which.
        """
        cdef double energy
        with nogil:
            energy = self._charge(tolerance, parallel, most)
        return energy

    cdef double _charge(self, double tolerance, double parallel, int most) noexcept nogil:
        cdef int n = self.network.n
        cdef int i, k
        cdef double *v = self.descent.potential
        cdef double *r = self.descent.residual
        cdef double *ground = &self.ground[0]
        cdef double sum_bottom = 0.0, sum_top = 0.0
        cdef double common, energy, drop, here, row_energy
        cdef const int *row = self.network.row
        cdef const int *other = self.network.other
        cdef const double *link = self.network.link
        self.descent.iterations = 0
        self.descent.converged = True
        self.descent.bound = 0.0
        for i in range(n):
            sum_bottom += self.bottom[i]
            sum_top += self.top[i]
            ground[i] = self.bottom[i] + self.top[i]
        if sum_bottom <= 0.0 or sum_top <= 0.0:
            return 0.0
        factorise(&self.network, ground, &self.elimination)
        # Start from the best common potential of all nodes.
        common = sum_bottom / (sum_bottom + sum_top)
        energy = sum_bottom * (sum_top / (sum_bottom + sum_top))
        for i in range(n):
            v[i] = common
            r[i] = self.bottom[i] * (1.0 - common) - self.top[i] * common
        iterate(&self.network, ground, &self.elimination, &self.descent,
                energy + parallel, tolerance, 0.0, most)
        # The energy is stationary, so its error is the square of the potentials'; and every
        # term is positive, so no digit cancels in any state.
        energy = 0.0
        for i in range(n):
            here = v[i]
            self.arriving[i] = self.top[i] * here
            energy += (self.bottom[i] * (1.0 - here) * (1.0 - here)
                       + self.arriving[i] * here)
            row_energy = 0.0
            for k in range(row[i], row[i + 1]):
                drop = here - v[other[k]]
                row_energy += link[k] * drop * drop
            energy += row_energy
        return energy

    def transmission(self, double relaxation, double exchange, double tolerance, int most):
        """Spin accumulation that arrives at the oxide, in units of the one in LSMO.

        For the last assembly, after its `conductance`. Solves ``(1 + exchange) sum_j c_ij
        (s_i - s_j) + (l_i + relaxation) s_i = l_i``, l the links to LSMO, and averages s over
        the current that flows to Co, until a bound of the average's error is below
        `tolerance`, or after `most` steps; `converged` tells which.
        """
        cdef double average
        with nogil:
            average = self._spin(relaxation, exchange, tolerance, most)
        return average

    cdef double _spin(
        self, double relaxation, double exchange, double tolerance, int most,
    ) noexcept nogil:
        cdef int n = self.network.n
        cdef int i
        cdef double *s = self.descent.potential
        cdef double *r = self.descent.residual
        cdef double *ground = &self.ground[0]
        cdef const double *arriving = &self.arriving[0]
        cdef double scale = 1.0 / (1.0 + exchange)
        cdef double *share = self.descent.direction     # of the current to Co, until `iterate`
        cdef double sum_bottom = 0.0, sum_arriving = 0.0, spread
        cdef double common, average = 0.0
        self.descent.iterations = 0
        self.descent.converged = True
        self.descent.bound = 0.0
        for i in range(n):
            sum_bottom += self.bottom[i]
            sum_arriving += arriving[i]
            ground[i] = self.bottom[i] + relaxation
        if sum_bottom <= 0.0 or sum_arriving <= 0.0:
            return 0.0
        common = sum_bottom / (sum_bottom + n * relaxation)
        for i in range(n):
            s[i] = common
            r[i] = (self.bottom[i] * (1.0 - common) - relaxation * common) * scale
            share[i] = arriving[i] / sum_arriving
            ground[i] *= scale
        factorise(&self.network, ground, &self.elimination)
        # With c the shares, the average's error c'e is at most |e| sqrt(c'A^-1 c), |e| the error's
        # energy norm, and c'A^-1 c at most c'M^-1 c since M <= A.
        spread = precondition(&self.elimination, n, share, self.descent.image)
        iterate(&self.network, ground, &self.elimination, &self.descent,
                0.0, 0.0, tolerance * tolerance / spread, most)
        for i in range(n):
            average += arriving[i] / sum_arriving * s[i]
        return average

    def divide(self, double ratio, double tolerance, int most):
        """Potentials of the nodes if each link carries g V0 sinh(drop/V0), in units of V0.

        For the last assembly. LSMO is at `ratio` = V/V0, at most 600, and Co at 0. Stops when
        neither a sweep nor a Newton step changes a potential by more than `tolerance`, or after
        `most` Newton steps; `converged` tells which.
        """
        cdef int n = self.network.n
        cdef Links linear = self.network
        cdef Balance balance
        work = np.empty((5, max(n, 1)))
        cdef double[:, ::1] columns = work
        cdef double[::1] link = np.empty(max(self.network.row[n], 1))
        linear.link = &link[0]
        linear.total = &columns[0, 0]
        balance.half = 0.5 * ratio
        balance.bottom = &self.bottom[0]
        balance.top = &self.top[0]
        balance.up = &columns[1, 0]
        balance.down = &columns[2, 0]
        balance.trial_up = &columns[3, 0]
        balance.trial_down = &columns[4, 0]
        with nogil:
            self._divide(&balance, &linear, tolerance, most)
        return np.log(work[1, :n]) + balance.half

    cdef void _divide(
        self, Balance *balance, Links *linear, double tolerance, int most,
    ) noexcept nogil:
        cdef int n = self.network.n
        cdef int i, _
        cdef double *step = self.descent.potential
        cdef double *ground = &self.ground[0]
        cdef double sum_bottom = 0.0, sum_top = 0.0
        cdef double high = exp(balance.half), low = exp(-balance.half)
        cdef double common, change, size, allowed
        self.descent.converged = True
        for i in range(n):
            sum_bottom += self.bottom[i]
            sum_top += self.top[i]
        # Without a link to either electrode all nodes stay halfway.
        common = 1.0
        if sum_bottom + sum_top > 0.0:
            common = sqrt((sum_bottom * high + sum_top * low)
                          / (sum_bottom * low + sum_top * high))
        for i in range(n):
            balance.up[i] = common
            balance.down[i] = 1.0 / common
        for _ in range(most):
            change = relax(&self.network, balance)
            tangent(&self.network, balance, linear, ground, self.descent.residual)
            factorise(linear, ground, &self.elimination)
            memset(step, 0, n * sizeof(double))
            # The step is as good as it needs to be when a thousandth of it is left.
            allowed = 1e-6 * precondition(
                &self.elimination, n, self.descent.residual, self.descent.image
            )
            iterate(linear, ground, &self.elimination, &self.descent, 0.0, 0.0, allowed, 1000 + n)
            size = 0.0
            for i in range(n):
                size = max(size, fabs(step[i]))
            descend(&self.network, balance, step, size)
            if size <= tolerance and change <= tolerance:
                return
        self.descent.converged = False

    def sites(self):
        """Copy of the site of each node of the last assembly."""
        return np.asarray(self.site)[:self.network.n].copy()

    def links(self):
        """Copies of the last assembly: sites, links to LSMO and Co, ends and strengths."""
        cdef int n = self.network.n
        row = np.asarray(self.owned["row"])[:n + 1]
        return (
            np.asarray(self.site)[:n].copy(),
            np.asarray(self.bottom)[:n].copy(),
            np.asarray(self.top)[:n].copy(),
            np.repeat(np.arange(n, dtype=np.int32), np.diff(row)),
            np.asarray(self.owned["other"])[:row[n]].copy(),
            np.asarray(self.owned["link"])[:row[n]].copy(),
        )
