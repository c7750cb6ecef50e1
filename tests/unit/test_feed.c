#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../node/feed.h"

/* What was heard, as text: "c42:key g:key e h:node,7,nonce ", with the letter of the change in the
 * place of c where it is not set, and of g where it is not del. */
struct heard {
    char text[4096];
    size_t len;
    unsigned everything;
};

static void add(struct heard *h, const char *kind, struct span part) {
    int n = snprintf(h->text + h->len, sizeof(h->text) - h->len, "%s", kind);
    h->len += (size_t)n;
    memcpy(h->text + h->len, part.ptr, part.len);
    h->len += part.len;
    h->text[h->len++] = ' ';
    h->text[h->len] = '\0';
}

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    char kind[32];
    snprintf(kind, sizeof(kind), "%c%llu:", change == CHANGE_SET ? 'c' : (char)change,
             (unsigned long long)version);
    add(ctx, kind, key);
}

static void on_gone(void *ctx, struct span key, enum change change) {
    add(ctx, change == CHANGE_DEL ? "g:" : "gone-n:", key);
}

static void on_everything(void *ctx) {
    struct heard *h = ctx;
    h->everything++;
    add(h, "e", SPAN(""));
}

static void on_heartbeat(void *ctx, struct span node, uint64_t counter, struct span nonce) {
    char kind[300];
    snprintf(kind, sizeof(kind), "h:%.*s,%llu,", (int)node.len, node.ptr,
             (unsigned long long)counter);
    add(ctx, kind, nonce);
}

static const struct feed_handlers HANDLERS = {on_changed, on_gone, on_everything, on_heartbeat};

/* Parses a copy on the heap, so that ASan sees a read behind its end. */
static bool parse(struct span payload, struct heard *h) {
    char *copy = malloc(payload.len + 1); /* one more: malloc(0) may be NULL */
    memcpy(copy, payload.ptr, payload.len);
    char *exact = realloc(copy, payload.len != 0 ? payload.len : 1);
    memset(h, 0, sizeof(*h));
    bool understood = feed_parse(span_of(exact, payload.len), &HANDLERS, h);
    free(exact);
    return understood;
}

static void expect(struct span payload, const char *want) {
    struct heard h;
    cr_assert(parse(payload, &h), "%s", payload.ptr);
    cr_assert_str_eq(h.text, want);
}

Test(feed, an_item_of_each_kind) {
    expect(SPAN("1\nc 42 3 abc\n"), "c42:abc ");
    expect(SPAN("1\ng 3 abc\n"), "g:abc ");
    expect(SPAN("1\nd 42 3 abc\n"), "d42:abc ");
    expect(SPAN("1\nx 42 3 abc\n"), "x42:abc ");
    expect(SPAN("1\nn 42 3 abc\n"), "n42:abc ");
    expect(SPAN("1\np 3 abc\n"), "gone-n:abc ");
    expect(SPAN("1\ne\n"), "e ");
    expect(SPAN("1\nh node1 7 deadbeef\n"), "h:node1,7,deadbeef ");
}

Test(feed, several_items_in_their_order) {
    expect(SPAN("1\ng 1 a\nc 1 1 b\ne\nc 2 1 c\nh n 0 x\ng 1 d\n"), "g:a c1:b e c2:c h:n,0,x g:d ");
}

Test(feed, a_payload_without_items_says_nothing) {
    expect(SPAN("1\n"), "");
}

Test(feed, versions_up_to_the_largest_bigint) {
    expect(SPAN("1\nc 9223372036854775807 1 k\n"), "c9223372036854775807:k ");
    expect(SPAN("1\nc 0 1 k\n"), "c0:k ");
}

Test(feed, a_key_may_look_like_items) {
    expect(SPAN("1\nc 5 11 a\ne\ng 1 b\n \ng 1 z\n"), "c5:a\ne\ng 1 b\n  g:z ");
    expect(SPAN("1\ng 3 1 2\n"), "g:1 2 ");
    expect(SPAN("1\ng 1 \n\n"), "g:\n ");
    expect(SPAN("1\ng 1  \n"), "g:  ");
}

Test(feed, a_key_may_hold_any_byte) {
    for (int byte = 0; byte < 256; byte++) {
        struct buf b;
        buf_init(&b, 0);
        char key[3] = {'<', (char)byte, '>'};
        buf_append(&b, "1\nc 8 3 ", 8);
        buf_append(&b, key, 3);
        buf_append(&b, "\ng 3 ", 5);
        buf_append(&b, key, 3);
        buf_append(&b, "\n", 1);
        struct heard h;
        cr_assert(parse(span_of(buf_head(&b), buf_len(&b)), &h), "byte %d", byte);
        char want[] = "c8:<?> g:<?> ";
        want[4] = want[10] = (char)byte;
        cr_assert_eq(h.len, sizeof(want) - 1);
        cr_assert(memcmp(h.text, want, h.len) == 0, "byte %d", byte);
        buf_release(&b);
    }
}

Test(feed, keys_of_every_length_a_key_may_have) {
    for (size_t len = 1; len <= 1024; len++) {
        struct buf b;
        buf_init(&b, 0);
        char head[32];
        int n = snprintf(head, sizeof(head), "1\nc 3 %zu ", len);
        buf_append(&b, head, (size_t)n);
        memset(buf_reserve(&b, len), 'k', len);
        buf_commit(&b, len);
        buf_append(&b, "\n", 1);
        struct heard h;
        cr_assert(parse(span_of(buf_head(&b), buf_len(&b)), &h), "length %zu", len);
        cr_assert_eq(h.len, 3 + len + 1, "length %zu", len);
        buf_release(&b);
    }
}

/* What nobody understands: "everything" once, and nothing that comes behind it. */
Test(feed, what_is_malformed_means_everything_once) {
    static const char *const BAD[] = {
        "",                               /* no format version */
        "1",                              /* cut */
        "2\ne\n",                         /* another version of the format */
        "01\ne\n",                        /* likewise */
        "1 e\n",                          /* likewise */
        "1\ny 1 1 k\n",                   /* an unknown kind */
        "1\nE\n",                         /* kinds are lower case */
        "1\n\n",                          /* an empty line */
        "1\ne",                           /* cut */
        "1\nee\n",                        /* not e alone */
        "1\ne \n",                        /* likewise */
        "1\nc\n",                         /* nothing behind it */
        "1\nc \n",                        /* likewise */
        "1\nc 1\n",                       /* no key */
        "1\nc 1 1 k",                     /* cut */
        "1\nc 1 2 k\n",                   /* the key takes the newline: cut */
        "1\nc 1 1 kk\n",                  /* longer than it says */
        "1\nc -1 1 k\n",                  /* a version below 0 */
        "1\nc +1 1 k\n",                  /* not how a number is written */
        "1\nc 01 1 k\n",                  /* likewise */
        "1\nc one 1 k\n",                 /* no number */
        "1\nc  1 1 k\n",                  /* two blanks */
        "1\nc 9223372036854775808 1 k\n", /* larger than a bigint */
        "1\nc 1 0 \n",                    /* an empty key */
        "1\nc 1 -1 k\n",                  /* a length below 0 */
        "1\nc 1 9223372036854775807 k\n", /* longer than any payload */
        "1\nc 1 18446744073709551615 k\n",
        "1\nc 1 x k\n",
        "1\ng 1 k",       /* cut */
        "1\ng k\n",       /* no length */
        "1\ng 1\nk\n",    /* no blank */
        "1\ng 99 k\n",    /* longer than the payload */
        "1\nh n 1 x",     /* cut */
        "1\nh n 1\n",     /* no nonce */
        "1\nh n x y\n",   /* no counter */
        "1\nh n -1 y\n",  /* a counter below 0 */
        "1\nh  1 y\n",    /* no node */
        "1\nh n 1 y z\n", /* a word too many */
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct heard h;
        char payload[128];
        cr_assert_not(parse(span_str(BAD[i]), &h), "took: %s", BAD[i]);
        cr_assert_str_eq(h.text, "e ", "%s", BAD[i]);
        size_t len = strlen(BAD[i]);
        if (len < 3 || BAD[i][len - 1] != '\n')
            continue; /* cut: what follows would be a part of it */
        int n = snprintf(payload, sizeof(payload), "%sg 1 z\n", BAD[i]);
        cr_assert_not(parse(span_of(payload, (size_t)n), &h), "took: %s", payload);
        cr_assert_str_eq(h.text, "e ", "looked behind it: %s", payload);
    }
}

Test(feed, items_before_the_malformed_one_are_heard) {
    struct heard h;
    cr_assert_not(parse(SPAN("1\nc 1 1 a\ng 1 b\nbad\ng 1 c\n"), &h));
    cr_assert_str_eq(h.text, "c1:a g:b e ");
}

Test(feed, every_cut_of_a_payload_means_everything_unless_it_ends_an_item) {
    static const char WHOLE[] = "1\nc 42 3 a\nb\ng 2 xy\nh n 7 z\ne\n";
    for (size_t len = 0; len < sizeof(WHOLE) - 1; len++) {
        struct heard h;
        bool whole_items = len == 2 || len == 13 || len == 20 || len == 28;
        bool understood = parse(span_of(WHOLE, len), &h);
        cr_assert_eq(understood, whole_items, "cut at %zu", len);
        cr_assert_eq(h.everything, whole_items ? 0 : 1, "cut at %zu", len);
    }
}
