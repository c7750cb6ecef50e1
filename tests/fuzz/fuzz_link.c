// needs: proxy/upstream_answer.c proxy/window.c common/resp_[ls]*.c common/span.c common/buf.c
/*
 * What a node says on its link: answers, deferrals, late answers, what changes. Whatever the bytes,
 * no fault; each request is answered at most once, none twice and none that was given back; and all
 * of it is the same whole as in pieces. The first byte is the size of the pieces, the second one
 * says which requests were given back (ghosts) and how many have not left yet.
 */
#include <stdlib.h>
#include <string.h>

#include "../../proxy/proxy_stats.h"
#include "../../proxy/upstream_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { REQUESTS = 8, REQUEST_BYTES = 16 };

struct conn {
    struct buf out;
    size_t sent;
};

struct link {
    struct upstream u;
    struct conn conn;
    struct upstream_entry entries[REQUESTS];
    unsigned answered[REQUESTS];
    uint64_t told; /* everything that was handed on, folded into one number */
    bool failed;
};

static struct link *current;

static void fold(struct span bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        current->told = (current->told ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
    current->told = (current->told ^ bytes.len) * 1099511628211u;
}

/* ---- what the code under test calls ---- */

uint64_t conn_sent(const struct conn *conn) {
    return conn->sent;
}

struct buf *conn_out(struct conn *conn) {
    return &conn->out;
}

void conn_release(struct conn *conn, size_t len) {
    if (len > conn->sent || len > buf_len(&conn->out))
        abort();
    buf_consume(&conn->out, len);
    conn->sent -= len;
}

int64_t conn_loop_now_us(struct conn_loop *loop) {
    return 1;
}

void upstream_fail(struct upstream *u, const char *why) {
    if (current->failed || why == NULL)
        abort();
    current->failed = true;
    u->conn = NULL;
}

static void on_done(struct upstream_entry *entry, struct span reply) {
    size_t at = (size_t)(entry - current->entries);
    if (at >= REQUESTS || current->answered[at]++ != 0 || reply.len < 3)
        abort();
    fold(reply);
}

static void on_stale(void *ctx, struct upstream *upstream, struct span key, uint64_t version,
                     enum change change) {
    current->told ^= version;
    if (upstream != &current->u)
        abort();
    current->told ^= (uint64_t)change;
    fold(key);
}

static void on_wrote(void *ctx, uint64_t author, struct span key, uint64_t version) {
    if (author == 0)
        abort();
    current->told ^= author ^ version;
    fold(key);
}

static void on_gap(void *ctx) {
    fold(SPAN("gap"));
}

/* ---- a run ---- */

static void begin(struct link *l, uint8_t choices) {
    static const struct upstream_handlers HANDLERS = {
        .on_stale = on_stale, .on_wrote = on_wrote, .on_gap = on_gap};
    static stats_value stats[PROXY_STAT_COUNT];
    static const struct proxy_env ENV = {.stats = stats};
    *l = (struct link){.told = 14695981039346656037u};
    current = l;
    l->u.env = &ENV;
    l->u.handlers = &HANDLERS;
    l->u.conn = &l->conn;
    buf_init(&l->conn.out, 0);
    window_init(&l->u.fifo);
    window_init(&l->u.late);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct upstream_entry *entry = &l->entries[i];
        *entry = (struct upstream_entry){
            .done = on_done, .author = i & 2, .size = REQUEST_BYTES, .is_write = (i & 1) != 0};
        bool ghost = (choices >> i & 1) != 0 && i < 6;
        window_push(&l->u.fifo, ghost ? ghost_of(entry) : entry);
        l->u.owed += !ghost;
        l->u.ghosts += ghost;
        buf_append(&l->conn.out, "0123456789abcdef", REQUEST_BYTES);
    }
    l->conn.sent = (size_t)(REQUESTS - (choices >> 6)) * REQUEST_BYTES;
}

/* Whoever was not answered is still in one of the windows; memory goes back. */
static void end(struct link *l) {
    uint32_t answered = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        answered += l->answered[i];
        if (l->answered[i] != 0 && l->entries[i].kept != NULL)
            abort();
        free(l->entries[i].kept);
    }
    if (answered > REQUESTS || l->u.fifo.held + l->u.late.held < l->u.owed + l->u.ghosts)
        abort();
    window_release(&l->u.fifo);
    window_release(&l->u.late);
    buf_release(&l->conn.out);
}

static uint64_t run(const char *data, size_t len, size_t step, uint8_t choices) {
    struct link l;
    size_t from = 0, have = 0;
    begin(&l, choices);
    while (have < len && !l.failed) {
        have = len - have < step ? len : have + step;
        char *exact = malloc(have - from + 1); /* a fault shows behind its end, and it moves */
        if (exact == NULL)
            abort();
        memcpy(exact + 1, data + from, have - from);
        size_t used = upstream_on_read(&l.u, exact + 1, have - from);
        if (used > have - from)
            abort();
        from += used;
        free(exact);
    }
    end(&l);
    return l.told ^ (l.failed ? 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3)
        return 0;
    const char *data = (const char *)input + 2;
    uint64_t whole = run(data, size - 2, size, input[1]);
    if (run(data, size - 2, 1, input[1]) != whole ||
        run(data, size - 2, (size_t)input[0] + 1, input[1]) != whole)
        abort();
    return 0;
}
