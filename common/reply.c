#include "reply.h"

#include <stdio.h>
#include <string.h>

#include "resp_write.h"

enum {
    DETAIL_BYTES_MAX = 300,
    ECHO_BYTES_MAX = 128 /* of a command and its arguments, as Redis */
};

static const char *const TEXTS[] = {
    [REPLY_DBDOWN] =
        "DBDOWN the database cannot be reached and the key is not cached; nothing was sent",
    [REPLY_UNCERTAIN] =
        "UNCERTAIN the write was sent but its outcome is not known; read before you try again",
    [REPLY_TIMEOUT] = "TIMEOUT no answer in time; nothing was written",
    [REPLY_BUSY] = "BUSY too many requests wait; nothing was written, try again later",
    [REPLY_LOCKED] =
        "BUSY the row is locked by somebody else; nothing was written, try again later",
    [REPLY_NODEDOWN] = "NODEDOWN no node of the ring can be reached; nothing was sent",
    [REPLY_OOM] = "OOM out of memory for this request",
    [REPLY_NOT_TEXT] = "ERR value is not valid UTF-8 text",
    [REPLY_KEY_NOT_TEXT] = "ERR key is not valid UTF-8 text",
    [REPLY_NOT_JSON] = "ERR value is not valid JSON: %s",
    [REPLY_KEY_LONG] = "ERR key is longer than %s bytes",
    [REPLY_KEY_EMPTY] = "ERR key is empty",
    [REPLY_VALUE_LONG] = "ERR value is longer than %s bytes",
    [REPLY_SYNTAX] = "ERR syntax error",
    [REPLY_NOT_BUILT] = "ERR option '%s' is not supported yet",
    [REPLY_NOT_INTEGER] = "ERR value is not an integer or out of range",
    [REPLY_NOT_INT32] = "ERR value is out of range, value must between -2147483648 and 2147483647",
    [REPLY_DB_INDEX] = "ERR DB index is out of range",
    [REPLY_WRONGPASS] = "WRONGPASS invalid username-password pair or user is disabled.",
    [REPLY_NO_PASSWORD] = "ERR AUTH <password> called without any password configured for the "
                          "default user. Are you sure your configuration is correct?",
    [REPLY_NOPROTO] = "NOPROTO unsupported protocol version",
    [REPLY_REFUSED] = "ERR database refused: %s",
    [REPLY_CLIENTS_MAX] = "ERR max number of clients reached",
    [REPLY_INTERNAL] = "ERR internal error",
};

const char *reply_text(enum reply_error error) {
    return TEXTS[error];
}

/* Length of `text`, or of what fits into `len_max` bytes without half a UTF-8 character. */
static size_t cut(const char *text, size_t len_max) {
    size_t len = strnlen(text, len_max + 1);
    if (len <= len_max)
        return len;
    len = len_max;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

void reply_error(struct buf *b, enum reply_error error, const char *detail) {
    const char *text = TEXTS[error], *hole = strstr(text, "%s");
    if (hole == NULL) {
        resp_write_error(b, span_str(text));
        return;
    }
    if (detail == NULL)
        detail = "";
    char line[DETAIL_BYTES_MAX + 200];
    int n = snprintf(line, sizeof(line), "%.*s%.*s%s", (int)(hole - text), text,
                     (int)cut(detail, DETAIL_BYTES_MAX), detail, hole + 2);
    resp_write_error(b, span_of(line, (size_t)n));
}

void reply_error_number(struct buf *b, enum reply_error error, uint64_t n) {
    char detail[24];
    snprintf(detail, sizeof(detail), "%llu", (unsigned long long)n);
    reply_error(b, error, detail);
}

void reply_unknown_command(struct buf *b, const struct span *argv, uint32_t argc) {
    char line[512];
    size_t name = argv[0].len < ECHO_BYTES_MAX ? argv[0].len : ECHO_BYTES_MAX;
    size_t at = (size_t)snprintf(
        line, sizeof(line), "ERR unknown command '%.*s', with args beginning with: ", (int)name,
        argv[0].ptr);
    size_t from = at;
    for (uint32_t i = 1; i < argc && at - from < ECHO_BYTES_MAX; i++) {
        size_t room = ECHO_BYTES_MAX - (at - from);
        size_t len = argv[i].len < room ? argv[i].len : room;
        at += (size_t)snprintf(line + at, sizeof(line) - at, "'%.*s' ", (int)len, argv[i].ptr);
    }
    resp_write_error(b, span_of(line, at));
}

void reply_unknown_subcommand(struct buf *b, const char *command, struct span sub) {
    char line[320], upper[32];
    size_t i = 0;
    for (; command[i] != '\0' && i + 1 < sizeof(upper); i++)
        upper[i] = (char)(command[i] >= 'a' && command[i] <= 'z' ? command[i] - 32 : command[i]);
    upper[i] = '\0';
    size_t len = sub.len < ECHO_BYTES_MAX ? sub.len : ECHO_BYTES_MAX;
    int n = snprintf(line, sizeof(line), "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)len,
                     sub.ptr, upper);
    resp_write_error(b, span_of(line, (size_t)n));
}

void reply_wrong_arity(struct buf *b, const char *name) {
    char line[128];
    int n = snprintf(line, sizeof(line), "ERR wrong number of arguments for '%.64s' command", name);
    resp_write_error(b, span_of(line, (size_t)n));
}
