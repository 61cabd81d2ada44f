# Allocation of the kernel's arrays, and prefetching of their entries.

from libc.stddef cimport size_t

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    /* Zeroed memory. Large blocks use huge pages, since hops access them at random. */
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
    """
    void *kmc_allocate(size_t size) noexcept nogil
    void prefetch "__builtin_prefetch"(const void *address) noexcept nogil


cdef inline void *allocate(size_t count, size_t size) except NULL:
    cdef void *memory = kmc_allocate(count * size)
    if memory == NULL:
        raise MemoryError(f"No memory for {count * size} bytes of kernel tables.")
    return memory
