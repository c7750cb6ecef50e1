/*
 * reply: the error texts that a client can see, each declared once. Knows no connection.
 */
#ifndef RINGFENCE_REPLY_H
#define RINGFENCE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

struct buf;

enum reply_error {
    REPLY_DBDOWN,       /* PostgreSQL cannot be reached; nothing was sent */
    REPLY_UNCERTAIN,    /* a write was sent and its outcome is not known */
    REPLY_TIMEOUT,      /* the budget ended before anything of a write was sent, or during a read */
    REPLY_BUSY,         /* a queue is full; nothing was written */
    REPLY_LOCKED,       /* BUSY: the row is locked by somebody */
    REPLY_NODEDOWN,     /* no owner could be reached; nothing was sent */
    REPLY_OOM,          /* out of memory for this request */
    REPLY_NOT_TEXT,     /* ERR value is not valid UTF-8 text */
    REPLY_KEY_NOT_TEXT, /* ERR key is not valid UTF-8 text */
    REPLY_NOT_JSON,     /* ERR value is not valid JSON: <where> */
    REPLY_KEY_LONG,     /* ERR key is longer than N bytes */
    REPLY_KEY_EMPTY,    /* ERR key is empty */
    REPLY_VALUE_LONG,   /* ERR value is longer than N bytes */
    REPLY_SYNTAX,       /* ERR syntax error */
    REPLY_NOT_INTEGER,  /* ERR value is not an integer or out of range */
    REPLY_NOT_INT32,    /* ERR value is out of range, for a database's index */
    REPLY_OVERFLOW,     /* ERR increment or decrement would overflow */
    REPLY_DECREMENT,    /* ERR decrement would overflow: its own negative would */
    REPLY_INFINITE,     /* ERR increment would produce NaN or Infinity */
    REPLY_NOT_FLOAT,    /* ERR value is not a valid float */
    REPLY_RESULT_NOT_TEXT, /* ERR the value would no longer be valid UTF-8 text */
    REPLY_OFFSET,          /* ERR offset is out of range */
    REPLY_CURSOR,          /* ERR invalid cursor */
    REPLY_KEYS_MAX,        /* ERR more than N keys match (keys-max): use SCAN */
    REPLY_FLUSH,           /* ERR flushing is not allowed */
    REPLY_STRING_LONG,     /* ERR string exceeds maximum allowed size */
    REPLY_EXPIRE_TIME,     /* ERR invalid expire time in 'X' command */
    REPLY_EXPIRE_NX,       /* ERR NX and XX, GT or LT options at the same time are not compatible */
    REPLY_EXPIRE_GT_LT,    /* ERR GT and LT options at the same time are not compatible */
    REPLY_OPTION,          /* ERR Unsupported option X */
    REPLY_DB_INDEX,        /* ERR DB index is out of range */
    REPLY_WRONGPASS,       /* WRONGPASS; a user that is not there */
    REPLY_NO_PASSWORD,     /* ERR AUTH with a password alone, and none is configured */
    REPLY_NOPROTO,         /* NOPROTO unsupported protocol version */
    REPLY_REFUSED,         /* ERR database refused: <text> */
    REPLY_CLIENTS_MAX,     /* ERR max number of clients reached */
    REPLY_INTERNAL,        /* ERR internal error; a bug of ours, logged */
    /* connection and server commands, in Redis' words where it has any; the texts are in reply.c */
    REPLY_DEBUG,
    REPLY_MONITOR,
    REPLY_MONITORS,
    REPLY_NO_FREQUENCY,
    REPLY_NO_IDLE_TIME,
    REPLY_SLOWLOG_COUNT,
    REPLY_SUBCOMMAND_ARGS,
    REPLY_PAUSE_MODE,
    REPLY_TIMEOUT_RANGE,
    REPLY_TIMEOUT_NEGATIVE,
    REPLY_CLUSTER_OFF,
    REPLY_CONFIG_SET,
    REPLY_CONFIG_UNKNOWN,
    REPLY_NO_CONFIG_FILE,
    REPLY_CONFIG_REWRITE,
    REPLY_NOAUTH,
    REPLY_NOAUTH_HELLO,
    REPLY_NOPERM_COMMAND,
    REPLY_NOPERM_SUBCOMMAND,
    REPLY_NOPERM_KEY,
    REPLY_PROTOCOL,
    REPLY_CLIENT_NAME,
    REPLY_CLIENT_NAME_LONG,
    REPLY_CLIENT_INFO,
    REPLY_CLIENT_INFO_LONG,
    REPLY_CLIENT_OPTION,
    REPLY_CLIENT_TYPE,
    REPLY_CLIENT_ID,
    REPLY_CLIENT_ID_POSITIVE,
    REPLY_NO_SUCH_CLIENT,
    REPLY_NO_SUCH_USER,
    REPLY_CLIENT_IDS,
    REPLY_HELLO_OPTION,
    REPLY_HELLO_VERSION,
    REPLY_NAMES,
    REPLY_GETKEYS_COMMAND,
    REPLY_GETKEYS_NONE,
    REPLY_GETKEYS_ARITY,
    REPLY_PATTERNS,
    REPLY_TRACKING_RESP3,
    REPLY_TRACKING_REDIRECT,
    REPLY_TRACKING_REDIRECTS,
    REPLY_TRACKING_PREFIXES,
    REPLY_TRACKING_PREFIX,
    REPLY_TRACKING_OVERLAP,
    REPLY_TRACKING_OVERLAPS,
    REPLY_TRACKING_BCAST,
    REPLY_TRACKING_OPT_BCAST,
    REPLY_TRACKING_OPT_BOTH,
    REPLY_TRACKING_OPT,
    REPLY_CACHING_OFF,
    REPLY_CACHING_MODE,
    REPLY_SUBSCRIBED,
    REPLY_SUBSCRIPTIONS,
    REPLY_CHANNEL_LONG,
    REPLY_NOPERM_CHANNEL,
    REPLY_PUBLISH,
    REPLY_MULTI_NESTED,
    REPLY_EXEC_ALONE,
    REPLY_DISCARD_ALONE,
    REPLY_WATCH_IN_MULTI,
    REPLY_NOT_IN_MULTI,
    REPLY_EXEC_ABORT,
    REPLY_EXEC_ARITY,
    REPLY_MULTI_LONG,
    REPLY_WATCH_LONG,
    REPLY_EXEC_REPLY_LONG,
    REPLY_ERROR_COUNT /* number of rows; not an error */
};

/** reply_text(error): its text; may hold one %s for a detail. Never NULL. */
const char *reply_text(enum reply_error error);

/** reply_error(b, error, detail): append `-text\r\n`; `detail` fills the %s (cleaned and cut), NULL
 * for none. */
void reply_error(struct buf *b, enum reply_error error, const char *detail);

/** reply_without_memory(may_be_written): the whole line where there is no memory for a text: OOM,
 * or UNCERTAIN when a write was sent that may be done. Static. */
struct span reply_without_memory(bool may_be_written);

/** reply_may_be_written(reply): a node's answer to a write does not say that nothing was written:
 * it is no error, or UNCERTAIN. */
bool reply_may_be_written(struct span reply);

/** reply_error_with(b, error, details, count): the same for texts with one %s or more, filled in
 * their order, each cut at 128 bytes. */
void reply_error_with(struct buf *b, enum reply_error error, const struct span *details,
                      uint32_t count);

/** reply_error_number(b, error, n): the same with a number as the detail. */
void reply_error_number(struct buf *b, enum reply_error error, uint64_t n);

/** reply_unknown_command(b, argv, argc): Redis' own wording and limits (128 bytes of each, 128
 * bytes of arguments in all). */
void reply_unknown_command(struct buf *b, const struct span *argv, uint32_t argc);

/** reply_unknown_subcommand(b, command, sub): Redis 7's wording: unknown subcommand 'X'. Try CLIENT
 * HELP. */
void reply_unknown_subcommand(struct buf *b, const char *command, struct span sub);

/** reply_wrong_arity(b, name): "ERR wrong number of arguments for 'name' command". */
void reply_wrong_arity(struct buf *b, const char *name);

#endif
