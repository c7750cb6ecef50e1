/* The memory of requests for keys on several nodes: those of few keys use the same again. */
#include <stdlib.h>

#include "copies.h"
#include "env.h"
#include "gather_private.h"
#include "request.h"

enum {
    POOL_MAX = 256,            /* idle ones that a worker keeps */
    POOL_KEYS_MAX = 16,        /* of one that comes from there; and as many parts */
    POOL_TEXTS_MAX = 16 << 10, /* bytes of replies that one of them keeps the memory of */
    SCRATCH_MAX = 64 << 10,
};

struct gathers {
    struct gather *idle;
    unsigned idle_count;
    struct buf scratch;
};

struct gathers *gathers_new(void) {
    struct gathers *gathers = calloc(1, sizeof(*gathers));
    if (gathers != NULL)
        buf_init(&gathers->scratch, 0);
    return gathers;
}

static void let_go(struct gather *g) {
    buf_release(&g->texts);
    free(g);
}

void gathers_free(struct gathers **pointer) {
    struct gathers *gathers = *pointer;
    *pointer = NULL;
    if (gathers == NULL)
        return;
    while (gathers->idle != NULL) {
        struct gather *g = gathers->idle;
        gathers->idle = g->next_idle;
        let_go(g);
    }
    buf_release(&gathers->scratch);
    free(gathers);
}

struct buf *gather_scratch(struct gathers *gathers) {
    if (gathers->scratch.failed || gathers->scratch.cap > SCRATCH_MAX)
        buf_release(&gathers->scratch);
    buf_consume(&gathers->scratch, buf_len(&gathers->scratch));
    return &gathers->scratch;
}

/* One for `keys` keys and `parts_max` parts, of which nothing is set but where they are. */
static struct gather *allocate(size_t keys, size_t parts_max) {
    struct gather *g =
        malloc(sizeof(*g) + parts_max * sizeof(struct part) + 2 * keys * sizeof(uint32_t));
    if (g == NULL)
        return NULL;
    g->part_of = (uint32_t *)(g->parts + parts_max);
    g->next_key = g->part_of + keys;
    buf_init(&g->texts, 0);
    return g;
}

struct gather *gather_make(const struct proxy_env *env, struct request *r, unsigned keys,
                           size_t parts_max) {
    struct gathers *gathers = env->gathers;
    bool is_pooled = keys <= POOL_KEYS_MAX && parts_max <= POOL_KEYS_MAX;
    struct gather *g = is_pooled ? gathers->idle : NULL;
    if (g != NULL) {
        gathers->idle = g->next_idle;
        gathers->idle_count--;
    } else {
        g = is_pooled ? allocate(POOL_KEYS_MAX, POOL_KEYS_MAX) : allocate(keys, parts_max);
    }
    if (g == NULL)
        return NULL;
    g->env = env;
    g->request = r;
    g->copies = r->copies;
    g->keys_count = keys;
    g->is_pooled = is_pooled;
    g->left = g->parts_count = 0;
    g->texts.bytes_max = 0;
    return g;
}

void gather_release(struct gather *g) {
    struct gathers *gathers = g->env->gathers;
    copies_free(&g->copies);
    if (!g->is_pooled || gathers->idle_count == POOL_MAX) {
        let_go(g);
        return;
    }
    if (g->texts.failed || g->texts.cap > POOL_TEXTS_MAX)
        buf_release(&g->texts);
    buf_consume(&g->texts, buf_len(&g->texts));
    g->next_idle = gathers->idle;
    gathers->idle = g;
    gathers->idle_count++;
}

struct part *gather_part(struct gather *g) {
    struct part *part = &g->parts[g->parts_count++];
    *part = (struct part){.gather = g};
    return part;
}

bool gather_hold(struct part *part, struct span text) {
    struct buf *texts = &part->gather->texts;
    part->from = buf_len(texts);
    part->len = text.len;
    buf_append_span(texts, text);
    part->has_text = !texts->failed;
    return part->has_text;
}

struct span gather_text(const struct part *part) {
    return span_of(buf_head(&part->gather->texts) + part->from, part->len);
}
