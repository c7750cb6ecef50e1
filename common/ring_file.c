#include "ring_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lines.h"
#include "ring.h"

enum { FILE_BYTES_MAX = 4 << 20, WORDS_MAX = 8 };

struct parse {
    const char *path;
    unsigned line;
    struct ring_member *members;
    size_t count, cap;
    bool hash_seen, epoch_seen;
    uint64_t epoch;
    struct ring_file_error *error;
};

static bool fail(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct parse *p, const char *fmt, ...) {
    char why[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    for (char *c = why; *c != '\0'; c++) { /* it shows words of the file on somebody's terminal */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    if (p->line != 0)
        snprintf(p->error->text, sizeof(p->error->text), "%.150s:%u: %s", p->path, p->line, why);
    else
        snprintf(p->error->text, sizeof(p->error->text), "%.150s: %s", p->path, why);
    return false;
}

/* Letters, digits, '_', '.', '-' and what is in `more`. */
static bool is_plain(struct span word, const char *more) {
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (!isalnum((unsigned char)c) && (c == '\0' || strchr("_.-", c) == NULL) &&
            (c == '\0' || strchr(more, c) == NULL))
            return false;
    }
    return true;
}

static bool parse_name(struct parse *p, struct span word, struct ring_member *m) {
    if (!is_plain(word, ""))
        return fail(p, "node name '%.*s': only letters, digits, '_', '.' and '-'", (int)word.len,
                    word.ptr);
    if (word.len > RING_NAME_BYTES_MAX)
        return fail(p, "node name is longer than %d bytes", RING_NAME_BYTES_MAX);
    memcpy(m->name, word.ptr, word.len);
    return true;
}

/* HOST:PORT, where HOST may be a name, IPv4, or IPv6 in brackets. */
static bool parse_address(struct parse *p, struct span word, struct ring_member *m) {
    const char *colon = memrchr(word.ptr, ':', word.len);
    if (colon == NULL)
        return fail(p, "'%.*s' is not HOST:PORT", (int)word.len, word.ptr);
    struct span host = span_of(word.ptr, (size_t)(colon - word.ptr));
    int64_t port;
    if (!span_to_int64(span_of(colon + 1, word.len - host.len - 1), &port) || port < 1 ||
        port > 65535)
        return fail(p, "port of '%.*s' is not from 1 to 65535", (int)word.len, word.ptr);
    bool is_ipv6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (is_ipv6)
        host = span_of(host.ptr + 1, host.len - 2);
    else if (memchr(host.ptr, ':', host.len) != NULL)
        return fail(p, "an IPv6 address goes in brackets: '[%.*s]:%d'", (int)host.len, host.ptr,
                    (int)port);
    if (host.len == 0 || host.len > RING_HOST_BYTES_MAX)
        return fail(p, "host of '%.*s' is empty or too long", (int)word.len, word.ptr);
    if (!is_plain(host, is_ipv6 ? ":%" : "") ||
        (is_ipv6 && memchr(host.ptr, ':', host.len) == NULL))
        return fail(p, "host '%.*s' has a character that no host has", (int)host.len, host.ptr);
    memcpy(m->host, host.ptr, host.len);
    m->port = (uint16_t)port;
    return true;
}

enum attribute { WEIGHT = 1 << 0, STATE = 1 << 1 };

static bool parse_weight(struct parse *p, struct span text, struct ring_member *m) {
    int64_t n;
    if (!span_to_int64(text, &n) || n < 1 || n > RING_WEIGHT_MAX)
        return fail(p, "weight is not from 1 to %d", RING_WEIGHT_MAX);
    m->weight = (uint16_t)n;
    return true;
}

static bool parse_state(struct parse *p, struct span text, struct ring_member *m) {
    static const enum ring_state STATES[] = {RING_UP, RING_DRAIN, RING_DOWN};
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++) {
        if (span_equal(text, span_str(ring_state_name(STATES[i])))) {
            m->state = STATES[i];
            return true;
        }
    }
    return fail(p, "state is none of up, drain, down");
}

/* One of the words behind the address; `seen` has those before it. */
static bool parse_attribute(struct parse *p, struct span word, struct ring_member *m,
                            unsigned *seen) {
    bool is_weight = span_begins_with(word, SPAN("weight="));
    bool is_state = span_begins_with(word, SPAN("state="));
    if (!is_weight && !is_state)
        return fail(p, "unknown word '%.*s' (weight=N or state=up|drain|down)",
                    (int)(word.len > 100 ? 100 : word.len), word.ptr);
    unsigned which = is_weight ? WEIGHT : STATE;
    if ((*seen & which) != 0)
        return fail(p, "%s was given before", is_weight ? "weight" : "state");
    *seen |= which;
    return is_weight ? parse_weight(p, span_of(word.ptr + 7, word.len - 7), m)
                     : parse_state(p, span_of(word.ptr + 6, word.len - 6), m);
}

static bool add(struct parse *p, const struct ring_member *m) {
    char address[RING_FILE_ADDRESS_SIZE];
    ring_file_address(m, address, sizeof(address));
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->members[i].name, m->name) == 0)
            return fail(p, "node '%s' stands twice", m->name);
        if (p->members[i].port == m->port && strcmp(p->members[i].host, m->host) == 0)
            return fail(p, "nodes '%s' and '%s' have one address, %s", p->members[i].name, m->name,
                        address);
    }
    if (p->count == RING_MEMBERS_MAX)
        return fail(p, "more than %d nodes", RING_MEMBERS_MAX);
    if (p->count == p->cap) {
        size_t cap = p->cap == 0 ? 16 : p->cap * 2;
        struct ring_member *members = realloc(p->members, cap * sizeof(*members));
        if (members == NULL)
            return fail(p, "out of memory");
        p->members = members;
        p->cap = cap;
    }
    p->members[p->count++] = *m;
    return true;
}

static bool parse_line(struct parse *p, const struct span *words, unsigned count) {
    int64_t n;
    if (span_equal(words[0], SPAN("hash"))) {
        if (p->hash_seen || count != 3 || !span_equal(words[1], SPAN("xxh3-ketama")) ||
            !span_equal(words[2], SPAN("0")))
            return fail(p, "the only placement is 'hash xxh3-ketama 0', once");
        p->hash_seen = true;
        return true;
    }
    if (span_equal(words[0], SPAN("epoch"))) {
        if (p->epoch_seen || count != 2 || !span_to_int64(words[1], &n) || n < 0)
            return fail(p, "'epoch N', once, with N a whole number");
        p->epoch_seen = true;
        p->epoch = (uint64_t)n;
        return true;
    }
    if (!span_equal(words[0], SPAN("node")))
        return fail(p, "unknown word '%.*s' (node, epoch or hash)",
                    (int)(words[0].len > 100 ? 100 : words[0].len), words[0].ptr);
    if (count < 3)
        return fail(p, "'node NAME HOST:PORT [weight=N] [state=up|drain|down]'");
    unsigned seen = 0;
    struct ring_member m = {.weight = 1, .state = RING_UP};
    if (!parse_name(p, words[1], &m) || !parse_address(p, words[2], &m))
        return false;
    for (unsigned i = 3; i < count; i++) {
        if (!parse_attribute(p, words[i], &m, &seen))
            return false;
    }
    return add(p, &m);
}

static bool parse_text(struct parse *p, struct span text) {
    size_t at = 0, weights = 0;
    for (struct span line; lines_next(text, &at, &line);) {
        struct span words[WORDS_MAX];
        unsigned count;
        p->line++;
        if (!lines_words(line, words, WORDS_MAX, &count))
            return fail(p, "too many words");
        if (count != 0 && !parse_line(p, words, count))
            return false;
    }
    p->line = 0;
    for (size_t i = 0; i < p->count; i++)
        weights += p->members[i].state == RING_UP ? p->members[i].weight : 0;
    if (weights == 0)
        return fail(p, p->count == 0 ? "no node in it" : "no node is up");
    if (weights > RING_WEIGHT_SUM_MAX)
        return fail(p, "the weights of all nodes that are up make more than %d",
                    RING_WEIGHT_SUM_MAX);
    return true;
}

struct ring *ring_file_parse(struct span text, const char *path, uint64_t *epoch_out,
                             struct ring_file_error *error) {
    struct parse p = {.path = path, .error = error};
    struct ring *ring = NULL;
    if (parse_text(&p, text)) {
        ring = ring_build(p.members, p.count);
        *epoch_out = p.epoch;
        if (ring == NULL)
            fail(&p, "out of memory");
    }
    free(p.members);
    return ring;
}

struct ring *ring_file_load(const char *path, uint64_t *epoch_out, struct ring_file_error *error) {
    struct parse p = {.path = path, .error = error};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail(&p, "%s", strerror(errno));
        return NULL;
    }
    char why[64];
    size_t len;
    char *text = lines_read(file, FILE_BYTES_MAX, &len, why, sizeof(why));
    struct ring *ring = NULL;
    if (text == NULL)
        fail(&p, "%s", why);
    else
        ring = ring_file_parse(span_of(text, len), path, epoch_out, error);
    free(text);
    fclose(file);
    return ring;
}

void ring_file_address(const struct ring_member *member, char *out, size_t size) {
    bool is_ipv6 = strchr(member->host, ':') != NULL;
    snprintf(out, size, "%s%s%s:%u", is_ipv6 ? "[" : "", member->host, is_ipv6 ? "]" : "",
             member->port);
}
