"""Kernel of the filament network: assembly on the lattice, preconditioner, conjugate gradients.

Everything here is in units of the conductance scale G0 and of one volt; kmc_oxy.conductance
checks, allocates the quenched tables and documents the physics.

Nodes are numbered from the Co side down to LSMO, the order in which the preconditioner
eliminates them. A link is stored once, in the row of the node that is eliminated first.
"""

from libc.math cimport exp, sqrt
from libc.string cimport memcpy, memset

import numpy as np

# A link belongs to the preconditioner's pattern when it is more than this share of the
# conductance that leaves the weaker of its nodes. Smaller shares save iterations and cost
# more for each; 0.003 was the fastest over on, off and random states.
cdef double PATTERN_SHARE = 3e-3

# A pivot this small stands for a part of the network that is tied to no electrode.
cdef double NO_PIVOT = 1e-290


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

    cdef readonly int n_nodes        # nodes of the last assembly
    cdef readonly int n_links        # links of the last assembly
    cdef readonly int n_pattern      # links kept by the preconditioner
    cdef readonly int iterations     # conjugate-gradient steps of the last solve
    cdef readonly double bound       # upper bound of the squared energy error of the last solve

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

    cdef readonly int[::1] site      # site of each node
    cdef double[::1] weight          # exp(w/2) of each node
    cdef double[::1] bottom          # link of each node to LSMO
    cdef double[::1] top             # link of each node to Co
    cdef double[::1] total           # everything that leaves a node
    cdef int[::1] row                # first link of each node; links of i: row[i] .. row[i+1]
    cdef int[::1] other              # the node at the other end
    cdef double[::1] link

    cdef int[::1] factor_row         # the same for the preconditioner
    cdef int[::1] factor_other
    cdef double[::1] factor          # share of node i's outflow that goes to factor_other
    cdef double[::1] inverse_pivot
    cdef double[::1] ground          # what is left of the ground links during elimination
    cdef double[::1] mark

    cdef double[::1] potential
    cdef double[::1] residual
    cdef double[::1] direction
    cdef double[::1] image
    cdef double[::1] scratch

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
        self.row = np.empty(n_sites + 1, dtype=np.int32)
        self.factor_row = np.empty(n_sites + 1, dtype=np.int32)
        self.weight = np.empty(n_sites)
        self.bottom = np.empty(n_sites)
        self.top = np.empty(n_sites)
        self.total = np.empty(n_sites)
        self.inverse_pivot = np.empty(n_sites)
        self.ground = np.empty(n_sites)
        self.mark = np.zeros(n_sites)
        self.potential = np.empty(n_sites)
        self.residual = np.empty(n_sites)
        self.direction = np.empty(n_sites)
        self.image = np.empty(n_sites)
        self.scratch = np.empty(n_sites)
        self._reserve(max(1024, 4 * n_sites))

    cdef _reserve(self, Py_ssize_t capacity):
        """Room for `capacity` links; the contents are lost."""
        if capacity >= 2**31:
            raise MemoryError("The filament network has more links than can be numbered.")
        self.other = np.empty(capacity, dtype=np.int32)
        self.link = np.empty(capacity)
        self.factor_other = np.empty(capacity, dtype=np.int32)
        self.factor = np.empty(capacity)

    def assemble(self, const unsigned char[::1] occupied):
        """Nodes and links of the organic sites `occupied` (uint8, one entry a site)."""
        while not self._assemble(occupied):
            self._reserve(2 * self.other.shape[0])

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
                # Ghosts to the left and right, then above and below, make the map periodic.
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
        self.n_nodes = n

    cdef bint _find_links(self) noexcept nogil:
        """Links of every node to the later ones in reach; False when there is no room."""
        cdef int n_columns = self.nx * self.ny
        cdef int n = self.n_nodes
        cdef int capacity = <int>self.other.shape[0]
        cdef int used = 0
        cdef int first, i, k, site, candidate
        cdef const int *here
        cdef const int *jump = &self.stencil_jump[0] if self.n_stencil else NULL
        cdef const double *strength = &self.stencil_link[0] if self.n_stencil else NULL
        cdef int *other = &self.other[0]
        cdef double *link = &self.link[0]
        cdef const double *weight = &self.weight[0]
        cdef double *total = &self.total[0]
        cdef double own, sum_out
        for i in range(n):
            total[i] = self.bottom[i] + self.top[i]
        for i in range(n):
            self.row[i] = used
            if capacity - used <= self.n_stencil:
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
        self.row[n] = used
        self.n_links = used
        return True

    cdef void _factorise(self, const double *ground) noexcept nogil:
        """Incomplete elimination of the nodes, without a subtraction.

        `ground` is what ties each node to any electrode. Links outside the pattern and fill
        are left out as whole conductances, their share of the diagonal included, so the
        network that is factorised never conducts better than the true one: its matrix M obeys
        M <= A, the eigenvalues of M^-1 A are at least 1, and errors can be bounded.
        """
        cdef int n = self.n_nodes
        cdef int used = 0
        cdef int i, j, k, m
        cdef const int *row = &self.row[0]
        cdef const int *other = &self.other[0]
        cdef const double *link = &self.link[0]
        cdef const double *total = &self.total[0]
        cdef int *factor_row = &self.factor_row[0]
        cdef int *factor_other = &self.factor_other[0]
        cdef double *factor = &self.factor[0]
        cdef double *mark = &self.mark[0]
        cdef double *rest = &self.ground[0]
        cdef double pivot, inverse, share
        for i in range(n):
            factor_row[i] = used
            for k in range(row[i], row[i + 1]):
                j = other[k]
                factor_other[used] = j
                factor[used] = link[k]
                used += link[k] > PATTERN_SHARE * min(total[i], total[j])
        factor_row[n] = used
        self.n_pattern = used
        memcpy(rest, ground, n * sizeof(double))
        for i in range(n):
            pivot = rest[i]
            for k in range(factor_row[i], factor_row[i + 1]):
                pivot += factor[k]
                mark[factor_other[k]] = factor[k]
            # Without a tie to any electrode the last node of a cluster floats: its potential
            # is free and carries no current, so it stays where it is.
            inverse = 1.0 / pivot if pivot > NO_PIVOT else 0.0
            self.inverse_pivot[i] = inverse
            for k in range(factor_row[i], factor_row[i + 1]):
                j = factor_other[k]
                share = factor[k] * inverse
                rest[j] += share * rest[i]
                for m in range(factor_row[j], factor_row[j + 1]):
                    factor[m] += share * mark[factor_other[m]]
            for k in range(factor_row[i], factor_row[i + 1]):
                mark[factor_other[k]] = 0.0
                factor[k] *= inverse

    cdef double _precondition(self, const double *r, double *z) noexcept nogil:
        """Solve M z = r; return r'z, summed from squares."""
        cdef int n = self.n_nodes
        cdef int i, k
        cdef const int *factor_row = &self.factor_row[0]
        cdef const int *factor_other = &self.factor_other[0]
        cdef const double *factor = &self.factor[0]
        cdef const double *inverse = &self.inverse_pivot[0]
        cdef double value, product = 0.0
        memcpy(z, r, n * sizeof(double))
        for i in range(n):
            value = z[i]
            for k in range(factor_row[i], factor_row[i + 1]):
                z[factor_other[k]] += factor[k] * value
            product += value * value * inverse[i]
            z[i] = value * inverse[i]
        for i in range(n - 1, -1, -1):
            value = z[i]
            for k in range(factor_row[i], factor_row[i + 1]):
                value += factor[k] * z[factor_other[k]]
            z[i] = value
        return product

    cdef double _apply(self, const double *ground, const double *p, double *q) noexcept nogil:
        """q = A p with A = links + ground; return p'A p, summed from squares."""
        cdef int n = self.n_nodes
        cdef int i, k
        cdef const int *row = &self.row[0]
        cdef const int *other = &self.other[0]
        cdef const double *link = &self.link[0]
        cdef double here, drop, current, outflow, row_energy, energy = 0.0
        for i in range(n):
            q[i] = ground[i] * p[i]
            energy += q[i] * p[i]
        for i in range(n):
            here = p[i]
            outflow = 0.0
            row_energy = 0.0  # sums of their own, so that rows overlap in the pipeline
            for k in range(row[i], row[i + 1]):
                drop = here - p[other[k]]
                current = link[k] * drop
                row_energy += current * drop
                outflow += current
                q[other[k]] -= current
            q[i] += outflow
            energy += row_energy
        return energy

    def conductance(self, double tolerance, double parallel, int most):
        """Two-terminal conductance of the last assembly.

        Stops when the bound of its error is below `tolerance` times it and `parallel`
        together, or after `most` steps; `bound` and `iterations` tell which.
        """
        cdef double energy
        with nogil:
            energy = self._charge(tolerance, parallel, most)
        return energy

    cdef double _charge(self, double tolerance, double parallel, int most) noexcept nogil:
        cdef int n = self.n_nodes
        cdef int i, k
        cdef double *v = &self.potential[0]
        cdef double *r = &self.residual[0]
        cdef double *ground = &self.scratch[0]
        cdef double sum_bottom = 0.0, sum_top = 0.0
        cdef double common, energy, drop
        self.iterations = 0
        self.bound = 0.0
        for i in range(n):
            sum_bottom += self.bottom[i]
            sum_top += self.top[i]
            ground[i] = self.bottom[i] + self.top[i]
        if sum_bottom <= 0.0 or sum_top <= 0.0:
            return 0.0
        self._factorise(ground)
        # Start from the best common potential of all nodes.
        common = sum_bottom / (sum_bottom + sum_top)
        energy = sum_bottom * (sum_top / (sum_bottom + sum_top))
        for i in range(n):
            v[i] = common
            r[i] = self.bottom[i] * (1.0 - common) - self.top[i] * common
        self._iterate(ground, energy + parallel, tolerance, most)
        # The energy is stationary, so its error is the square of the potentials'; and every
        # term is positive, so no digit cancels in any state.
        energy = 0.0
        for i in range(n):
            energy += (self.bottom[i] * (1.0 - v[i]) * (1.0 - v[i])
                       + self.top[i] * v[i] * v[i])
            for k in range(self.row[i], self.row[i + 1]):
                drop = v[i] - v[self.other[k]]
                energy += self.link[k] * drop * drop
        return energy

    cdef void _iterate(
        self, const double *ground, double energy, double tolerance, int most
    ) noexcept nogil:
        """Conjugate gradients on `potential` and `residual`.

        `energy` is the energy at the start; it falls by step * r'z each time. Stops when the
        bound of the squared energy error is below `tolerance` times the energy. The bound is
        the Gauss-Radau one of Meurant and Tichy (Numer. Algorithms 62:163, 2013) with the
        smallest eigenvalue of M^-1 A known to be at least 1: `radau` * r'z.
        """
        cdef int n = self.n_nodes
        cdef int i
        cdef double *v = &self.potential[0]
        cdef double *r = &self.residual[0]
        cdef double *p = &self.direction[0]
        cdef double *z = &self.image[0]
        cdef double product, previous, curvature, step, ratio, excess
        cdef double radau = 1.0
        product = self._precondition(r, p)
        while radau * product > tolerance * energy and self.iterations < most:
            curvature = self._apply(ground, p, z)
            step = product / curvature
            for i in range(n):
                v[i] += step * p[i]
                r[i] -= step * z[i]
            energy -= step * product
            previous = product
            product = self._precondition(r, z)
            ratio = product / previous
            for i in range(n):
                p[i] = z[i] + ratio * p[i]
            excess = max(radau - step, 0.0)
            radau = excess / (excess + ratio) if product > 0.0 else 0.0
            self.iterations += 1
        self.bound = radau * product

    def links(self):
        """Copies of the last assembly: sites, links to LSMO and Co, ends and strengths."""
        cdef int n = self.n_nodes
        row = np.asarray(self.row)[:n + 1]
        return (
            np.asarray(self.site)[:n].copy(),
            np.asarray(self.bottom)[:n].copy(),
            np.asarray(self.top)[:n].copy(),
            np.repeat(np.arange(n, dtype=np.int32), np.diff(row)),
            np.asarray(self.other)[:self.n_links].copy(),
            np.asarray(self.link)[:self.n_links].copy(),
        )
