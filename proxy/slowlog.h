/*
 * slowlog: the requests that took long, of all workers: one list a worker, merged when somebody
 * asks. Values are never kept, of the keys the first one. Owned by main; each list is locked only
 * while it is written, which is rare, or read.
 */
#ifndef RINGFENCE_SLOWLOG_H
#define RINGFENCE_SLOWLOG_H

#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct slowlog;

enum { SLOWLOG_KEY_BYTES = 46, SLOWLOG_TEXT_BYTES = 64 };

/* The first bytes of a request's key, as kept while it is under way. */
struct slowlog_key {
    uint16_t len;                  /* of the whole key */
    char bytes[SLOWLOG_KEY_BYTES]; /* as much of it as there is room */
};

struct slowlog_entry {
    uint64_t id; /* given by slowlog_add(): rises over all workers */
    int64_t wall_s, usec;
    int command;   /* command_id */
    uint32_t argc; /* with its name */
    struct slowlog_key key;
    char addr[SLOWLOG_TEXT_BYTES], name[SLOWLOG_TEXT_BYTES]; /* of the client */
};

/** slowlog_key_set(key, span): keep the beginning of it. */
static inline void slowlog_key_set(struct slowlog_key *key, struct span whole) {
    key->len = (uint16_t)(whole.len < UINT16_MAX ? whole.len : UINT16_MAX);
    memcpy(key->bytes, whole.ptr, whole.len < SLOWLOG_KEY_BYTES ? whole.len : SLOWLOG_KEY_BYTES);
}

/** slowlog_new(workers): empty; NULL without memory. */
struct slowlog *slowlog_new(unsigned workers);
void slowlog_free(struct slowlog **log);

/** slowlog_add(log, worker, entry, max): remember it; the worker keeps its last `max`. */
void slowlog_add(struct slowlog *log, unsigned worker, const struct slowlog_entry *entry,
                 uint64_t max);

/** slowlog_len(log): entries of all workers. slowlog_reset(log): none any more. */
uint64_t slowlog_len(struct slowlog *log);
void slowlog_reset(struct slowlog *log);

/** slowlog_get(log, max, count_out): copies of the latest, the newest first, at most `max`; freed
 * by the caller. NULL without memory, or when there are none (then *count_out is 0). */
struct slowlog_entry *slowlog_get(struct slowlog *log, uint64_t max, size_t *count_out);

#endif
