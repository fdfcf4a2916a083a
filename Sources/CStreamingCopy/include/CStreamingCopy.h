#ifndef HELIOSTAT_STREAMING_COPY_H
#define HELIOSTAT_STREAMING_COPY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Like memcpy, but past the caches: for copies that are larger than these, whose lines would be read
/// from memory only to be overwritten, and would drive out what others use. The bytes are in place
/// for every thread that is told of them in the usual ways. The buffers must not overlap.
void heliostat_streaming_copy(void *restrict destination, const void *restrict source, size_t count);

#ifdef __cplusplus
}
#endif

#endif
