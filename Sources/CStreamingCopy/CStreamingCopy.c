#include "CStreamingCopy.h"

#include <stdint.h>
#include <string.h>

// Streaming stores have no name in Swift. The vectors are of the size that every processor of 64 bits
// has; the stores want their places aligned.
typedef uint64_t vector __attribute__((vector_size(16)));
typedef uint64_t loose_vector __attribute__((vector_size(16), aligned(1)));

enum {
  // Two cache lines at a time, asked for some lines ahead.
  block = 128,
  vectors = block / sizeof(vector),
  ahead = 512,
};

void heliostat_streaming_copy(void *restrict destination, const void *restrict source, size_t count) {
  char *to = destination;
  const char *from = source;
  size_t head = -(uintptr_t)to % sizeof(vector);
  if (head > count) head = count;
  memcpy(to, from, head);
  size_t at = head;
  for (; count - at >= block; at += block) {
    __builtin_prefetch(from + at + ahead);
    __builtin_prefetch(from + at + ahead + block / 2);
    vector values[vectors];
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) values[i] = ((const loose_vector *)(from + at))[i];
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) __builtin_nontemporal_store(values[i], (vector *)(to + at) + i);
  }
#if defined(__x86_64__)
  // Streaming stores may be seen after later ordinary ones.
  __builtin_ia32_sfence();
#endif
  memcpy(to + at, from + at, count - at);
}
