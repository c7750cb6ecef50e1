/*
 * hiredis, the C client: its synchronous calls, its pipelines, and its asynchronous calls over
 * libevent.
 */
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIPELINED = 1000, ASYNC_CONNECTIONS = 10, ASYNC_EACH = 200, BIG_BYTES = 1 << 20 };

static int passed, failed;
static char prefix[64];

static void check(const char *name, bool good) {
    *(good ? &passed : &failed) += 1;
    printf("%s - %s\n", good ? "ok" : "not ok", name);
}

/* ---- replies ---- */

static bool is_text(const redisReply *r, int type, const char *text) {
    return r != NULL && r->type == type && r->len == strlen(text) &&
           memcmp(r->str, text, r->len) == 0;
}

static bool is_int(const redisReply *r, long long n) {
    return r != NULL && r->type == REDIS_REPLY_INTEGER && r->integer == n;
}

/* A command in hiredis' format (%b: bytes and a length), and a check of its reply. */
static void expect_text(redisContext *c, const char *name, int type, const char *text,
                        const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    redisReply *r = redisvCommand(c, fmt, args);
    va_end(args);
    check(name, is_text(r, type, text));
    if (r != NULL)
        freeReplyObject(r);
}

/* ---- synchronous ---- */

static void strings(redisContext *c) {
    expect_text(c, "PING", REDIS_REPLY_STATUS, "PONG", "PING");
    expect_text(c, "SET", REDIS_REPLY_STATUS, "OK", "SET %ss %s", prefix, "one two");
    expect_text(c, "GET", REDIS_REPLY_STRING, "one two", "GET %ss", prefix);
    expect_text(c, "an empty value", REDIS_REPLY_STATUS, "OK", "SET %ss %s", prefix, "");
    expect_text(c, "comes back", REDIS_REPLY_STRING, "", "GET %ss", prefix);
    expect_text(c, "a value with line breaks", REDIS_REPLY_STATUS, "OK", "SET %ss %b", prefix,
                "a\r\n$1\r\n", (size_t)7);
    expect_text(c, "comes back", REDIS_REPLY_STRING, "a\r\n$1\r\n", "GET %ss", prefix);
    expect_text(c, "an error", REDIS_REPLY_ERROR, "ERR wrong number of arguments for 'get' command",
                "GET");
    expect_text(c, "not text", REDIS_REPLY_ERROR, "ERR value is not valid UTF-8 text", "SET %ss %b",
                prefix, "\xff\0", (size_t)2);
    redisReply *r = redisCommand(c, "GET %snone", prefix);
    check("absent is nil", r != NULL && r->type == REDIS_REPLY_NIL);
    freeReplyObject(r);
    r = redisCommand(c, "DEL %ss %snone", prefix, prefix);
    check("DEL counts", is_int(r, 1));
    freeReplyObject(r);
}

static void arrays(redisContext *c) {
    expect_text(c, "MSET", REDIS_REPLY_STATUS, "OK", "MSET %sa A %sb B %sc C", prefix, prefix,
                prefix);
    redisReply *r = redisCommand(c, "MGET %sa %snone %sc", prefix, prefix, prefix);
    check("MGET is an array with nil", r != NULL && r->type == REDIS_REPLY_ARRAY &&
                                           r->elements == 3 &&
                                           is_text(r->element[0], REDIS_REPLY_STRING, "A") &&
                                           r->element[1]->type == REDIS_REPLY_NIL &&
                                           is_text(r->element[2], REDIS_REPLY_STRING, "C"));
    freeReplyObject(r);
    r = redisCommand(c, "COMMAND");
    check("COMMAND is an array of arrays", r != NULL && r->type == REDIS_REPLY_ARRAY &&
                                               r->elements > 20 &&
                                               r->element[0]->type == REDIS_REPLY_ARRAY);
    freeReplyObject(r);
}

static void big(redisContext *c) {
    char *text = malloc(BIG_BYTES + 1);
    memset(text, 'x', BIG_BYTES);
    text[BIG_BYTES] = '\0';
    expect_text(c, "SET of 1 MiB", REDIS_REPLY_STATUS, "OK", "SET %sbig %b", prefix, text,
                (size_t)BIG_BYTES);
    expect_text(c, "and GET", REDIS_REPLY_STRING, text, "GET %sbig", prefix);
    free(text);
}

static void pipeline(redisContext *c) {
    int wrong = 0;
    for (int i = 0; i < PIPELINED; i++) {
        redisAppendCommand(c, "SET %sp%d %d", prefix, i % 7, i);
        redisAppendCommand(c, "GET %sp%d", prefix, i % 7);
    }
    for (int i = 0; i < PIPELINED; i++) {
        redisReply *set = NULL, *get = NULL;
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "%d", i);
        if (redisGetReply(c, (void **)&set) != REDIS_OK ||
            redisGetReply(c, (void **)&get) != REDIS_OK)
            break;
        wrong +=
            !is_text(set, REDIS_REPLY_STATUS, "OK") || !is_text(get, REDIS_REPLY_STRING, wanted);
        freeReplyObject(set);
        freeReplyObject(get);
    }
    check("a pipeline of 2000 sees its own writes, in order", c->err == 0 && wrong == 0);
}

static void protocol_error(int port) {
    static const char BAD[] = "*1\r\n+no\r\n";
    redisContext *c = redisConnect("127.0.0.1", port);
    redisReply *r = NULL;
    check("bad bytes are sent", write(c->fd, BAD, sizeof(BAD) - 1) == (ssize_t)sizeof(BAD) - 1);
    check("and told about",
          redisGetReply(c, (void **)&r) == REDIS_OK &&
              is_text(r, REDIS_REPLY_ERROR, "ERR Protocol error: expected '$', got '+'"));
    if (r != NULL)
        freeReplyObject(r);
    r = NULL;
    check("and the connection is closed",
          redisGetReply(c, (void **)&r) == REDIS_ERR && c->err == REDIS_ERR_EOF);
    redisFree(c);
}

static void synchronous(int port) {
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){.tv_sec = 5});
    if (c == NULL || c->err != 0) {
        check("connect", false);
        return;
    }
    redisSetTimeout(c, (struct timeval){.tv_sec = 30});
    strings(c);
    arrays(c);
    big(c);
    pipeline(c);
    check("reconnect", redisReconnect(c) == REDIS_OK);
    expect_text(c, "and go on", REDIS_REPLY_STRING, "A", "GET %sa", prefix);
    expect_text(c, "QUIT", REDIS_REPLY_STATUS, "OK", "QUIT");
    redisFree(c);
    protocol_error(port);
}

/* ---- asynchronous ---- */

struct caller {
    redisAsyncContext *c;
    struct event_base *base;
    int *here; /* of all callers */
    int number, sent, answered, wrong;
    bool connected, left;
};

static void ask(struct caller *caller);

static void on_get(redisAsyncContext *c, void *reply, void *ctx) {
    struct caller *caller = ctx;
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%d/%d", caller->number, caller->answered++);
    caller->wrong += !is_text(reply, REDIS_REPLY_STRING, wanted);
    if (caller->answered == ASYNC_EACH)
        redisAsyncDisconnect(c);
    else if (caller->sent < ASYNC_EACH)
        ask(caller);
}

/* A write and a read of it, sent together. */
static void ask(struct caller *caller) {
    redisAsyncCommand(caller->c, NULL, NULL, "SET %sx%d %d/%d", prefix, caller->number,
                      caller->number, caller->sent);
    redisAsyncCommand(caller->c, on_get, caller, "GET %sx%d", prefix, caller->number);
    caller->sent++;
}

static void on_connect(const redisAsyncContext *c, int status) {
    ((struct caller *)c->data)->connected = status == REDIS_OK;
}

static void on_disconnect(const redisAsyncContext *c, int status) {
    struct caller *caller = c->data;
    caller->left = status == REDIS_OK;
    if (--*caller->here == 0)
        event_base_loopbreak(caller->base);
}

static void asynchronous(int port) {
    struct caller callers[ASYNC_CONNECTIONS] = {0};
    struct event_base *base = event_base_new();
    int here = ASYNC_CONNECTIONS;
    for (int i = 0; i < ASYNC_CONNECTIONS; i++) {
        struct caller *caller = &callers[i];
        caller->number = i;
        caller->base = base;
        caller->here = &here;
        caller->c = redisAsyncConnect("127.0.0.1", port);
        caller->c->data = caller;
        redisLibeventAttach(caller->c, base);
        redisAsyncSetConnectCallback(caller->c, on_connect);
        redisAsyncSetDisconnectCallback(caller->c, on_disconnect);
        for (int n = 0; n < 8; n++)
            ask(caller);
    }
    event_base_loopexit(base, &(struct timeval){.tv_sec = 60}); /* only if something hangs */
    event_base_dispatch(base);
    int connected = 0, answered = 0, wrong = 0, left = 0;
    for (int i = 0; i < ASYNC_CONNECTIONS; i++) {
        connected += callers[i].connected;
        answered += callers[i].answered;
        wrong += callers[i].wrong;
        left += callers[i].left;
    }
    check("async: all connect", connected == ASYNC_CONNECTIONS);
    check("async: all are answered, each with its own value",
          answered == ASYNC_CONNECTIONS * ASYNC_EACH && wrong == 0);
    check("async: all leave in order", left == ASYNC_CONNECTIONS);
    event_base_free(base);
}

int main(void) {
    const char *port = getenv("RF_PROXY_PORT");
    if (port == NULL) {
        fprintf(stderr, "RF_PROXY_PORT is not set\n");
        return 2;
    }
    snprintf(prefix, sizeof(prefix), "hiredis:%ld:", (long)getpid());
    synchronous(atoi(port));
    asynchronous(atoi(port));
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
