"""Solver of the filament network: subtraction-free incomplete elimination and, with it as
preconditioner, conjugate gradients with a computed upper bound of the error.

The matrix is A = links + ground: a Laplacian of links between nodes and, on the diagonal,
what ties each node to any electrode. All conductances are non-negative.
"""

from libc.string cimport memcpy

cdef extern from *:
    """
    /* A link belongs to the preconditioner's pattern when it is more than this share of the
       conductance that leaves the weaker of its nodes. Smaller shares save iterations and cost
       more for each; between 0.001 and 0.01 the time of a read hardly changes. Keeping fill
       as well halves the iterations, but costs more than it saves. */
    #define PATTERN_SHARE 3e-3
    /* A pivot this small stands for a part of the network that is tied to no electrode. */
    #define NO_PIVOT 1e-290
    """
    const double PATTERN_SHARE
    const double NO_PIVOT


cdef struct Links:
    int n                    # nodes
    int *row                 # first link of each node; links of i: row[i] .. row[i+1]
    int *other               # the node at the other end, always a later one
    double *link             # conductance
    double *total            # everything that leaves a node, ground included


cdef struct Elimination:
    int *row                 # the same for the links that the preconditioner keeps
    int *other
    double *share            # part of the node's outflow that goes to the other one
    double *inverse_pivot
    double *rest             # ground links during elimination
    double *mark             # zero between calls


cdef struct Descent:
    double *potential        # in: start; out: solution
    double *residual         # in: right-hand side minus A potential
    double *direction
    double *image
    int iterations
    bint converged
    double bound             # upper bound of the squared energy error


cdef inline int factorise(
    const Links *links, const double *ground, Elimination *e,
) noexcept nogil:
    """Incomplete elimination of the nodes in their order; return the links kept.

    Links outside the pattern, and fill there, are left out as whole conductances, their share
    of the diagonal included, so the network that is factorised never conducts better than the
    true one: its matrix M obeys M <= A, the eigenvalues of M^-1 A are at least 1, and errors
    can be bounded. Cost: links in the pattern times their mean number at a node.
    """
    cdef int used = 0
    cdef int i, j, k, m
    cdef const double *total = links.total
    cdef double *share = e.share
    cdef double pivot, inverse, part
    for i in range(links.n):
        e.row[i] = used
        for k in range(links.row[i], links.row[i + 1]):
            j = links.other[k]
            e.other[used] = j
            share[used] = links.link[k]
            used += links.link[k] > PATTERN_SHARE * min(total[i], total[j])
    e.row[links.n] = used
    memcpy(e.rest, ground, links.n * sizeof(double))
    for i in range(links.n):
        pivot = e.rest[i]
        for k in range(e.row[i], e.row[i + 1]):
            pivot += share[k]
            e.mark[e.other[k]] = share[k]
        # Without a tie to any electrode the last node of a cluster floats: its potential is
        # free and carries no current, so it stays where it is.
        inverse = 1.0 / pivot if pivot > NO_PIVOT else 0.0
        e.inverse_pivot[i] = inverse
        for k in range(e.row[i], e.row[i + 1]):
            j = e.other[k]
            part = share[k] * inverse
            e.rest[j] += part * e.rest[i]
            for m in range(e.row[j], e.row[j + 1]):
                share[m] += part * e.mark[e.other[m]]
        for k in range(e.row[i], e.row[i + 1]):
            e.mark[e.other[k]] = 0.0
            share[k] *= inverse
    return used


cdef inline double precondition(
    const Elimination *e, int n, const double *r, double *z,
) noexcept nogil:
    """Solve M z = r; return r'z, summed from squares."""
    cdef int i, k
    cdef const int *row = e.row
    cdef const int *other = e.other
    cdef const double *share = e.share
    cdef const double *inverse = e.inverse_pivot
    cdef double value, product = 0.0
    memcpy(z, r, n * sizeof(double))
    for i in range(n):
        value = z[i]
        for k in range(row[i], row[i + 1]):
            z[other[k]] += share[k] * value
        product += value * value * inverse[i]
        z[i] = value * inverse[i]
    for i in range(n - 1, -1, -1):
        value = z[i]
        for k in range(row[i], row[i + 1]):
            value += share[k] * z[other[k]]
        z[i] = value
    return product


cdef inline double apply(
    const Links *links, const double *ground, const double *p, double *q,
) noexcept nogil:
    """q = A p from differences of p; return p'A p, summed from squares."""
    cdef int i, k
    cdef const int *row = links.row
    cdef const int *other = links.other
    cdef const double *link = links.link
    cdef double here, drop, current, outflow, row_energy, energy = 0.0
    for i in range(links.n):
        q[i] = ground[i] * p[i]
        energy += q[i] * p[i]
    for i in range(links.n):
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


cdef inline void iterate(
    const Links *links, const double *ground, const Elimination *e, Descent *d,
    double energy, double tolerance, double allowed, int most,
) noexcept nogil:
    """Conjugate gradients from the start in `d`.

    `energy` is the Dirichlet energy there; it falls by step * r'z each time. Stops when the
    bound of the squared energy error is below tolerance * energy + allowed, or after `most`
    steps. The bound is radau * r'z, the Gauss-Radau one of Meurant and Tichy (Numer.
    Algorithms 62:163, 2013) with the smallest eigenvalue of M^-1 A known to be at least 1.
    """
    cdef int i
    cdef double *v = d.potential
    cdef double *r = d.residual
    cdef double *p = d.direction
    cdef double *z = d.image
    cdef double product, previous, step, ratio, excess
    cdef double radau = 1.0
    d.iterations = 0
    d.converged = True
    product = precondition(e, links.n, r, p)
    while radau * product > tolerance * energy + allowed:
        if d.iterations == most:
            d.converged = False
            break
        step = product / apply(links, ground, p, z)
        for i in range(links.n):
            v[i] += step * p[i]
            r[i] -= step * z[i]
        energy -= step * product
        previous = product
        product = precondition(e, links.n, r, z)
        ratio = product / previous
        for i in range(links.n):
            p[i] = z[i] + ratio * p[i]
        excess = max(radau - step, 0.0)
        radau = excess / (excess + ratio) if product > 0.0 else 0.0
        d.iterations += 1
    d.bound = radau * product
