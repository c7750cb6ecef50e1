/*
 * through_rig: a through with a real cache over store_fake, a clock that the test sets, and askers
 * that remember their answers. A callback inside the call that started it, or a second one, ends
 * the test. For unit tests only.
 */
#ifndef RINGFENCE_THROUGH_RIG_H
#define RINGFENCE_THROUGH_RIG_H

#include "../../node/cache.h"
#include "../../node/replica.h"
#include "../../node/through.h"
#include "store_fake.h"

enum { RIG_KEYS_MAX = 8, RIG_TEXT_BYTES = 64 };

struct rig {
    struct cache *cache;
    struct replica *replica; /* NULL: none */
    struct store *store;
    struct through *through;
    int64_t now_mono_ms;
    struct rig_read *reads; /* all of them, freed with the rig */
    struct rig_write *writes;
};

struct rig_read {
    struct through_read read;
    struct rig *rig;
    struct rig_read *next;
    char key[RIG_TEXT_BYTES];
    enum through_status status; /* THROUGH_PENDING until its answer */
    char value[RIG_TEXT_BYTES];
    bool asking, answered;
    void (*then)(struct rig_read *read); /* optional: runs in its callback */
};

struct rig_write {
    struct through_write write;
    struct rig *rig;
    struct rig_write *next;
    char texts[2 * RIG_KEYS_MAX][RIG_TEXT_BYTES];
    struct span keys[RIG_KEYS_MAX], values[RIG_KEYS_MAX];
    uint64_t hashes[RIG_KEYS_MAX];
    enum through_status status; /* THROUGH_PENDING until its answer */
    uint64_t version;           /* of its first key, as acked */
    uint32_t changed;
    char detail[RIG_TEXT_BYTES];
    bool asking, answered, released;
    unsigned order; /* of its answer among all of the process: 1, 2, ... */
    void (*then)(struct rig_write *write);
};

enum { RIG_FENCE_MS = 2000, RIG_STALE_MS = 60000, RIG_READ_MS = 150, RIG_WRITE_MS = 1800 };

/** rig_new(): with a feed that was heard just now. rig_new_cold(): without one.
 * rig_new_small(pending_max): with room for so many waiting requests. */
struct rig *rig_new(void);
struct rig *rig_new_cold(void);
struct rig *rig_new_small(uint32_t pending_max);

/** rig_new_narrow(pending_bytes_max): with room for so many bytes of them. */
struct rig *rig_new_narrow(uint64_t pending_bytes_max);

/** rig_new_replica(age_max_ms): as rig_new(), with a replica that may be asked, once it has reached
 * a floor. */
struct rig *rig_new_replica(int64_t age_max_ms);

/** rig_free(rig): as the daemon ends: store, through, cache; every write must have been released.
 */
void rig_free(struct rig **rig);

/** rig_get(rig, key): ask for a key; its answer is in the result, now or later. */
struct rig_read *rig_get(struct rig *rig, const char *key);

/** rig_set / rig_set_if / rig_set_more / rig_get_set / rig_mset2 / rig_delete / rig_delete2: write.
 */
struct rig_write *rig_set(struct rig *rig, const char *key, const char *value);
struct rig_write *rig_set_if(struct rig *rig, enum store_op op, const char *key, const char *value);
struct rig_write *rig_set_more(struct rig *rig, const char *key, const char *value,
                               const struct store_more *more);
struct rig_write *rig_get_set(struct rig *rig, const char *key, const char *value);
struct rig_write *rig_mset2(struct rig *rig, const char *key, const char *value, const char *key2,
                            const char *value2);
struct rig_write *rig_delete(struct rig *rig, const char *key);
struct rig_write *rig_delete2(struct rig *rig, const char *key, const char *key2);

/** rig_exec(rig, exec, key): a transaction of edits of this key; it has to live until its end. */
struct rig_write *rig_exec(struct rig *rig, const struct store_exec *exec, const char *key);

/** rig_changed / rig_gone / rig_drop: what is heard about a key. rig_beat: a heartbeat that was
 * sent just now was heard. */
void rig_changed(struct rig *rig, const char *key, uint64_t version);
void rig_gone(struct rig *rig, const char *key);
void rig_drop(struct rig *rig, const char *key);
void rig_beat(struct rig *rig);

/** rig_pass(rig, ms): time goes by; a tick follows. */
void rig_pass(struct rig *rig, int64_t ms);

/** rig_cached(rig, key): an entry is there, trusted or not. */
bool rig_cached(struct rig *rig, const char *key);

/** rig_fill(rig, key, version, value): let it be cached, by a read that is answered at once. */
void rig_fill(struct rig *rig, const char *key, uint64_t version, const char *value);

/** rig_hits(rig, key, value): a read is answered at once, with `value` (NULL: absent). */
bool rig_hits(struct rig *rig, const char *key, const char *value);

/** rig_misses(rig, key): a read is not answered from the cache (it is cancelled again; if it began
 * a fill, that stays). */
bool rig_misses(struct rig *rig, const char *key);

/** rig_has(read, value): it was answered with `value` (NULL: absent). */
bool rig_has(const struct rig_read *read, const char *value);

#endif
