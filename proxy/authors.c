#include "authors.h"

#include <stdlib.h>
#include <string.h>

/* Versions come from one sequence, so those of one burst of writes lie side by side. */
enum { PLACES = 4096 };

struct place {
    struct authors_change change;
    uint64_t client; /* 0: empty */
};

struct authors {
    struct place places[PLACES];
};

struct authors *authors_new(void) {
    return calloc(1, sizeof(struct authors));
}

void authors_free(struct authors **authors) {
    free(*authors);
    *authors = NULL;
}

void authors_note(struct authors *a, struct authors_change change, uint64_t client) {
    a->places[change.version % PLACES] = (struct place){change, client};
}

bool authors_is(const struct authors *a, struct authors_change change, uint64_t client) {
    const struct place *place = &a->places[change.version % PLACES];
    return change.version != 0 && client != 0 && place->client == client &&
           place->change.version == change.version && place->change.hash == change.hash;
}

void authors_forget(struct authors *a) {
    memset(a->places, 0, sizeof(a->places));
}
