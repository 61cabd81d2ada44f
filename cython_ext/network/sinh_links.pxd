"""Potentials of a network whose links carry g sinh(drop), drops in units of one voltage V0.

They minimise the co-content, the sum of g cosh(drop) over all links, which is convex. Where one
potential alone is free its minimum is explicit: with p = exp(x), p^2 is the sum of g p over the
neighbours divided by that of g/p. Sweeps of this put every weakly tied node in its place at once,
however large the voltage; Newton's method then adjusts clusters of strongly linked nodes.
In p no link needs an exponential: cosh(x - y) = (p/q + q/p)/2.
"""

from libc.math cimport exp, log1p, sqrt
from conjugate_gradients cimport Links


cdef struct Balance:
    double half              # half of the applied voltage
    const double *bottom     # link of each node to LSMO, at +half
    const double *top        # link of each node to Co, at -half
    double *up               # exp of each node's potential
    double *down             # its inverse
    double *trial_up         # the same after a step that is looked at
    double *trial_down


cdef inline double relax(const Links *links, Balance *b) noexcept nogil:
    """Put each node in balance with its neighbours, once up and once down the order.

    Return the largest change of a potential on the way down. A link is stored with the node that
    comes first, so that what comes from earlier nodes is summed up while these are passed.
    """
    cdef int i, k
    cdef double high = exp(b.half), low = exp(-b.half)
    cdef double rising, falling, here, change = 0.0
    cdef double *from_up = b.trial_up
    cdef double *from_down = b.trial_down
    for i in range(links.n):
        from_up[i] = b.bottom[i] * high + b.top[i] * low
        from_down[i] = b.bottom[i] * low + b.top[i] * high
    for i in range(links.n):
        rising, falling = from_up[i], from_down[i]
        for k in range(links.row[i], links.row[i + 1]):
            rising += links.link[k] * b.up[links.other[k]]
            falling += links.link[k] * b.down[links.other[k]]
        if rising > 0.0 and falling > 0.0:
            b.up[i] = sqrt(rising / falling)
            b.down[i] = 1.0 / b.up[i]
        for k in range(links.row[i], links.row[i + 1]):
            from_up[links.other[k]] += links.link[k] * b.up[i]
            from_down[links.other[k]] += links.link[k] * b.down[i]
    for i in range(links.n - 1, -1, -1):
        rising, falling = from_up[i], from_down[i]
        for k in range(links.row[i], links.row[i + 1]):
            rising += links.link[k] * b.up[links.other[k]]
            falling += links.link[k] * b.down[links.other[k]]
        if rising > 0.0 and falling > 0.0:
            here = sqrt(rising / falling)
            change = max(change, max(here * b.down[i], b.up[i] / here) - 1.0)
            b.up[i] = here
            b.down[i] = 1.0 / here
    return change


cdef inline void tangent(
    const Links *links, const Balance *b, Links *linear, double *ground, double *residual,
) noexcept nogil:
    """The linear network of the links' differential conductances, and the currents left over."""
    cdef int i, j, k
    cdef double high = exp(b.half), low = exp(-b.half)
    cdef double forward, backward, conductance, current
    for i in range(links.n):
        forward, backward = high * b.down[i], low * b.up[i]
        ground[i] = 0.5 * b.bottom[i] * (forward + backward)
        residual[i] = 0.5 * b.bottom[i] * (forward - backward)
        forward, backward = high * b.up[i], low * b.down[i]
        ground[i] += 0.5 * b.top[i] * (forward + backward)
        residual[i] -= 0.5 * b.top[i] * (forward - backward)
        linear.total[i] = ground[i]
    for i in range(links.n):
        for k in range(links.row[i], links.row[i + 1]):
            j = links.other[k]
            forward, backward = b.up[i] * b.down[j], b.down[i] * b.up[j]
            conductance = 0.5 * links.link[k] * (forward + backward)
            current = 0.5 * links.link[k] * (forward - backward)
            linear.link[k] = conductance
            linear.total[i] += conductance
            linear.total[j] += conductance
            residual[i] -= current
            residual[j] += current


cdef inline double slope(
    const Links *links, Balance *b, const double *step, double share,
) noexcept nogil:
    """Derivative of the co-content along `step`, after `share` of it; NaN or infinite if far off.

    Leaves the potentials there in the trial arrays.
    """
    cdef int i, j, k
    cdef double high = exp(b.half), low = exp(-b.half)
    cdef double *up = b.trial_up
    cdef double *down = b.trial_down
    cdef double found = 0.0
    for i in range(links.n):
        up[i] = b.up[i] * exp(share * step[i])
        down[i] = 1.0 / up[i]
        found += step[i] * (b.top[i] * (high * up[i] - low * down[i])
                            - b.bottom[i] * (high * down[i] - low * up[i]))
    for i in range(links.n):
        for k in range(links.row[i], links.row[i + 1]):
            j = links.other[k]
            found += ((step[i] - step[j]) * links.link[k]
                      * (up[i] * down[j] - down[i] * up[j]))
    return 0.5 * found


cdef inline void descend(
    const Links *links, Balance *b, const double *step, double size,
) noexcept nogil:
    """Go along a Newton step whose largest entry is `size`, as far as the co-content falls.

    A step times ln(1 + size)/size always descends, for a function whose third derivative is
    bounded by the second (Sun and Tran-Dinh 2019, doi 10.1007/s10107-018-1282-4).
    """
    cdef int i, _
    cdef double least = 0.0, most = 1.0, share = 1.0
    cdef double steepness = -slope(links, b, step, 0.0)
    cdef double here = slope(links, b, step, 1.0)
    if not (here <= 0.0 or (size < 1.0 and here <= 0.1 * steepness)):
        share = log1p(size) / size
        for _ in range(30):
            here = slope(links, b, step, share)
            if here <= 0.0:
                least = share
                if here >= -0.5 * steepness:
                    break
            else:
                most = share
            share = sqrt(least * most) if least > 0.0 else 0.5 * most
        share = least if least > 0.0 else most
        slope(links, b, step, share)
    for i in range(links.n):
        b.up[i] = b.trial_up[i]
        b.down[i] = b.trial_down[i]
