#include "store_fake.h"

#include <stdio.h>
#include <stdlib.h>

struct store {
    bool reads_up, writes_up, closing, hold;
    enum store_status refuse_next; /* STORE_OK: nothing is refused */
    struct store_get *gets[STORE_FAKE_MAX];
    struct store_write *writes[STORE_FAKE_MAX];
    struct store_query *queries[STORE_FAKE_MAX];
    unsigned gets_count, writes_count, queries_count, asked;
};

/* A test that misuses the fake, or a caller that breaks store.h: nothing to go on with. */
static void fail(const char *why) {
    fprintf(stderr, "store_fake: %s\n", why);
    abort();
}

struct store *store_fake_new(void) {
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        abort();
    s->reads_up = s->writes_up = true;
    return s;
}

void store_fake_free(struct store **pointer) {
    struct store *s = *pointer;
    *pointer = NULL;
    s->closing = true;
    while (s->gets_count != 0)
        store_fake_fail_get(s, 0, STORE_DOWN);
    while (s->writes_count != 0)
        store_fake_fail_write(s, 0, s->writes[0]->sent ? STORE_UNCERTAIN : STORE_DOWN, NULL);
    while (s->queries_count != 0)
        store_fake_answer(s, 0, STORE_DOWN, NULL);
    free(s);
}

void store_fake_up(struct store *s, bool reads, bool writes) {
    s->reads_up = reads;
    s->writes_up = writes;
}

void store_fake_hold(struct store *s, bool hold) {
    s->hold = hold;
}

void store_fake_refuse_next(struct store *s, enum store_status status) {
    s->refuse_next = status;
}

/* ---- store.h ---- */

static enum store_status admit(struct store *s, bool up, unsigned count) {
    enum store_status refusal = s->refuse_next;
    s->refuse_next = STORE_OK;
    if (refusal != STORE_OK)
        return refusal;
    if (!up || s->closing)
        return STORE_DOWN;
    if (count == STORE_FAKE_MAX)
        return STORE_BUSY;
    s->asked++;
    return STORE_OK;
}

enum store_status store_get(struct store *s, struct store_get *get) {
    enum store_status status = admit(s, s->reads_up, s->gets_count);
    if (status == STORE_OK) {
        get->sent = !s->hold;
        s->gets[s->gets_count++] = get;
    }
    return status;
}

static struct store_get *take_get(struct store *s, unsigned i) {
    struct store_get *get = store_fake_get(s, i);
    s->gets_count--;
    for (; i < s->gets_count; i++)
        s->gets[i] = s->gets[i + 1];
    return get;
}

bool store_get_cancel(struct store *s, struct store_get *get) {
    for (unsigned i = 0; i < s->gets_count; i++) {
        if (s->gets[i] != get)
            continue;
        if (!get->sent)
            take_get(s, i);
        return !get->sent;
    }
    fail("a get is cancelled that does not wait");
    return false;
}

static bool shares_a_key(const struct store_write *a, const struct store_write *b) {
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t j = 0; j < b->count; j++) {
            if (span_equal(a->keys[i], b->keys[j]))
                return true;
        }
    }
    return false;
}

enum store_status store_write(struct store *s, struct store_write *write) {
    for (unsigned i = 0; i < s->writes_count; i++) {
        if (shares_a_key(s->writes[i], write))
            fail("two writes of one key (rule 5)");
    }
    enum store_status status = admit(s, s->writes_up, s->writes_count);
    if (status == STORE_OK) {
        write->sent = false;
        s->writes[s->writes_count++] = write;
    }
    return status;
}

static struct store_write *take_write(struct store *s, unsigned i) {
    if (i >= s->writes_count)
        fail("no such write waits");
    struct store_write *write = s->writes[i];
    s->writes_count--;
    for (; i < s->writes_count; i++)
        s->writes[i] = s->writes[i + 1];
    return write;
}

bool store_write_cancel(struct store *s, struct store_write *write) {
    for (unsigned i = 0; i < s->writes_count; i++) {
        if (s->writes[i] != write)
            continue;
        if (!write->sent)
            take_write(s, i);
        return !write->sent;
    }
    fail("a write is cancelled that does not wait");
    return false;
}

bool store_up(const struct store *s) {
    return s->reads_up;
}

enum store_status store_ask(struct store *s, struct store_query *query) {
    enum store_status status = admit(s, s->reads_up, s->queries_count);
    if (status == STORE_OK)
        s->queries[s->queries_count++] = query;
    return status;
}

/* ---- what waits ---- */

unsigned store_fake_gets(const struct store *s) {
    return s->gets_count;
}

unsigned store_fake_writes(const struct store *s) {
    return s->writes_count;
}

unsigned store_fake_queries(const struct store *s) {
    return s->queries_count;
}

struct store_query *store_fake_query(struct store *s, unsigned i) {
    if (i >= s->queries_count)
        fail("no such question waits");
    return s->queries[i];
}

unsigned store_fake_asked(const struct store *s) {
    return s->asked;
}

struct store_get *store_fake_get(struct store *s, unsigned i) {
    if (i >= s->gets_count)
        fail("no such get waits");
    return s->gets[i];
}

struct store_write *store_fake_write(struct store *s, unsigned i) {
    if (i >= s->writes_count)
        fail("no such write waits");
    return s->writes[i];
}

void store_fake_send(struct store *s, unsigned i) {
    store_fake_write(s, i)->sent = true;
}

/* ---- answers ---- */

static void answer_get(struct store *s, unsigned i, enum store_status status,
                       const struct store_row *row) {
    struct store_get *get = take_get(s, i);
    get->done(get, status, row, NULL);
}

void store_fake_row_ttl(struct store *s, unsigned i, uint64_t version, const char *payload,
                        int64_t ttl_ms) {
    const struct store_row row = {.present = true,
                                  .payload = span_str(payload),
                                  .version = version,
                                  .ttl_ms = ttl_ms,
                                  .cacheable = true};
    answer_get(s, i, STORE_OK, &row);
}

void store_fake_row(struct store *s, unsigned i, uint64_t version, const char *payload) {
    store_fake_row_ttl(s, i, version, payload, -1);
}

void store_fake_foreign_row(struct store *s, unsigned i, uint64_t version, const char *payload) {
    const struct store_row row = {
        .present = true, .payload = span_str(payload), .version = version, .ttl_ms = -1};
    answer_get(s, i, STORE_OK, &row);
}

void store_fake_absent(struct store *s, unsigned i) {
    const struct store_row row = {.ttl_ms = -1, .cacheable = true};
    answer_get(s, i, STORE_OK, &row);
}

void store_fake_answer_row(struct store *s, unsigned i, const struct store_row *row) {
    answer_get(s, i, STORE_OK, row);
}

void store_fake_fail_get(struct store *s, unsigned i, enum store_status status) {
    answer_get(s, i, status, NULL);
}

static void commit(struct store *s, unsigned i, const uint64_t *versions, uint32_t changed,
                   bool cacheable) {
    struct store_write *write = take_write(s, i);
    const struct store_ack ack = {
        .status = STORE_OK, .versions = versions, .changed = changed, .cacheable = cacheable};
    write->done(write, &ack);
}

static void commit_all(struct store *s, unsigned i, uint64_t version, bool cacheable) {
    uint32_t count = store_fake_write(s, i)->count;
    uint64_t *versions = calloc(count, sizeof(*versions));
    if (versions == NULL)
        abort();
    for (uint32_t k = 0; k < count; k++)
        versions[k] = version == 0 ? 0 : version + k;
    commit(s, i, versions, version == 0 ? 0 : count, cacheable);
    free(versions);
}

void store_fake_commit(struct store *s, unsigned i, uint64_t version) {
    commit_all(s, i, version, true);
}

void store_fake_commit_each(struct store *s, unsigned i, const uint64_t *versions,
                            uint32_t changed) {
    commit(s, i, versions, changed, true);
}

void store_fake_foreign_commit(struct store *s, unsigned i, uint64_t version) {
    commit_all(s, i, version, false);
}

void store_fake_commit_result(struct store *s, unsigned i, uint64_t version,
                              const struct store_result *result) {
    struct store_write *write = take_write(s, i);
    const struct store_ack ack = {.status = STORE_OK,
                                  .versions = &version,
                                  .changed = version != 0,
                                  .result = result,
                                  .cacheable = true};
    write->done(write, &ack);
}

void store_fake_fail_write(struct store *s, unsigned i, enum store_status status,
                           const char *detail) {
    struct store_write *write = take_write(s, i);
    const struct store_ack ack = {.status = status, .detail = detail};
    write->done(write, &ack);
}

void store_fake_answer(struct store *s, unsigned i, enum store_status status,
                       const struct store_answer *answer) {
    struct store_query *query = store_fake_query(s, i);
    s->queries_count--;
    for (; i < s->queries_count; i++)
        s->queries[i] = s->queries[i + 1];
    query->done(query, status, answer);
}
