/* SCAN, FLUSHDB, FLUSHALL, and which file has the other commands about all keys. They ask the
 * table, some of them in several steps. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "node_conf.h"
#include "server.h"
#include "session.h"
#include "through.h"
#include "walk.h"

enum {
    SCAN_KEYS = 10,        /* without COUNT */
    SCAN_KEYS_MAX = 10000, /* COUNT is a hint */
    FLUSH_KEYS = 5000,     /* so many in a transaction */
};

/* ---- SCAN ---- */

static void write_scan(struct buf *out, uint64_t cursor) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
    resp_write_array(out, 2);
    resp_write_bulk(out, span_str(text));
}

static void on_scan(struct walk *walk, const struct store_answer *answer) {
    struct buf *out = walk_reply(walk);
    bool more = answer->keys_count >= walk->query.count_max;
    walk_collect(walk, answer->keys, answer->keys_count);
    if (out != NULL) {
        write_scan(out, more ? answer->last_place + 1 : 0);
        walk_write_keys(walk, out);
    }
    walk_finish(walk);
}

/* One key more than wanted was asked for. What is at the last place is left for the next step,
 * whose cursor then lies anywhere before it: the place of a key that is somebody else's tells what
 * it may be called. */
static void on_scan_scoped(struct walk *walk, const struct store_answer *answer) {
    struct buf *out = walk_reply(walk);
    bool more = answer->keys_count >= walk->query.count_max;
    bool leaves = more && answer->keys_before != 0;
    walk_collect(walk, answer->keys, leaves ? answer->keys_before : answer->keys_count);
    if (out != NULL) {
        write_scan(out, leaves ? scope_cursor(answer->place_before, answer->last_place)
                        : more ? answer->last_place + 1
                               : 0);
        walk_write_keys(walk, out);
    }
    walk_finish(walk);
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

static void scan(struct session *session, const struct scope *scope, const struct span *argv,
                 uint32_t argc) {
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
    struct walk *walk = walk_new(session, COMMAND_SCAN, scope, options.pattern);
    if (walk == NULL)
        return;
    walk->query.question = STORE_SCAN;
    walk->query.place = cursor;
    walk->query.count_max = options.count < SCAN_KEYS_MAX ? (uint32_t)options.count : SCAN_KEYS_MAX;
    if (scope->count != 0)
        walk->query.count_max++;
    walk_start(session, walk, scope->count != 0 ? on_scan_scoped : on_scan);
}

/* ---- FLUSHDB, FLUSHALL ---- */

/* Batch by batch, also when nobody waits any more. */
static void on_flush(struct walk *walk, const struct store_answer *answer) {
    walk->again = true;
    if (answer->count >= walk->query.count_max) {
        if (walk_go_behind(walk, answer->last_key))
            walk_ask(walk);
        else
            walk_fail(walk, REPLY_UNCERTAIN);
        return;
    }
    through_everything(walk->server->through);
    struct buf *out = walk_reply(walk);
    if (out != NULL)
        resp_write_status(out, "OK");
    walk_finish(walk);
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
    struct walk *walk = walk_new(session, id, &(struct scope){0}, span_of(NULL, 0));
    if (walk == NULL)
        return;
    walk->query.question = STORE_FLUSH;
    walk->query.key = SPAN("");
    walk->query.count_max = FLUSH_KEYS;
    walk_start(session, walk, on_flush);
}

/* ---- all of them ---- */

void handlers_scan(struct session *session, int id, const struct scope *scope,
                   const struct span *argv, uint32_t argc) {
    switch (id) {
    case COMMAND_SCAN:
        scan(session, scope, argv, argc);
        return;
    case COMMAND_KEYS:
    case COMMAND_RANDOMKEY:
    case COMMAND_DBSIZE:
        handlers_keys(session, id, scope, argv);
        return;
    case COMMAND_FLUSHDB:
    case COMMAND_FLUSHALL:
        if (scope->count == 0) {
            flush(session, id, argv, argc);
            return;
        }
    }
    handlers_fail(session, REPLY_INTERNAL, NULL);
}

/* RF.SCOPE count prefix ... command ... */
void handlers_scoped(struct session *session, const struct span *argv, uint32_t argc) {
    int64_t count;
    if (!span_to_int64(argv[1], &count) || count < 1 || count > (int64_t)argc - 3) {
        handlers_fail(session, REPLY_SYNTAX, NULL);
        return;
    }
    const struct scope scope = {.prefixes = argv + 2, .count = (uint32_t)count};
    uint32_t before = 2 + scope.count;
    int id = command_find(argv[before]);
    if (id < 0 || command_row(id)->first_key != 0 || !command_arity_ok(id, argc - before))
        handlers_fail(session, REPLY_SYNTAX, NULL);
    else
        handlers_scan(session, id, &scope, argv + before, argc - before);
}
