#include "hash.h"

#include <sys/random.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "clock.h"

struct span hash_tag(struct span key) {
    const char *open = key.len == 0 ? NULL : memchr(key.ptr, '{', key.len);
    if (open == NULL)
        return key;
    const char *inside = open + 1;
    size_t left = (size_t)(key.ptr + key.len - inside);
    const char *close = memchr(inside, '}', left);
    if (close == NULL || close == inside)
        return key;
    return span_of(inside, (size_t)(close - inside));
}

uint64_t hash_ring(struct span key) {
    struct span tag = hash_tag(key);
    return XXH3_64bits(tag.ptr, tag.len);
}

uint64_t hash_point(struct span name, uint64_t index) {
    /* The index is not the seed: XXH3 of up to three bytes is an avalanche of (bytes XOR (constant
     * + seed)), so that the names n10 and n11 would have the same points, in another order. */
    unsigned char little_endian[8];
    for (int i = 0; i < 8; i++)
        little_endian[i] = (unsigned char)(index >> 8 * i);
    return XXH3_64bits_withSeed(little_endian, sizeof(little_endian),
                                XXH3_64bits(name.ptr, name.len));
}

uint64_t hash_table(struct span key, uint64_t seed) {
    return XXH3_64bits_withSeed(key.ptr, key.len, seed);
}

uint64_t hash_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
        return seed;
    return (uint64_t)clock_mono_us() * 0x9E3779B97F4A7C15u ^ (uint64_t)clock_wall_us() ^
           (uint64_t)getpid() << 32;
}
