/*
 * Replies, built. A reply is measured first, so that a tree is made only of bytes that are there
 * and known to be right: an announced length never allocates ahead of its data, and the recursion
 * below is bounded by the measure's RESP_DEPTH_MAX.
 */
#include <stdlib.h>

#include "buf.h"
#include "resp_line.h"
#include "resp_parse.h"

struct resp_reader {
    struct buf in;
    struct resp_scan scan;
    const char *error; /* sticky */
};

struct resp_reader *resp_reader_new(void) {
    return calloc(1, sizeof(struct resp_reader));
}

void resp_reader_free(struct resp_reader **r) {
    if (*r == NULL)
        return;
    buf_release(&(*r)->in);
    free(*r);
    *r = NULL;
}

bool resp_reader_feed(struct resp_reader *r, const char *data, size_t len) {
    buf_append(&r->in, data, len);
    return !r->in.failed;
}

const char *resp_reader_error(const struct resp_reader *r) {
    return r->error;
}

void resp_reply_free(struct resp_reply **reply) {
    struct resp_reply *gone = *reply;
    if (gone == NULL)
        return;
    for (size_t i = 0; i < gone->count; i++)
        resp_reply_free(&gone->elements[i]);
    free(gone->elements);
    free(gone->text);
    free(gone);
    *reply = NULL;
}

static enum resp_type type_of(char c) {
    switch (c) {
    case '+':
        return RESP_STATUS;
    case '-':
    case '!':
        return RESP_FAILURE;
    case ':':
        return RESP_INTEGER;
    case '_':
        return RESP_NIL;
    case ',':
        return RESP_DOUBLE;
    case '#':
        return RESP_BOOL;
    case '(':
        return RESP_BIGNUM;
    case '=':
        return RESP_VERBATIM;
    case '*':
        return RESP_ARRAY;
    case '%':
        return RESP_MAP;
    case '~':
        return RESP_SET;
    case '>':
        return RESP_PUSH;
    case '|':
        return RESP_ATTRIBUTE;
    }
    return RESP_STRING;
}

static bool set_text(struct resp_reply *reply, const char *text, size_t len) {
    reply->text = malloc(len + 1);
    if (reply->text == NULL)
        return false;
    memcpy(reply->text, text, len);
    reply->text[len] = '\0';
    reply->len = len;
    return true;
}

/* The valid bytes of one whole reply, as far as they are not built yet. */
struct cursor {
    const char *at, *limit;
};

/* Returns the end of the line at the cursor and moves behind its \r\n, which is there. */
static const char *take_line(struct cursor *c) {
    const char *end = memchr(c->at, '\r', (size_t)(c->limit - c->at));
    while (end[1] != '\n')
        end = memchr(end + 1, '\r', (size_t)(c->limit - end - 1));
    c->at = end + 2;
    return end;
}

static struct resp_reply *build(struct cursor *c);

/* Elements announced as `n`, of which every one is there. */
static bool build_elements(struct resp_reply *reply, int64_t n, struct cursor *c) {
    size_t count = (size_t)n;
    if (reply->type == RESP_MAP)
        count *= 2;
    if (reply->type == RESP_ATTRIBUTE)
        count = 2 * count + 1;
    if (count == 0)
        return true;
    reply->elements = calloc(count, sizeof(struct resp_reply *));
    if (reply->elements == NULL)
        return false;
    reply->count = count;
    for (size_t i = 0; i < count; i++) {
        reply->elements[i] = build(c);
        if (reply->elements[i] == NULL)
            return false;
    }
    return true;
}

static bool build_counted(struct resp_reply *reply, int64_t n, struct cursor *c) {
    if (n < 0) {
        reply->type = RESP_NIL;
        return true;
    }
    if (reply->type >= RESP_ARRAY)
        return build_elements(reply, n, c);
    size_t prefix = reply->type == RESP_VERBATIM ? 4 : 0;
    const char *text = c->at + prefix;
    c->at += n + 2;
    return set_text(reply, text, (size_t)n - prefix);
}

static bool build_line(struct resp_reply *reply, const char *text, size_t len) {
    switch (reply->type) {
    case RESP_INTEGER:
        return span_to_int64(span_of(text, len), &reply->integer);
    case RESP_BOOL:
        reply->integer = text[0] == 't' || text[0] == 'T';
        return true;
    case RESP_NIL:
        return true;
    case RESP_DOUBLE:
        resp_line_to_double(text, len, &reply->number);
        return set_text(reply, text, len);
    case RESP_STRING:
    case RESP_STATUS:
    case RESP_FAILURE:
    case RESP_BIGNUM:
    case RESP_VERBATIM:
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH:
    case RESP_ATTRIBUTE:
        break;
    }
    return set_text(reply, text, len);
}

/* One reply from valid bytes; NULL without memory. */
static struct resp_reply *build(struct cursor *c) {
    struct resp_reply *reply = calloc(1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    char type = *c->at;
    const char *text = c->at + 1, *end = take_line(c);
    reply->type = type_of(type);
    int64_t n = 0;
    bool is_counted = strchr("$=!*%~>|", type) != NULL;
    bool made = is_counted ? span_to_int64(span_of(text, (size_t)(end - text)), &n) &&
                                 build_counted(reply, n, c)
                           : build_line(reply, text, (size_t)(end - text));
    if (!made)
        resp_reply_free(&reply);
    return reply;
}

enum resp_result resp_reader_get(struct resp_reader *r, struct resp_reply **out) {
    *out = NULL;
    if (r->error != NULL)
        return RESP_ERROR;
    size_t size;
    enum resp_result result =
        buf_len(&r->in) == 0 ? RESP_PARTIAL
                             : resp_scan_reply(&r->scan, buf_head(&r->in), buf_len(&r->in), &size);
    if (r->in.failed)
        r->error = "out of memory";
    else if (result == RESP_ERROR)
        r->error = r->scan.error;
    if (r->error != NULL || result != RESP_OK)
        return r->error != NULL ? RESP_ERROR : result;
    struct cursor all = {buf_head(&r->in), buf_head(&r->in) + size};
    *out = build(&all);
    if (*out == NULL) {
        r->error = "out of memory";
        return RESP_ERROR;
    }
    buf_consume(&r->in, size);
    return RESP_OK;
}
