#include <stdlib.h>

#include "through_private.h"

static struct through_flight **bucket(struct through *t, uint64_t hash) {
    return &t->flights.buckets[hash & t->flights.mask];
}

struct through_flight *through_flight_find(struct through *t, struct span key, uint64_t hash) {
    for (struct through_flight *f = *bucket(t, hash); f != NULL; f = f->next) {
        if (f->hash == hash && span_equal(span_of(f->key, f->key_len), key))
            return f;
    }
    return NULL;
}

struct through_flight *through_flight_take(struct through *t, struct span key, uint64_t hash) {
    struct through_flight *f = through_flight_find(t, key, hash);
    if (f != NULL)
        return f;
    f = calloc(1, sizeof(*f) + key.len);
    if (f == NULL)
        return NULL;
    f->hash = hash;
    f->key_len = key.len;
    memcpy(f->key, key.ptr, key.len);
    f->next = *bucket(t, hash);
    *bucket(t, hash) = f;
    t->flights.count++;
    return f;
}

void through_flight_leave(struct through *t, struct through_flight *flight) {
    if (flight->fills != NULL || flight->turns != NULL)
        return;
    struct through_flight **link = bucket(t, flight->hash);
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    t->flights.count--;
    free(flight);
}

void through_flight_mark(struct through_flight *flight) {
    for (struct through_fill *fill = flight->fills; fill != NULL; fill = fill->next)
        fill->marked = true;
}

void through_flight_raise(struct through_flight *flight, uint64_t version) {
    if (flight->writing && version > flight->record)
        flight->record = version;
}
