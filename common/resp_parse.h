/*
 * resp_parse: RESP2, RESP3 and inline, as functions over bytes. Knows no sockets and no commands.
 * Requests are parsed in place; replies are either only measured (the proxy forwards their bytes)
 * or built into a tree (ctl, tests, load generator). What hiredis' reader accepts or refuses as a
 * reply, ours does too. Source: https://redis.io/docs/reference/protocol-spec/
 */
#ifndef RINGFENCE_RESP_PARSE_H
#define RINGFENCE_RESP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum resp_result { RESP_ERROR = -1, RESP_PARTIAL = 0, RESP_OK = 1 };

/* ---- requests ---- */

enum { RESP_ARGS_INLINE = 8 };

struct resp_limits {
    uint32_t args_max;         /* arguments of one request */
    uint32_t bulk_bytes_max;   /* bytes of one argument */
    uint32_t inline_bytes_max; /* bytes of one inline request, or of one header line */
    bool before_auth;          /* say that these limits are those of somebody unknown */
};

/* A request that was parsed whole. Everything borrows from the bytes given and from the parser:
 * valid until the next call. */
struct resp_request {
    const struct span *argv;
    uint32_t argc;  /* 0: an empty line or *0, to be skipped */
    size_t size;    /* bytes of the input that the request took */
    bool is_inline; /* its bytes cannot be forwarded as they are: write it anew from argv */
};

/* An argument: while its request is incomplete, where it lies, counted from the first byte of the
 * request, since the bytes may move between calls; a span over it once the request is whole. */
union resp_slot {
    struct {
        uint32_t at, len;
    } offset;
    struct span span;
};

/* One connection's parser. Fields are private to resp_request.c; embedded by value. */
struct resp_parser {
    size_t pos;                  /* bytes of the current request understood so far */
    size_t seen;                 /* bytes of it that were searched for the end of a line */
    uint32_t argc;               /* arguments found */
    uint32_t args_left;          /* arguments still to come; not 0: inside a multibulk */
    int64_t bulk_len;            /* >= 0: length of the argument at pos, whose header was read */
    uint32_t cap;                /* of slots_heap */
    char error_room[28];         /* for the one text that is not fixed */
    const char *error;           /* after RESP_ERROR: text for "ERR Protocol error: <text>" */
    char *unquoted;              /* arguments of an inline request, without their quotes */
    union resp_slot *slots_heap; /* NULL: the arguments are in slots_inline */
    union resp_slot slots_inline[RESP_ARGS_INLINE];
};

/** resp_parser_init(p): ready for the first request; holds no memory. */
void resp_parser_init(struct resp_parser *p);

/** resp_parser_release(p): free what it holds. */
void resp_parser_release(struct resp_parser *p);

/**
 * resp_parse_request(p, data, len, limits, out): take one request from the front of `data`.
 * RESP_OK: `out` is filled; the next call starts behind out->size bytes. RESP_PARTIAL: call again
 * with the same bytes and more behind them (they may have moved; nothing is scanned twice).
 * RESP_ERROR: p->error says why, in Redis' words; the connection must be closed after the reply
 * (also "out of memory" is such an error). Cost: O(new bytes); allocates only above
 * RESP_ARGS_INLINE arguments or for inline requests.
 */
enum resp_result resp_parse_request(struct resp_parser *p, const char *data, size_t len,
                                    const struct resp_limits *limits, struct resp_request *out);

/* ---- replies, measured ---- */

enum { RESP_DEPTH_MAX = 8 /* aggregates within each other, as in hiredis 0.14 */ };

/* One connection's state while a reply is incomplete; private to resp_scan.c; embedded by value.
 * Zero is the initial state. */
struct resp_scan {
    size_t pos;                   /* bytes of the reply understood so far */
    size_t need;                  /* with fewer bytes than this nothing can change */
    size_t seen;                  /* bytes that were searched for the end of a line */
    int64_t left[RESP_DEPTH_MAX]; /* elements to come at each level of nesting */
    uint32_t depth;
    const char *error;
};

/**
 * resp_scan_reply(s, data, len, size_out): measure the reply at the front of `data`. RESP_OK: it is
 * *size_out bytes long, `s` is reset. RESP_PARTIAL: call again with the same bytes and more.
 * RESP_ERROR: not RESP; s->error says why. Nesting is limited to RESP_DEPTH_MAX. A RESP3 attribute
 * ('|') is a part of the reply that follows it, and nests around it. Cost: O(new bytes), bulk
 * bodies are skipped.
 */
enum resp_result resp_scan_reply(struct resp_scan *s, const char *data, size_t len,
                                 size_t *size_out);

/* ---- replies, built ---- */

enum resp_type {
    RESP_STRING,
    RESP_STATUS,
    RESP_FAILURE /* '-' and '!' */,
    RESP_INTEGER,
    RESP_NIL,
    RESP_DOUBLE,
    RESP_BOOL,
    RESP_BIGNUM,
    RESP_VERBATIM,
    RESP_ARRAY,
    RESP_MAP,
    RESP_SET,
    RESP_PUSH,
    RESP_ATTRIBUTE /* n pairs and then the reply that they describe: 2n + 1 elements */
};

struct resp_reply {
    enum resp_type type;
    int64_t integer; /* RESP_INTEGER, RESP_BOOL */
    double number;   /* RESP_DOUBLE */
    char *text;      /* strings, status, failure, bignum, verbatim (without "txt:"), double as sent;
                        NUL-terminated copy */
    size_t len;      /* of text */
    size_t count;    /* elements; a map of n pairs has 2n */
    struct resp_reply **elements;
};

struct resp_reader; /* opaque: feed bytes, get replies, as hiredis' redisReader */

/** resp_reader_new(): an empty reader, or NULL without memory. Owned by the caller;
 * resp_reader_free(). */
struct resp_reader *resp_reader_new(void);
void resp_reader_free(struct resp_reader **r);

/** resp_reader_feed(r, data, len): copy bytes in. Returns false without memory. */
bool resp_reader_feed(struct resp_reader *r, const char *data, size_t len);

/**
 * resp_reader_get(r, out): the next reply. RESP_OK: *out is the caller's, freed by
 * resp_reply_free(). RESP_PARTIAL: more bytes are needed. RESP_ERROR: sticky; resp_reader_error()
 * says why.
 */
enum resp_result resp_reader_get(struct resp_reader *r, struct resp_reply **out);
const char *resp_reader_error(const struct resp_reader *r);

/** resp_reply_free(reply): free a tree and null the pointer; NULL is allowed. */
void resp_reply_free(struct resp_reply **reply);

#endif
