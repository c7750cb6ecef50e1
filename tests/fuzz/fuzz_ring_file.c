// needs: common/ring_file.c common/lines.c common/ring.c common/hash.c common/span.c common/clock.c
/* The ring file: a ring that can be asked, or a text that says why not. */
#include <stdlib.h>

#include "../../common/ring.h"
#include "../../common/ring_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct ring_file_error error = {{0}};
    uint64_t epoch = 0;
    struct ring *ring =
        ring_file_parse(span_of((const char *)input, size), "ring.conf", &epoch, &error);
    if (ring == NULL) {
        if (error.text[0] == '\0' || memchr(error.text, '\0', sizeof(error.text)) == NULL)
            abort();
        return 0;
    }
    uint32_t owners[4], owner = ring_lookup(ring, size * 0x9E3779B97F4A7C15u);
    size_t found = ring_owners(ring, size * 0x9E3779B97F4A7C15u, owners, 4);
    if (owner >= ring_count(ring) || found == 0 || owners[0] != owner ||
        ring_at(ring, owner)->name[0] == '\0')
        abort();
    ring_free(&ring);
    return 0;
}
