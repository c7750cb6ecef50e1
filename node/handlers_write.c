/* Commands that write: checked, copied, handed to through; answered after the commit. */
#include <stdlib.h>

#include "../common/conn.h"
#include "../common/reply.h"
#include "cache.h"
#include "handlers.h"
#include "op.h"
#include "server.h"
#include "session.h"
#include "wish.h"

static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack);
static void on_released(struct through_write *write);

/* ---- copying ---- */

/* Which of several equal keys counts: the last (MSET). Marks the others. O(n) by a small table of
 * hashes. */
static bool mark_repeats(const struct wish *wish, const uint64_t *hashes, bool *repeated) {
    uint32_t slots = 4;
    while (slots < wish->count * 2)
        slots *= 2;
    uint32_t *table = calloc(slots, sizeof(*table));
    if (table == NULL)
        return false;
    for (uint32_t i = wish->count; i-- > 0;) {
        uint32_t at = (uint32_t)hashes[i] & (slots - 1);
        while (table[at] != 0 &&
               !span_equal(wish->keys[(table[at] - 1) * wish->step], wish->keys[i * wish->step]))
            at = (at + 1) & (slots - 1);
        repeated[i] = table[at] != 0;
        if (table[at] == 0)
            table[at] = i + 1;
    }
    free(table);
    return true;
}

static struct span copy(char **to, struct span from) {
    struct span copied = span_of(*to, from.len);
    if (from.len != 0)
        memcpy(*to, from.ptr, from.len);
    *to += from.len;
    return copied;
}

/* Keys, values and hashes in one block that lives as long as the op. */
static bool copy_wish(struct session *session, struct op *op, const struct wish *wish) {
    struct server *server = session_server(session);
    bool sets = store_op_takes_value(wish->op);
    uint64_t *hashes = malloc(wish->count * sizeof(*hashes));
    bool *repeated = calloc(wish->count, sizeof(*repeated));
    bool made = hashes != NULL && repeated != NULL;
    size_t bytes = wish->more.compare.len;
    for (uint32_t i = 0; made && i < wish->count; i++) {
        hashes[i] = cache_hash(server->cache, wish->keys[i * wish->step]);
        bytes += wish->keys[i * wish->step].len + (sets ? wish->values[i * wish->step].len : 0);
    }
    if (made && sets && wish->count > 1)
        made = mark_repeats(wish, hashes, repeated);
    op->spans =
        made ? malloc(wish->count * (2 * sizeof(struct span) + sizeof(uint64_t)) + bytes) : NULL;
    if (op->spans == NULL) {
        free(hashes);
        free(repeated);
        return false;
    }
    struct span *keys = op->spans, *values = keys + wish->count;
    uint64_t *kept_hashes = (uint64_t *)(values + wish->count);
    char *to = (char *)(kept_hashes + wish->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < wish->count; i++) {
        if (repeated[i])
            continue;
        keys[count] = copy(&to, wish->keys[i * wish->step]);
        values[count] = sets ? copy(&to, wish->values[i * wish->step]) : SPAN("");
        kept_hashes[count++] = hashes[i];
    }
    free(hashes);
    free(repeated);
    op->more = wish->more;
    op->more.compare = copy(&to, wish->more.compare);
    op->write = (struct through_write){.op = wish->op,
                                       .want_old = wish->want_old,
                                       .more = wish->has_more ? &op->more : NULL,
                                       .count = count,
                                       .keys = keys,
                                       .values = values,
                                       .hashes = kept_hashes,
                                       .done = on_done,
                                       .released = on_released};
    return true;
}

/* ---- answering ---- */

static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack) {
    struct op *op = (struct op *)((char *)write - offsetof(struct op, write));
    if (op->session == NULL)
        return;
    bool done = status == THROUGH_DONE;
    bool own = done && !write->overwritten && ack->cacheable; /* else another server's versions */
    for (uint32_t i = 0; own && i < write->count; i++)
        session_wrote(op, write->keys[i], ack->versions[i]);
    struct buf *out = session_late(op);
    if (done) {
        const struct wish wish = {.command = op->command,
                                  .want_old = write->want_old,
                                  .is_conditional = op->is_conditional};
        session_server(op->session)->errors += !wish_reply(&wish, op->proto, ack, out);
    } else {
        session_server(op->session)->errors++;
        reply_error(out, (enum reply_error)handlers_error_of(status),
                    ack != NULL ? ack->detail : NULL);
    }
    session_late_done(op);
}

static void on_released(struct through_write *write) {
    op_free((struct op *)((char *)write - offsetof(struct op, write)));
}

/* ---- the commands ---- */

static void submit(struct session *session, int id, const struct wish *wish) {
    struct server *server = session_server(session);
    struct op *op = op_new(session, id);
    if (op == NULL || !copy_wish(session, op, wish)) {
        if (op != NULL)
            op_free(op);
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    op->is_conditional = wish->is_conditional;
    op->outlives_session = true;
    enum through_status status =
        through_write(server->through, conn_loop_now_us(server->loop) / 1000, &op->write);
    if (status == THROUGH_PENDING) {
        session_defer(session, op);
        return;
    }
    op_free(op);
    handlers_fail(session, handlers_error_of(status), NULL);
}

void handlers_write(struct session *session, int id, const struct span *argv, uint32_t argc) {
    struct server *server = session_server(session);
    struct wish wish;
    if (!wish_parse(server->conf, id, argv, argc, &wish, session_out(session)))
        server->errors++;
    else if (wish.is_read)
        handlers_read(session, id, argv, argc);
    else
        submit(session, id, &wish);
}
