#include "through_rig.h"

#include <stdio.h>
#include <stdlib.h>

static void on_read(struct through_read *read, enum through_status status, struct span value,
                    const char *detail);
static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack);
static void on_released(struct through_write *write);

static void fail(const char *why) {
    fprintf(stderr, "through_rig: %s\n", why);
    abort();
}

static struct rig *make(uint32_t pending_max, uint64_t pending_bytes_max, struct replica *replica) {
    const struct through_conf conf = {.replica = replica,
                                      .fence_after_ms = RIG_FENCE_MS,
                                      .stale_max_ms = RIG_STALE_MS,
                                      .read_timeout_ms = RIG_READ_MS,
                                      .write_timeout_ms = RIG_WRITE_MS,
                                      .pending_max = pending_max,
                                      .pending_bytes_max = pending_bytes_max};
    struct rig *rig = calloc(1, sizeof(*rig));
    if (rig == NULL)
        abort();
    rig->now_mono_ms = 1000000;
    rig->replica = replica;
    rig->cache = cache_new(4 << 20, 1);
    rig->store = store_fake_new();
    rig->through = rig->cache == NULL ? NULL : through_new(&conf, rig->cache, rig->store);
    if (rig->through == NULL)
        abort();
    return rig;
}

struct rig *rig_new_cold(void) {
    return make(1024, 0, NULL);
}

static struct rig *heard(struct rig *rig) {
    through_feed_up(rig->through);
    rig_beat(rig);
    return rig;
}

struct rig *rig_new_small(uint32_t pending_max) {
    return heard(make(pending_max, 0, NULL));
}

struct rig *rig_new_narrow(uint64_t pending_bytes_max) {
    return heard(make(1024, pending_bytes_max, NULL));
}

struct rig *rig_new_replica(int64_t age_max_ms) {
    struct replica *replica = replica_new(age_max_ms);
    if (replica == NULL)
        abort();
    return heard(make(1024, 0, replica));
}

struct rig *rig_new(void) {
    return rig_new_small(1024);
}

void rig_free(struct rig **pointer) {
    struct rig *rig = *pointer;
    *pointer = NULL;
    store_fake_free(&rig->store);
    if (through_pending(rig->through) != 0)
        fail("something waits although the store is gone");
    through_free(&rig->through);
    cache_free(&rig->cache);
    replica_free(&rig->replica);
    for (struct rig_read *read = rig->reads, *next; read != NULL; read = next) {
        next = read->next;
        free(read);
    }
    for (struct rig_write *write = rig->writes, *next; write != NULL; write = next) {
        next = write->next;
        if (!write->released)
            fail("a write was not released");
        free(write);
    }
    free(rig);
}

/* ---- reads ---- */

static void copy(char *to, struct span from) {
    snprintf(to, RIG_TEXT_BYTES, "%.*s", (int)from.len, from.ptr);
}

struct rig_read *rig_get(struct rig *rig, const char *key) {
    struct rig_read *read = calloc(1, sizeof(*read));
    if (read == NULL)
        abort();
    struct span value = SPAN("");
    read->rig = rig;
    read->next = rig->reads;
    rig->reads = read;
    copy(read->key, span_str(key));
    read->read.key = span_str(read->key);
    read->read.hash = cache_hash(rig->cache, read->read.key);
    read->read.done = on_read;
    read->asking = true;
    read->status = through_get(rig->through, rig->now_mono_ms, &read->read, &value);
    read->asking = false;
    read->answered = read->status != THROUGH_PENDING;
    if (read->status == THROUGH_VALUE)
        copy(read->value, value);
    return read;
}

static void on_read(struct through_read *through_read, enum through_status status,
                    struct span value, const char *detail) {
    struct rig_read *read = (struct rig_read *)through_read;
    if (read->asking)
        fail("a read's callback inside the call that started it");
    if (read->answered)
        fail("a read was answered twice");
    read->answered = true;
    read->status = status;
    if (status == THROUGH_VALUE)
        copy(read->value, value);
    if (read->then != NULL)
        read->then(read);
}

bool rig_has(const struct rig_read *read, const char *value) {
    if (value == NULL)
        return read->status == THROUGH_ABSENT;
    return read->status == THROUGH_VALUE && strcmp(read->value, value) == 0;
}

bool rig_hits(struct rig *rig, const char *key, const char *value) {
    struct rig_read *read = rig_get(rig, key);
    if (read->status == THROUGH_PENDING)
        through_get_cancel(rig->through, &read->read);
    return rig_has(read, value);
}

bool rig_misses(struct rig *rig, const char *key) {
    struct rig_read *read = rig_get(rig, key);
    if (read->status == THROUGH_PENDING)
        through_get_cancel(rig->through, &read->read);
    return read->status != THROUGH_VALUE && read->status != THROUGH_ABSENT;
}

bool rig_cached(struct rig *rig, const char *key) {
    struct cache_item item;
    return cache_peek(rig->cache, span_str(key), cache_hash(rig->cache, span_str(key)), &item);
}

void rig_fill(struct rig *rig, const char *key, uint64_t version, const char *value) {
    unsigned before = store_fake_gets(rig->store);
    rig_get(rig, key);
    if (store_fake_gets(rig->store) != before + 1)
        fail("the key was there, or being fetched");
    store_fake_row(rig->store, before, version, value);
}

/* ---- writes ---- */

static struct rig_write *write_new(struct rig *rig, enum store_op op) {
    struct rig_write *write = calloc(1, sizeof(*write));
    if (write == NULL)
        abort();
    write->rig = rig;
    write->next = rig->writes;
    rig->writes = write;
    write->write = (struct through_write){.op = op,
                                          .keys = write->keys,
                                          .values = write->values,
                                          .hashes = write->hashes,
                                          .done = on_done,
                                          .released = on_released};
    return write;
}

static void add(struct rig_write *write, const char *key, const char *value) {
    uint32_t i = write->write.count++;
    copy(write->texts[2 * i], span_str(key));
    copy(write->texts[2 * i + 1], span_str(value));
    write->keys[i] = span_str(write->texts[2 * i]);
    write->values[i] = span_str(write->texts[2 * i + 1]);
    write->hashes[i] = cache_hash(write->rig->cache, write->keys[i]);
}

static struct rig_write *ask(struct rig_write *write) {
    struct rig *rig = write->rig;
    write->asking = true;
    write->status = through_write(rig->through, rig->now_mono_ms, &write->write);
    write->asking = false;
    if (write->status != THROUGH_PENDING)
        write->answered = write->released = true; /* neither callback will run */
    return write;
}

struct rig_write *rig_set_if(struct rig *rig, enum store_op op, const char *key,
                             const char *value) {
    struct rig_write *write = write_new(rig, op);
    add(write, key, value);
    return ask(write);
}

struct rig_write *rig_set(struct rig *rig, const char *key, const char *value) {
    return rig_set_if(rig, STORE_SET, key, value);
}

struct rig_write *rig_set_more(struct rig *rig, const char *key, const char *value,
                               const struct store_more *more) {
    struct rig_write *write = write_new(rig, STORE_SET);
    write->write.more = more;
    add(write, key, value);
    return ask(write);
}

struct rig_write *rig_get_set(struct rig *rig, const char *key, const char *value) {
    struct rig_write *write = write_new(rig, STORE_SET);
    write->write.want_old = true;
    add(write, key, value);
    return ask(write);
}

struct rig_write *rig_mset2(struct rig *rig, const char *key, const char *value, const char *key2,
                            const char *value2) {
    struct rig_write *write = write_new(rig, STORE_SET);
    add(write, key, value);
    add(write, key2, value2);
    return ask(write);
}

struct rig_write *rig_delete(struct rig *rig, const char *key) {
    return rig_set_if(rig, STORE_DELETE, key, "");
}

struct rig_write *rig_delete2(struct rig *rig, const char *key, const char *key2) {
    struct rig_write *write = write_new(rig, STORE_DELETE);
    add(write, key, "");
    add(write, key2, "");
    return ask(write);
}

struct rig_write *rig_exec(struct rig *rig, const struct store_exec *exec, const char *key) {
    struct rig_write *write = write_new(rig, STORE_EXEC);
    write->write.exec = exec;
    add(write, key, "");
    write->write.values = NULL;
    return ask(write);
}

static void on_done(struct through_write *through_write, enum through_status status,
                    const struct store_ack *ack) {
    static unsigned answers;
    struct rig_write *write = (struct rig_write *)through_write;
    if (write->asking)
        fail("a write's callback inside the call that started it");
    if (write->answered || write->released)
        fail("a write was answered twice");
    write->answered = true;
    write->order = ++answers;
    write->status = status;
    if (status == THROUGH_DONE) {
        write->version = ack->versions[0];
        write->changed = ack->changed;
    }
    if (ack != NULL && ack->detail != NULL)
        copy(write->detail, span_str(ack->detail));
    if (write->then != NULL)
        write->then(write);
}

static void on_released(struct through_write *through_write) {
    struct rig_write *write = (struct rig_write *)through_write;
    if (write->asking)
        fail("a write is released inside the call that started it");
    if (!write->answered || write->released)
        fail("a write is released before its answer, or twice");
    write->released = true;
}

/* ---- what is heard ---- */

void rig_changed(struct rig *rig, const char *key, uint64_t version) {
    through_changed(rig->through, span_str(key), version);
}

void rig_gone(struct rig *rig, const char *key) {
    through_gone(rig->through, span_str(key));
}

void rig_drop(struct rig *rig, const char *key) {
    through_drop(rig->through, span_str(key));
}

void rig_beat(struct rig *rig) {
    through_heard(rig->through, rig->now_mono_ms);
}

void rig_pass(struct rig *rig, int64_t ms) {
    rig->now_mono_ms += ms;
    through_tick(rig->through, rig->now_mono_ms);
}
