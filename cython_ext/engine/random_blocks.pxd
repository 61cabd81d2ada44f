# Random numbers are drawn in blocks of BLOCK trials. The state of the generator then stays in
# registers while a block is drawn, and the event loop only reads memory.

from libc.stdint cimport uint64_t
from numpy cimport npy_intp
from numpy.random cimport bitgen_t

cdef extern from "numpy/random/distributions.h" nogil:
    void random_standard_exponential_fill(bitgen_t *bitgen, npy_intp count, double *out)

cdef enum:
    BLOCK = 512

cdef struct Block:
    bitgen_t *bitgen
    int next                      # trials of this block that are used; BLOCK when all are
    uint64_t word[3 * BLOCK]      # three words a trial: which group, which oxygen, which direction
    double wait[BLOCK]            # standard exponential of each trial's waiting time


cdef inline void block_refill(Block *block) noexcept nogil:
    """Draw the next block. The order of draws (all words, then all waits) is part of the stream."""
    cdef int i
    cdef bitgen_t *bitgen = block.bitgen
    for i in range(3 * BLOCK):
        block.word[i] = bitgen.next_uint64(bitgen.state)
    random_standard_exponential_fill(bitgen, BLOCK, block.wait)
    block.next = 0


cdef inline double uniform(uint64_t word) noexcept nogil:
    """Uniform number in [0, 1), a multiple of 2^-53."""
    return (word >> 11) * (1.0 / 9007199254740992.0)
