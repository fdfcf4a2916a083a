#ifndef HELIOSTAT_ALLOCATION_COUNTER_H
#define HELIOSTAT_ALLOCATION_COUNTER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Counts the heap allocations of one thread: calls of malloc, calloc, realloc, aligned_alloc,
/// posix_memalign and memalign by any code of the process, between a start and a stop on the same
/// thread. Other threads are neither counted nor slowed. Memory mapped directly (mmap) is not seen.
///
/// Needs glibc on Linux and no sanitizer that brings its own allocator.

/// 1 when this build counts; 0 when every count would read 0.
int heliostat_allocations_available(void);

/// Starts counting from 0 on the calling thread. A second start begins anew.
void heliostat_allocations_start(void);

/// Stops counting on the calling thread; returns the calls since its start, or 0 without one.
uint64_t heliostat_allocations_stop(void);

#ifdef __cplusplus
}
#endif

#endif
