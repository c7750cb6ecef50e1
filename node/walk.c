#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "../common/conn.h"
#include "../common/glob.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "op.h"
#include "server.h"
#include "session.h"
#include "through.h"

/* The last character, four bytes of UTF-8: a key that begins with a prefix is not behind the prefix
 * and as many of these as it may have characters. */
static const struct span LAST_CHARACTER = SPAN("\xf4\x8f\xbf\xbf");

/* ---- beginning and end ---- */

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer) {
    struct walk *walk = (struct walk *)query;
    if (status == STORE_OK) {
        walk->step(walk, answer);
        return;
    }
    /* Of a statement that changes rows the outcome is not known. */
    bool unknown =
        store_question_changes(query->question) && (walk->again || status == STORE_FAILED);
    if (unknown)
        through_everything(walk->server->through);
    walk_fail(walk, unknown                  ? REPLY_UNCERTAIN
                    : status == STORE_BUSY   ? REPLY_BUSY
                    : status == STORE_LOCKED ? REPLY_LOCKED
                                             : REPLY_DBDOWN);
}

static struct span keep(char **to, struct span bytes) {
    char *at = *to;
    if (bytes.len != 0)
        memcpy(at, bytes.ptr, bytes.len);
    *to += bytes.len;
    return span_of(at, bytes.len);
}

struct walk *walk_new(struct session *session, int id, const struct scope *scope,
                      struct span pattern) {
    size_t bytes = pattern.len;
    for (uint32_t i = 0; i < scope->count; i++)
        bytes += scope->prefixes[i].len;
    struct walk *walk = calloc(1, sizeof(*walk) + scope->count * sizeof(walk->prefixes[0]) + bytes);
    struct op *op = op_new(session, id);
    if (walk == NULL || op == NULL) {
        free(walk);
        free(op);
        handlers_fail(session, REPLY_OOM, NULL);
        return NULL;
    }
    walk->op = op;
    walk->server = session_server(session);
    walk->query.done = on_answer;
    char *text = (char *)(walk->prefixes + scope->count);
    for (uint32_t i = 0; i < scope->count; i++)
        walk->prefixes[i] = keep(&text, scope->prefixes[i]);
    walk->scope = (struct scope){.prefixes = walk->prefixes, .count = scope->count};
    if (pattern.ptr != NULL)
        walk->pattern = keep(&text, pattern);
    op->outlives_session = true;
    return walk;
}

void walk_drop(struct walk *walk) {
    walk->op->outlives_session = false;
    op_free(walk->op);
    buf_release(&walk->keys);
    buf_release(&walk->from);
    buf_release(&walk->until);
    free(walk);
}

void walk_start(struct session *session, struct walk *walk,
                void (*step)(struct walk *walk, const struct store_answer *answer)) {
    walk->step = step;
    enum store_status status = store_ask(walk->server->store, &walk->query);
    if (status == STORE_OK) {
        session_defer(session, walk->op);
        return;
    }
    walk_drop(walk);
    handlers_fail(session, status == STORE_BUSY ? REPLY_BUSY : REPLY_DBDOWN, NULL);
}

struct buf *walk_reply(struct walk *walk) {
    return walk->op->session != NULL ? session_late(walk->op) : NULL;
}

void walk_finish(struct walk *walk) {
    if (walk->op->session != NULL)
        session_late_done(walk->op);
    walk_drop(walk);
}

void walk_fail(struct walk *walk, int error) {
    struct buf *out = walk_reply(walk);
    walk->server->errors++;
    if (out != NULL)
        reply_error(out, (enum reply_error)error, NULL);
    walk_finish(walk);
}

void walk_ask(struct walk *walk) {
    if (walk->end_mono_ms != 0 &&
        conn_loop_now_us(walk->server->loop) / 1000 >= walk->end_mono_ms) {
        walk_fail(walk, REPLY_TIMEOUT);
        return;
    }
    if (store_ask(walk->server->store, &walk->query) == STORE_OK)
        return;
    walk_fail(walk, store_question_changes(walk->query.question) ? REPLY_UNCERTAIN : REPLY_DBDOWN);
}

/* ---- keys ---- */

bool walk_keeps(const struct walk *walk, struct span key) {
    return scope_covers(&walk->scope, key) &&
           (walk->pattern.ptr == NULL || glob_match(walk->pattern, key, false));
}

void walk_collect(struct walk *walk, const struct span *keys, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!walk_keeps(walk, keys[i]))
            continue;
        resp_write_bulk(&walk->keys, keys[i]);
        walk->found++;
    }
}

void walk_write_keys(struct walk *walk, struct buf *out) {
    resp_write_array(out, walk->found);
    out->failed = out->failed || walk->keys.failed;
    buf_append(out, walk->keys.data + walk->keys.head, buf_len(&walk->keys));
}

bool walk_go_behind(struct walk *walk, struct span key) {
    struct buf from;
    buf_init(&from, 0);
    buf_append_span(&from, key);
    buf_append(&from, "\x01", 1); /* no text is between the two */
    buf_release(&walk->from);
    walk->from = from;
    walk->query.key = span_of(from.data, buf_len(&from));
    return !from.failed;
}

int walk_range(struct walk *walk, struct span plain) {
    struct span prefix;
    if (!scope_range(&walk->scope, plain, &walk->range, &prefix))
        return 0;
    buf_release(&walk->until);
    buf_append_span(&walk->until, prefix);
    for (size_t bytes = 0; bytes < SCOPE_KEY_BYTES_MAX; bytes += LAST_CHARACTER.len)
        buf_append_span(&walk->until, LAST_CHARACTER);
    walk->query.key = prefix; /* of the walk's own copies */
    walk->query.until = span_of(buf_head(&walk->until), buf_len(&walk->until));
    return walk->until.failed ? -1 : 1;
}
