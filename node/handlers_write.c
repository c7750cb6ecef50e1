/* Commands that write: checked, copied, handed to through; answered after the commit. */
#include <stdio.h>
#include <stdlib.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "cache.h"
#include "handlers.h"
#include "json_check.h"
#include "node_conf.h"
#include "op.h"
#include "server.h"
#include "session.h"

static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack);
static void on_released(struct through_write *write);

/* What a request asks for, borrowed from its arguments. */
struct wish {
    enum store_op op;
    bool want_old, is_conditional;
    const struct span *keys;
    uint32_t count,
        step; /* keys[0], keys[step] ...; values one behind each key if step is 2 or it sets */
    const struct span *value;
};

/* ---- SET's options ---- */

static bool is_word(struct span word, const char *name) {
    return span_equal_nocase(word, span_str(name));
}

/* Returns false with the error written. An option that is not built is refused, never dropped. */
static bool parse_set(struct session *session, const struct span *argv, uint32_t argc,
                      struct wish *wish) {
    static const char *const NOT_BUILT[] = {"EX", "PX", "EXAT", "PXAT", "KEEPTTL"};
    for (uint32_t i = 3; i < argc; i++) {
        bool nx = is_word(argv[i], "NX"), xx = is_word(argv[i], "XX");
        if ((nx && wish->op == STORE_SET_XX) || (xx && wish->op == STORE_SET_NX)) {
            handlers_fail(session, REPLY_SYNTAX, NULL);
            return false;
        }
        if (nx || xx) {
            wish->op = nx ? STORE_SET_NX : STORE_SET_XX;
            wish->is_conditional = true;
            continue;
        }
        if (is_word(argv[i], "GET")) {
            wish->want_old = true;
            continue;
        }
        for (size_t n = 0; n < sizeof(NOT_BUILT) / sizeof(NOT_BUILT[0]); n++) {
            if (is_word(argv[i], NOT_BUILT[n])) {
                handlers_fail(session, REPLY_NOT_BUILT, NOT_BUILT[n]);
                return false;
            }
        }
        handlers_fail(session, REPLY_SYNTAX, NULL);
        return false;
    }
    return true;
}

static bool check_value(struct session *session, struct span value) {
    const struct node_conf *conf = session_server(session)->conf;
    char why[200];
    if (value.len > (size_t)conf->value_bytes_max) {
        session_server(session)->errors++;
        reply_error_number(session_out(session), REPLY_VALUE_LONG, (uint64_t)conf->value_bytes_max);
        return false;
    }
    if (!span_is_text(value)) {
        handlers_fail(session, REPLY_NOT_TEXT, NULL);
        return false;
    }
    if (conf->payload_format == NODE_PAYLOAD_JSON && !json_check(value, why, sizeof(why))) {
        handlers_fail(session, REPLY_NOT_JSON, why);
        return false;
    }
    return true;
}

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

/* Keys, values and hashes in one block that lives as long as the op. */
static bool copy_wish(struct session *session, struct op *op, const struct wish *wish) {
    struct server *server = session_server(session);
    bool sets = wish->op != STORE_DELETE;
    uint64_t *hashes = malloc(wish->count * sizeof(*hashes));
    bool *repeated = calloc(wish->count, sizeof(*repeated));
    bool made = hashes != NULL && repeated != NULL;
    size_t bytes = 0;
    for (uint32_t i = 0; made && i < wish->count; i++) {
        hashes[i] = cache_hash(server->cache, wish->keys[i * wish->step]);
        bytes += wish->keys[i * wish->step].len + (sets ? wish->value[i * wish->step].len : 0);
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
        struct span key = wish->keys[i * wish->step],
                    value = sets ? wish->value[i * wish->step] : span_of("", 0);
        memcpy(to, key.ptr, key.len);
        keys[count] = span_of(to, key.len);
        to += key.len;
        if (value.len != 0)
            memcpy(to, value.ptr, value.len);
        values[count] = span_of(to, value.len);
        to += value.len;
        kept_hashes[count++] = hashes[i];
    }
    free(hashes);
    free(repeated);
    op->write = (struct through_write){.op = wish->op,
                                       .want_old = wish->want_old,
                                       .count = count,
                                       .keys = keys,
                                       .values = values,
                                       .hashes = kept_hashes,
                                       .done = on_done,
                                       .released = on_released};
    return true;
}

/* ---- answering ---- */

static void write_committed(const struct op *op, struct buf *out, const struct store_ack *ack) {
    if (op->write.want_old) { /* GETSET, GETDEL, SET ... GET */
        if (ack->had_old)
            resp_write_bulk(out, ack->old);
        else
            resp_write_null(out, op->proto);
        return;
    }
    switch (op->command) {
    case COMMAND_SETNX:
    case COMMAND_DEL:
    case COMMAND_UNLINK:
        resp_write_int(out, ack->changed);
        return;
    }
    if (op->is_conditional && ack->changed == 0)
        resp_write_null(out, op->proto);
    else
        resp_write_status(out, "OK");
}

static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack) {
    struct op *op = (struct op *)((char *)write - offsetof(struct op, write));
    if (op->session == NULL)
        return;
    struct buf *out = session_late(op);
    if (status == THROUGH_DONE) {
        write_committed(op, out, ack);
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
    struct wish wish = {
        .op = STORE_SET, .keys = argv + 1, .count = 1, .step = 1, .value = argv + 2};
    switch (id) {
    case COMMAND_SET:
        if (!parse_set(session, argv, argc, &wish))
            return;
        break;
    case COMMAND_SETNX:
        wish.op = STORE_SET_NX;
        break;
    case COMMAND_GETSET:
        wish.want_old = true;
        break;
    case COMMAND_MSET:
        wish.count = (argc - 1) / 2;
        wish.step = 2;
        break;
    case COMMAND_GETDEL:
        wish.op = STORE_DELETE;
        wish.want_old = true;
        break;
    case COMMAND_DEL:
    case COMMAND_UNLINK:
        wish.op = STORE_DELETE;
        wish.count = argc - 1;
        break;
    }
    for (uint32_t i = 0; wish.op != STORE_DELETE && i < wish.count; i++) {
        if (!check_value(session, wish.value[i * wish.step]))
            return;
    }
    submit(session, id, &wish);
}
