#include "CAllocationCounter.h"

#include <stddef.h>

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(leak_sanitizer)
#define HELIOSTAT_FOREIGN_ALLOCATOR 1
#endif
#endif

#if defined(__linux__) && defined(__GLIBC__) && !defined(HELIOSTAT_FOREIGN_ALLOCATOR)

#include <errno.h>

// The definitions below take the place of glibc's in the whole process, because the linker prefers
// those of the executable. `free` stays glibc's: the memory comes from its heap either way.

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

// Initial-exec storage lies in the thread's static block: reading it never allocates, as the
// general model may on a thread's first access, which inside malloc would not return.
#define THREAD_STATE static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_STATE uint64_t allocations;
THREAD_STATE int counting;

static inline void record(void) {
  if (__builtin_expect(counting, 0)) allocations += 1;
}

void *malloc(size_t size) {
  record();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  record();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  record();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  record();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  record();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    return EINVAL;
  }
  record();
  // The function reports by its result alone and leaves errno as it was.
  int saved = errno;
  void *memory = __libc_memalign(alignment, size);
  errno = saved;
  if (memory == NULL) return ENOMEM;
  *result = memory;
  return 0;
}

int heliostat_allocations_available(void) { return 1; }

void heliostat_allocations_start(void) {
  allocations = 0;
  counting = 1;
}

uint64_t heliostat_allocations_stop(void) {
  if (!counting) return 0;
  counting = 0;
  return allocations;
}

#else

int heliostat_allocations_available(void) { return 0; }
void heliostat_allocations_start(void) {}
uint64_t heliostat_allocations_stop(void) { return 0; }

#endif
