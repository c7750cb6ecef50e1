/* KEYS, RANDOMKEY, and DBSIZE for somebody who has some of the keys: they walk through parts of the
 * table, in the order of the keys' bytes. */
#include <string.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "node_conf.h"
#include "op.h"
#include "server.h"
#include "session.h"
#include "walk.h"

enum {
    LIST_KEYS = 5000,    /* KEYS asks for so many at once */
    TALLY_KEYS = 20000,  /* DBSIZE counts so many at once */
    RANDOM_KEYS = 8,     /* one of so many neighbours */
    RANDOM_AMONG = 1000, /* and of so many where some are not its own */
};

/* What all keys that match begin with, as far as that is text. */
static struct span plain_of(struct span pattern) {
    size_t len = 0;
    while (len < pattern.len && memchr("*?[\\", pattern.ptr[len], 4) == NULL)
        len++;
    return scope_text(span_of(pattern.ptr, len));
}

/* Starts with the first part of the table, if there is any. */
static void start(struct session *session, struct walk *walk,
                  void (*step)(struct walk *walk, const struct store_answer *answer)) {
    const struct server *server = session_server(session);
    walk->end_mono_ms = conn_loop_now_us(server->loop) / 1000 + server->conf->read_timeout_ms;
    switch (walk_range(walk, plain_of(walk->pattern))) {
    case 1:
        walk_start(session, walk, step);
        return;
    case 0:
        walk_write_keys(walk, session_out(session));
        break;
    default:
        handlers_fail(session, REPLY_OOM, NULL);
    }
    walk_drop(walk);
}

/* Goes on behind `last`, if this part of the table is not over, else with the next part. True: it
 * goes on, or has failed. False: that was all of it. */
static bool go_on(struct walk *walk, bool is_over, struct span last) {
    bool fine = true;
    if (is_over) {
        int more = walk_range(walk, plain_of(walk->pattern));
        if (more == 0)
            return false;
        fine = more == 1;
    } else {
        fine = walk_go_behind(walk, last);
    }
    if (fine)
        walk_ask(walk);
    else
        walk_fail(walk, REPLY_OOM);
    return true;
}

/* ---- KEYS ---- */

static void on_list(struct walk *walk, const struct store_answer *answer) {
    uint32_t count = answer->keys_count;
    uint64_t most = (uint64_t)walk->server->conf->keys_max;
    walk_collect(walk, answer->keys, count);
    if (walk->op->session == NULL) { /* nobody waits for the rest */
        walk_finish(walk);
    } else if (walk->found > most) {
        walk->server->errors++;
        reply_error_number(walk_reply(walk), REPLY_KEYS_MAX, most);
        walk_finish(walk);
    } else if (!go_on(walk, count < walk->query.count_max,
                      count != 0 ? answer->keys[count - 1] : SPAN(""))) {
        walk_write_keys(walk, walk_reply(walk));
        walk_finish(walk);
    }
}

static void list(struct session *session, const struct scope *scope, struct span pattern) {
    struct walk *walk = walk_new(session, COMMAND_KEYS, scope, pattern);
    if (walk == NULL)
        return;
    walk->query.question = STORE_LIST;
    walk->query.count_max = LIST_KEYS;
    start(session, walk, on_list);
}

/* ---- DBSIZE ---- */

static void on_tally(struct walk *walk, const struct store_answer *answer) {
    walk->found += (uint64_t)answer->count;
    if (walk->op->session == NULL) {
        walk_finish(walk);
    } else if (!go_on(walk, answer->count < walk->query.count_max, answer->last_key)) {
        resp_write_int(walk_reply(walk), (int64_t)walk->found);
        walk_finish(walk);
    }
}

static void tally(struct session *session, const struct scope *scope) {
    struct walk *walk = walk_new(session, COMMAND_DBSIZE, scope, span_of(NULL, 0));
    if (walk == NULL)
        return;
    walk->query.question = STORE_TALLY;
    walk->query.count_max = TALLY_KEYS;
    start(session, walk, on_tally);
}

/* ---- RANDOMKEY ---- */

/* One of all that are kept, each as likely as any other, into walk->keys. */
static void choose(struct walk *walk, const struct store_answer *answer) {
    for (uint32_t i = 0; i < answer->keys_count; i++) {
        if (!walk_keeps(walk, answer->keys[i]) || hash_seed() % ++walk->found != 0)
            continue;
        buf_release(&walk->keys);
        resp_write_bulk(&walk->keys, answer->keys[i]);
    }
}

static void on_random(struct walk *walk, const struct store_answer *answer) {
    choose(walk, answer);
    if (walk->found == 0 && !walk->again) { /* from there on there was none */
        walk->again = true;
        walk->query.place = 0;
        walk_ask(walk);
        return;
    }
    struct buf *out = walk_reply(walk);
    if (out != NULL && walk->found != 0) {
        out->failed = out->failed || walk->keys.failed;
        buf_append(out, walk->keys.data + walk->keys.head, buf_len(&walk->keys));
    } else if (out != NULL) {
        resp_write_null(out, walk->op->proto);
    }
    walk_finish(walk);
}

/* Where none of so many neighbours is its own, one of the first of each part of the table. */
static void on_random_scoped(struct walk *walk, const struct store_answer *answer) {
    static const struct store_answer NOTHING;
    choose(walk, answer);
    bool goes_on = walk->again || walk->found == 0;
    walk->again = true;
    walk->query.question = STORE_LIST;
    if (!goes_on || !go_on(walk, true, SPAN("")))
        on_random(walk, &NOTHING);
}

static void random_key(struct session *session, const struct scope *scope) {
    struct walk *walk = walk_new(session, COMMAND_RANDOMKEY, scope, span_of(NULL, 0));
    if (walk == NULL)
        return;
    walk->query.question = STORE_SCAN;
    walk->query.place = hash_seed() >> (64 - STORE_PLACE_BITS);
    walk->query.count_max = scope->count != 0 ? RANDOM_AMONG : RANDOM_KEYS;
    walk_start(session, walk, scope->count != 0 ? on_random_scoped : on_random);
}

/* ---- all of them ---- */

void handlers_keys(struct session *session, int id, const struct scope *scope,
                   const struct span *argv) {
    if (id == COMMAND_KEYS)
        list(session, scope, argv[1]);
    else if (id == COMMAND_DBSIZE)
        tally(session, scope);
    else
        random_key(session, scope);
}
