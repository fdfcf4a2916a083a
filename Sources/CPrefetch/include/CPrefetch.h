#ifndef HELIOSTAT_PREFETCH_H
#define HELIOSTAT_PREFETCH_H

/// Asks the processor to bring the cache line at `address` near, and does not wait for it. Any address
/// is allowed; one that is not mapped is ignored.
static inline __attribute__((always_inline)) void heliostat_prefetch(const void *address) {
  __builtin_prefetch(address);
}

#endif
