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
    [REPLY_NOT_INTEGER] = "ERR value is not an integer or out of range",
    [REPLY_NOT_INT32] = "ERR value is out of range, value must between -2147483648 and 2147483647",
    [REPLY_OVERFLOW] = "ERR increment or decrement would overflow",
    [REPLY_DECREMENT] = "ERR decrement would overflow",
    [REPLY_INFINITE] = "ERR increment would produce NaN or Infinity",
    [REPLY_RESULT_NOT_TEXT] = "ERR the value would no longer be valid UTF-8 text without NUL",
    [REPLY_OFFSET] = "ERR offset is out of range",
    [REPLY_CURSOR] = "ERR invalid cursor",
    [REPLY_KEYS_MAX] = "ERR more than %s keys match (keys-max); use SCAN",
    [REPLY_FLUSH] = "ERR deleting all keys is not allowed here (allow-flush)",
    [REPLY_NOT_FLOAT] = "ERR value is not a valid float",
    [REPLY_STRING_LONG] = "ERR string exceeds maximum allowed size (value-bytes-max)",
    [REPLY_EXPIRE_TIME] = "ERR invalid expire time in '%s' command",
    [REPLY_EXPIRE_NX] = "ERR NX and XX, GT or LT options at the same time are not compatible",
    [REPLY_EXPIRE_GT_LT] = "ERR GT and LT options at the same time are not compatible",
    [REPLY_OPTION] = "ERR Unsupported option %s",
    [REPLY_DB_INDEX] = "ERR DB index is out of range",
    [REPLY_WRONGPASS] = "WRONGPASS invalid username-password pair or user is disabled.",
    [REPLY_NO_PASSWORD] = "ERR AUTH <password> called without any password configured for the "
                          "default user. Are you sure your configuration is correct?",
    [REPLY_DEBUG] = "ERR DEBUG command not allowed: it needs allow-debug yes in the configuration",
    [REPLY_MONITOR] =
        "ERR MONITOR is not allowed here: it needs allow-monitor yes in the configuration",
    [REPLY_MONITORS] = "ERR at most %s clients can monitor",
    [REPLY_NO_FREQUENCY] = "ERR access frequency is not tracked here",
    [REPLY_NO_IDLE_TIME] = "ERR idle time is not tracked here",
    [REPLY_SLOWLOG_COUNT] = "ERR count should be greater than or equal to -1",
    [REPLY_SUBCOMMAND_ARGS] =
        "ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
    [REPLY_PAUSE_MODE] = "ERR CLIENT PAUSE mode must be WRITE or ALL",
    [REPLY_TIMEOUT_RANGE] = "ERR timeout is not an integer or out of range",
    [REPLY_CLUSTER_OFF] = "ERR This instance has cluster support disabled",
    [REPLY_TIMEOUT_NEGATIVE] = "ERR timeout is negative",
    [REPLY_CONFIG_SET] = "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
    [REPLY_CONFIG_UNKNOWN] = "ERR Unknown option or number of arguments for CONFIG SET - '%s'",
    [REPLY_NO_CONFIG_FILE] = "ERR The server is running without a config file",
    [REPLY_CONFIG_REWRITE] =
        "ERR Rewriting config file: not supported here, the file is written by hand alone",
    [REPLY_NOAUTH] = "NOAUTH Authentication required.",
    [REPLY_NOAUTH_HELLO] =
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time",
    [REPLY_NOPERM_COMMAND] = "NOPERM this user has no permissions to run the '%s' command",
    [REPLY_NOPERM_SUBCOMMAND] = "NOPERM this user has no permissions to run the '%s|%s' command",
    [REPLY_NOPERM_KEY] =
        "NOPERM this user has no permissions to access one of the keys used as arguments",
    [REPLY_NOPROTO] = "NOPROTO unsupported protocol version",
    [REPLY_REFUSED] = "ERR database refused: %s",
    [REPLY_CLIENTS_MAX] = "ERR max number of clients reached",
    [REPLY_INTERNAL] = "ERR internal error",
    [REPLY_PROTOCOL] = "ERR Protocol error: %s",
    [REPLY_CLIENT_NAME] = "ERR Client names cannot contain spaces, newlines or special characters.",
    [REPLY_CLIENT_NAME_LONG] = "ERR Client names cannot be longer than %s bytes.",
    [REPLY_CLIENT_INFO] = "ERR %s cannot contain spaces, newlines or special characters.",
    [REPLY_CLIENT_INFO_LONG] = "ERR %s cannot be longer than %s bytes.",
    [REPLY_CLIENT_OPTION] = "ERR Unrecognized option '%s'",
    [REPLY_CLIENT_TYPE] = "ERR Unknown client type '%s'",
    [REPLY_CLIENT_ID] = "ERR Invalid client ID",
    [REPLY_CLIENT_ID_POSITIVE] = "ERR client-id should be greater than 0",
    [REPLY_NO_SUCH_CLIENT] = "ERR No such client",
    [REPLY_NO_SUCH_USER] = "ERR No such user '%s'",
    [REPLY_CLIENT_IDS] = "ERR CLIENT LIST takes at most %s ids",
    [REPLY_HELLO_OPTION] = "ERR Syntax error in HELLO option '%s'",
    [REPLY_HELLO_VERSION] = "ERR Protocol version is not an integer or out of range",
    [REPLY_NAMES] = "ERR at most %s commands can be asked for at once",
    [REPLY_GETKEYS_COMMAND] = "ERR Invalid command specified",
    [REPLY_GETKEYS_NONE] = "ERR The command has no key arguments",
    [REPLY_GETKEYS_ARITY] = "ERR Invalid number of arguments specified for command",
    [REPLY_PATTERNS] = "ERR CONFIG GET takes at most %s patterns",
    [REPLY_TRACKING_RESP3] = "ERR Client tracking needs RESP3 here (HELLO 3), or REDIRECT",
    [REPLY_TRACKING_REDIRECT] = "ERR The client ID you want redirect to does not exist",
    [REPLY_TRACKING_REDIRECTS] = "ERR A client can only redirect to a single other client",
    [REPLY_TRACKING_PREFIXES] = "ERR CLIENT TRACKING takes at most %s prefixes",
    [REPLY_TRACKING_PREFIX] = "ERR PREFIX option requires BCAST mode to be enabled",
    [REPLY_TRACKING_OVERLAP] = "ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes "
                               "for a single client must not overlap.",
    [REPLY_TRACKING_OVERLAPS] = "ERR Prefix '%s' overlaps with another provided prefix '%s'. "
                                "Prefixes for a single client must not overlap.",
    [REPLY_TRACKING_BCAST] = "ERR You can't switch BCAST mode on/off before disabling tracking for "
                             "this client, and then re-enabling it with a different mode.",
    [REPLY_TRACKING_OPT_BCAST] = "ERR OPTIN and OPTOUT are not compatible with BCAST",
    [REPLY_TRACKING_OPT_BOTH] = "ERR You can't specify both OPTIN mode and OPTOUT mode",
    [REPLY_TRACKING_OPT] = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for "
                           "this client, and then re-enabling it with a different mode.",
    [REPLY_CACHING_OFF] = "ERR CLIENT CACHING can be called only when the client is in tracking "
                          "mode with OPTIN or OPTOUT mode enabled",
    [REPLY_CACHING_MODE] =
        "ERR CLIENT CACHING %s is only valid when tracking is enabled in %s mode.",
    [REPLY_SUBSCRIBED] =
        "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context",
    [REPLY_SUBSCRIPTIONS] = "ERR too many subscriptions (subscriptions-max, patterns-max)",
    [REPLY_CHANNEL_LONG] = "ERR a channel's name is longer than %s bytes",
    [REPLY_NOPERM_CHANNEL] =
        "NOPERM this user has no permissions to access one of the channels used as arguments",
    [REPLY_PUBLISH] = "ERR PUBLISH is not supported here: channels carry what becomes of keys, and "
                      "nothing else",
    [REPLY_MULTI_NESTED] = "ERR MULTI calls can not be nested",
    [REPLY_EXEC_ALONE] = "ERR EXEC without MULTI",
    [REPLY_DISCARD_ALONE] = "ERR DISCARD without MULTI",
    [REPLY_WATCH_IN_MULTI] = "ERR WATCH inside MULTI is not allowed",
    [REPLY_NOT_IN_MULTI] = "ERR Command not allowed inside a transaction",
    [REPLY_EXEC_ABORT] = "EXECABORT Transaction discarded because of previous errors.",
    [REPLY_EXEC_ARITY] =
        "EXECABORT Transaction discarded because of: wrong number of arguments for "
        "'exec' command",
    [REPLY_MULTI_LONG] = "ERR a transaction takes at most %s",
    [REPLY_WATCH_LONG] = "ERR at most %s keys can be watched",
    [REPLY_EXEC_REPLY_LONG] =
        "UNCERTAIN the transaction is done, but its reply is longer than %s bytes",
};

const char *reply_text(enum reply_error error) {
    return TEXTS[error];
}

/* Length of `text`, or of what fits into `len_max` bytes without half a UTF-8 character. */
static size_t cut(struct span text, size_t len_max) {
    if (text.len <= len_max)
        return text.len;
    size_t len = len_max;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    return len;
}

/* The text with its holes filled, each detail cut at `detail_max` bytes; a hole without one stays
 * empty. */
static void fill(struct buf *b, enum reply_error error, const struct span *details, uint32_t count,
                 size_t detail_max) {
    const char *text = TEXTS[error];
    char line[DETAIL_BYTES_MAX + 200];
    size_t at = 0, room = sizeof(line);
    for (uint32_t i = 0; *text != '\0' && at < room; i++) {
        const char *hole = strstr(text, "%s");
        size_t len = hole != NULL ? (size_t)(hole - text) : strlen(text);
        len = len < room - at ? len : room - at;
        memcpy(line + at, text, len);
        at += len;
        if (hole == NULL)
            break;
        size_t left = room - at < detail_max ? room - at : detail_max;
        size_t take = i < count ? cut(details[i], left) : 0;
        if (take != 0)
            memcpy(line + at, details[i].ptr, take);
        at += take;
        text = hole + 2;
    }
    resp_write_error(b, span_of(line, at));
}

void reply_error(struct buf *b, enum reply_error error, const char *detail) {
    const struct span span = span_str(detail == NULL ? "" : detail);
    fill(b, error, &span, 1, DETAIL_BYTES_MAX);
}

void reply_error_with(struct buf *b, enum reply_error error, const struct span *details,
                      uint32_t count) {
    fill(b, error, details, count, ECHO_BYTES_MAX);
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

bool reply_may_be_written(struct span reply) {
    return reply.ptr[0] != '-' || span_begins_with(reply, SPAN("-UNCERTAIN"));
}

struct span reply_without_memory(bool may_be_written) {
    return may_be_written ? SPAN("-UNCERTAIN out of memory; read before you try again\r\n")
                          : SPAN("-OOM out of memory\r\n");
}

void reply_wrong_arity(struct buf *b, const char *name) {
    char line[128];
    int n = snprintf(line, sizeof(line), "ERR wrong number of arguments for '%.64s' command", name);
    resp_write_error(b, span_of(line, (size_t)n));
}
