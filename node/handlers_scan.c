/* Commands about all keys: SCAN, KEYS, RANDOMKEY, FLUSHDB, FLUSHALL. They ask the table, some of
 * them in several steps, each a statement of its own. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/conn.h"
#include "../common/glob.h"
#include "../common/hash.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "node_conf.h"
#include "op.h"
#include "server.h"
#include "session.h"
#include "store.h"
#include "through.h"

enum {
    SCAN_KEYS = 10,         /* without COUNT */
    SCAN_KEYS_MAX = 10000,  /* COUNT is a hint */
    LIST_KEYS = 5000,       /* KEYS asks for so many at once */
    FLUSH_KEYS = 5000,      /* so many in a transaction */
    RANDOM_KEYS = 8,        /* one of so many neighbours */
    PREFIX_BYTES_MAX = 1024 /* as long as a key may be */
};

/* The last character, four bytes of UTF-8: a key that begins with a prefix is not behind the prefix
 * and as many of these as it may have characters. */
static const struct span LAST_CHARACTER = SPAN("\xf4\x8f\xbf\xbf");

/* A command on its way through the table. */
struct walk {
    struct store_query query;
    struct op *op;
    struct server *server;
    struct span pattern; /* of what is kept; NULL: all keys */
    struct buf keys;     /* bulk strings that were found */
    uint32_t found;
    struct buf from, until; /* what query.key and query.until borrow */
    int64_t end_mono_ms;    /* KEYS: the time it may take */
    bool again;             /* RANDOMKEY: from the beginning; FLUSH: rows have changed already */
    char text[];            /* the pattern's */
};

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer);

/* ---- beginning and end ---- */

static struct walk *walk_new(struct session *session, int id, struct span pattern) {
    struct walk *walk = calloc(1, sizeof(*walk) + pattern.len);
    struct op *op = op_new(session, id);
    if (walk == NULL || op == NULL) {
        free(walk);
        free(op);
        return NULL;
    }
    walk->op = op;
    walk->server = session_server(session);
    walk->query.done = on_answer;
    if (pattern.ptr != NULL) {
        memcpy(walk->text, pattern.ptr, pattern.len);
        walk->pattern = span_of(walk->text, pattern.len);
    }
    op->outlives_session = true;
    return walk;
}

static void walk_free(struct walk *walk) {
    walk->op->outlives_session = false;
    op_free(walk->op);
    buf_release(&walk->keys);
    buf_release(&walk->from);
    buf_release(&walk->until);
    free(walk);
}

/* The first step. */
static void start(struct session *session, struct walk *walk) {
    enum store_status status = store_ask(session_server(session)->store, &walk->query);
    if (status == STORE_OK) {
        session_defer(session, walk->op);
        return;
    }
    walk_free(walk);
    handlers_fail(session, status == STORE_BUSY ? REPLY_BUSY : REPLY_DBDOWN, NULL);
}

/* Where the reply goes, once; NULL: nobody waits for it. Then finish(). */
static struct buf *reply(struct walk *walk) {
    return walk->op->session != NULL ? session_late(walk->op) : NULL;
}

static void finish(struct walk *walk) {
    if (walk->op->session != NULL)
        session_late_done(walk->op);
    walk_free(walk);
}

static void fail(struct walk *walk, enum reply_error error) {
    struct buf *out = reply(walk);
    walk->server->errors++;
    if (out != NULL)
        reply_error(out, error, NULL);
    finish(walk);
}

/* The keys of an answer that match. */
static void collect(struct walk *walk, const struct store_answer *answer) {
    for (uint32_t i = 0; i < answer->keys_count; i++) {
        if (walk->pattern.ptr != NULL && !glob_match(walk->pattern, answer->keys[i], false))
            continue;
        resp_write_bulk(&walk->keys, answer->keys[i]);
        walk->found++;
    }
}

static void write_keys(struct walk *walk, struct buf *out) {
    resp_write_array(out, walk->found);
    out->failed = out->failed || walk->keys.failed;
    buf_append(out, walk->keys.data + walk->keys.head, buf_len(&walk->keys));
}

/* From behind this key on, in byte order: no text is between the two. */
static bool go_behind(struct walk *walk, struct span key) {
    struct buf from;
    buf_init(&from, 0);
    buf_append_span(&from, key);
    buf_append(&from, "\x01", 1);
    buf_release(&walk->from);
    walk->from = from;
    walk->query.key = span_of(from.data, buf_len(&from));
    return !from.failed;
}

/* ---- SCAN ---- */

static void write_scan(struct buf *out, uint64_t cursor) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
    resp_write_array(out, 2);
    resp_write_bulk(out, span_str(text));
}

static void on_scan(struct walk *walk, const struct store_answer *answer) {
    struct buf *out = reply(walk);
    bool more = answer->keys_count >= walk->query.count_max;
    collect(walk, answer);
    if (out != NULL) {
        write_scan(out, more ? answer->last_place + 1 : 0);
        write_keys(walk, out);
    }
    finish(walk);
}

/* As Redis reads it: any number of 64 bits; none is 0. */
static bool read_cursor(struct span text, uint64_t *out) {
    char copy[32], *end;
    if (text.len >= sizeof(copy) || (text.len != 0 && isspace((unsigned char)text.ptr[0])))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtoull(copy, &end, 10);
    return errno == 0 && end == copy + text.len;
}

struct scan_options {
    struct span pattern;
    int64_t count;
    bool no_strings; /* TYPE: something that we do not have */
};

/* Returns REPLY_ERROR_COUNT if it is fine. */
static int read_options(const struct span *argv, uint32_t argc, struct scan_options *out) {
    *out = (struct scan_options){.count = SCAN_KEYS};
    for (uint32_t i = 2; i < argc; i += 2) {
        if (i + 1 == argc)
            return REPLY_SYNTAX;
        if (span_equal_nocase(argv[i], SPAN("MATCH"))) {
            out->pattern = argv[i + 1];
        } else if (span_equal_nocase(argv[i], SPAN("TYPE"))) {
            out->no_strings = !span_equal_nocase(argv[i + 1], SPAN("string"));
        } else if (!span_equal_nocase(argv[i], SPAN("COUNT"))) {
            return REPLY_SYNTAX;
        } else {
            if (!span_to_int64(argv[i + 1], &out->count))
                return REPLY_NOT_INTEGER;
            if (out->count < 1)
                return REPLY_SYNTAX;
        }
    }
    return REPLY_ERROR_COUNT;
}

static void scan(struct session *session, const struct span *argv, uint32_t argc) {
    struct scan_options options;
    uint64_t cursor;
    if (!read_cursor(argv[1], &cursor)) {
        handlers_fail(session, REPLY_CURSOR, NULL);
        return;
    }
    int error = read_options(argv, argc, &options);
    if (error != REPLY_ERROR_COUNT) {
        handlers_fail(session, error, NULL);
        return;
    }
    if (options.no_strings || cursor >> STORE_PLACE_BITS != 0) { /* there is nothing there */
        write_scan(session_out(session), 0);
        resp_write_array(session_out(session), 0);
        return;
    }
    struct walk *walk = walk_new(session, COMMAND_SCAN, options.pattern);
    if (walk == NULL) {
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    walk->query.question = STORE_SCAN;
    walk->query.place = cursor;
    walk->query.count_max = options.count < SCAN_KEYS_MAX ? (uint32_t)options.count : SCAN_KEYS_MAX;
    start(session, walk);
}

/* ---- KEYS ---- */

static void on_list(struct walk *walk, const struct store_answer *answer) {
    collect(walk, answer);
    if (walk->op->session == NULL) { /* nobody waits for the rest */
        finish(walk);
    } else if (walk->found > (uint64_t)walk->server->conf->keys_max) {
        walk->server->errors++;
        reply_error_number(reply(walk), REPLY_KEYS_MAX, (uint64_t)walk->server->conf->keys_max);
        finish(walk);
    } else if (answer->keys_count < walk->query.count_max) {
        write_keys(walk, reply(walk));
        finish(walk);
    } else if (conn_loop_now_us(walk->server->loop) / 1000 >= walk->end_mono_ms) {
        fail(walk, REPLY_TIMEOUT);
    } else if (!go_behind(walk, answer->keys[answer->keys_count - 1])) {
        fail(walk, REPLY_OOM);
    } else if (store_ask(walk->server->store, &walk->query) != STORE_OK) {
        fail(walk, REPLY_DBDOWN);
    }
}

/* What all keys that match begin with, as far as that is text. */
static struct span prefix_of(struct span pattern) {
    size_t len = 0;
    while (len < pattern.len && len < PREFIX_BYTES_MAX &&
           memchr("*?[\\", pattern.ptr[len], 4) == NULL)
        len++;
    while (len != 0 && !span_is_text(span_of(pattern.ptr, len)))
        len--;
    return span_of(pattern.ptr, len);
}

static void list(struct session *session, struct span pattern) {
    struct server *server = session_server(session);
    struct walk *walk = walk_new(session, COMMAND_KEYS, pattern);
    if (walk == NULL) {
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    struct span prefix = prefix_of(walk->pattern);
    buf_append_span(&walk->until, prefix);
    for (size_t bytes = 0; bytes < PREFIX_BYTES_MAX; bytes += LAST_CHARACTER.len)
        buf_append_span(&walk->until, LAST_CHARACTER);
    if (walk->until.failed) {
        walk_free(walk);
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    walk->end_mono_ms = conn_loop_now_us(server->loop) / 1000 + server->conf->read_timeout_ms;
    walk->query.question = STORE_LIST;
    walk->query.key = prefix;
    walk->query.until = span_of(buf_head(&walk->until), buf_len(&walk->until));
    walk->query.count_max = LIST_KEYS;
    start(session, walk);
}

/* ---- RANDOMKEY ---- */

static void on_random(struct walk *walk, const struct store_answer *answer) {
    if (answer->keys_count == 0 && !walk->again) { /* from there on there was none */
        walk->again = true;
        walk->query.place = 0;
        if (store_ask(walk->server->store, &walk->query) != STORE_OK)
            fail(walk, REPLY_DBDOWN);
        return;
    }
    struct buf *out = reply(walk);
    if (out != NULL && answer->keys_count != 0)
        resp_write_bulk(out, answer->keys[hash_seed() % answer->keys_count]);
    else if (out != NULL)
        resp_write_null(out, walk->op->proto);
    finish(walk);
}

static void random_key(struct session *session) {
    struct walk *walk = walk_new(session, COMMAND_RANDOMKEY, span_of(NULL, 0));
    if (walk == NULL) {
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    walk->query.question = STORE_SCAN;
    walk->query.place = hash_seed() >> (64 - STORE_PLACE_BITS);
    walk->query.count_max = RANDOM_KEYS;
    start(session, walk);
}

/* ---- FLUSHDB, FLUSHALL ---- */

/* Batch by batch, also when nobody waits any more. */
static void on_flush(struct walk *walk, const struct store_answer *answer) {
    walk->again = true;
    if (answer->count >= walk->query.count_max) {
        if (!go_behind(walk, answer->last_key) ||
            store_ask(walk->server->store, &walk->query) != STORE_OK)
            fail(walk, REPLY_UNCERTAIN);
        return;
    }
    through_everything(walk->server->through);
    struct buf *out = reply(walk);
    if (out != NULL)
        resp_write_status(out, "OK");
    finish(walk);
}

static void flush(struct session *session, int id, const struct span *argv, uint32_t argc) {
    if (argc > 2 || (argc == 2 && !span_equal_nocase(argv[1], SPAN("ASYNC")) &&
                     !span_equal_nocase(argv[1], SPAN("SYNC")))) {
        handlers_fail(session, REPLY_SYNTAX, NULL);
        return;
    }
    if (!session_server(session)->conf->allow_flush) {
        handlers_fail(session, REPLY_FLUSH, NULL);
        return;
    }
    struct walk *walk = walk_new(session, id, span_of(NULL, 0));
    if (walk == NULL) {
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    walk->query.question = STORE_FLUSH;
    walk->query.key = SPAN("");
    walk->query.count_max = FLUSH_KEYS;
    start(session, walk);
}

/* ---- all of them ---- */

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer) {
    struct walk *walk = (struct walk *)query;
    bool flushes = query->question == STORE_FLUSH;
    if (status != STORE_OK) { /* of a statement that changes rows the outcome is not known */
        bool unknown = flushes && (walk->again || status == STORE_FAILED);
        if (unknown)
            through_everything(walk->server->through);
        fail(walk, unknown                  ? REPLY_UNCERTAIN
                   : status == STORE_BUSY   ? REPLY_BUSY
                   : status == STORE_LOCKED ? REPLY_LOCKED
                                            : REPLY_DBDOWN);
        return;
    }
    switch (walk->op->command) {
    case COMMAND_SCAN:
        on_scan(walk, answer);
        return;
    case COMMAND_KEYS:
        on_list(walk, answer);
        return;
    case COMMAND_RANDOMKEY:
        on_random(walk, answer);
        return;
    case COMMAND_FLUSHDB:
    case COMMAND_FLUSHALL:
        on_flush(walk, answer);
        return;
    }
}

void handlers_scan(struct session *session, int id, const struct span *argv, uint32_t argc) {
    switch (id) {
    case COMMAND_SCAN:
        scan(session, argv, argc);
        return;
    case COMMAND_KEYS:
        list(session, argv[1]);
        return;
    case COMMAND_RANDOMKEY:
        random_key(session);
        return;
    case COMMAND_FLUSHDB:
    case COMMAND_FLUSHALL:
        flush(session, id, argv, argc);
        return;
    }
    handlers_fail(session, REPLY_INTERNAL, NULL);
}
