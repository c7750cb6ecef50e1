#include "sim_feed.h"

#include <stdio.h>
#include <string.h>

#include "../../node/feed.h"
#include "../../node/session.h"
#include "../../node/through.h"
#include "sim_node.h"
#include "sim_store.h"

enum { WINDOW = 64 /* heartbeats that may be under way */ };

struct sim_feed {
    struct sim *sim;
    struct sim_node *node;
    struct sim_process *process;
    int server; /* on which it listens; SIM_NO_SERVER: on none */
    bool up;    /* the node knows that it listens */
    bool cut, ended;
    uint64_t life;
    int64_t arrives_us, slow_us, slow_until_us;
    uint32_t owed[SIM_KEYS_MAX], owed_everything;
    uint64_t counter;
    int64_t sent_ms[WINDOW], heard_ms;
    char nonce[24];
};

/* One payload on its way. */
struct item {
    struct sim_feed *feed;
    uint64_t life;
    uint32_t keys;
    bool everything;
    size_t len;
    char text[];
};

static void on_connect(struct sim *sim, void *ctx, uint64_t arg);
static void on_up(struct sim *sim, void *ctx, uint64_t arg);
static void on_item(struct sim *sim, void *ctx, uint64_t arg);
static void on_beat(struct sim *sim, void *ctx, uint64_t arg);
static void on_lost(struct sim *sim, void *ctx, uint64_t arg);

/* ---- lines ---- */

static void add(struct sim_lines *lines, const char *kind, const char *number, struct span key) {
    int n = snprintf(lines->text + lines->len, sizeof(lines->text) - lines->len, "%s%s %zu %.*s\n",
                     kind, number, key.len, (int)key.len, key.ptr);
    if (lines->len + (size_t)n < sizeof(lines->text))
        lines->len += (size_t)n;
}

void sim_lines_begin(struct sim_lines *lines) {
    memcpy(lines->text, "1\n", 2);
    lines->len = 2;
    lines->keys = 0;
    lines->everything = false;
}

const struct sim_lines *sim_lines_keep(struct sim *sim, const struct sim_lines *lines) {
    size_t size = offsetof(struct sim_lines, text) + lines->len;
    struct sim_lines *copy = sim_alloc(sim, size);
    memcpy(copy, lines, size);
    return copy;
}

void sim_lines_changed(struct sim *sim, struct sim_lines *lines, unsigned key, uint64_t version) {
    char number[24];
    snprintf(number, sizeof(number), " %llu", (unsigned long long)version);
    add(lines, "c", number, sim_key(sim, key));
    lines->keys |= 1u << key;
}

void sim_lines_gone(struct sim *sim, struct sim_lines *lines, unsigned key) {
    add(lines, "g", "", sim_key(sim, key));
    lines->keys |= 1u << key;
}

void sim_lines_everything(struct sim_lines *lines) {
    memcpy(lines->text + lines->len, "e\n", 2);
    lines->len += 2;
    lines->everything = true;
}

void sim_lines_garble(struct sim *sim, struct sim_lines *lines) {
    lines->everything = true;
    if (sim_chance(sim, 500))
        lines->text[0] = '2';
    else
        lines->len--;
}

void sim_lines_send(struct sim *sim, int server, const struct sim_lines *lines) {
    if (lines->len > 2)
        sim_nodes_lines(sim, server, lines);
}

void sim_feed_lines(struct sim_feed *f, int server, const struct sim_lines *lines) {
    if (f->server != server || f->ended)
        return;
    struct item *item = sim_alloc(f->sim, sizeof(*item) + lines->len);
    *item = (struct item){f, f->life, lines->keys, lines->everything, lines->len};
    memcpy(item->text, lines->text, lines->len);
    int64_t at_us = sim_now_us(f->sim) + sim_between(f->sim, 10, sim_profile(f->sim)->feed_us_max);
    if (sim_now_us(f->sim) < f->slow_until_us)
        at_us += f->slow_us;
    f->arrives_us = at_us > f->arrives_us ? at_us : f->arrives_us;
    for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
        f->owed[key] += lines->keys >> key & 1;
    f->owed_everything += lines->everything;
    sim_at(f->sim, f->process, f->arrives_us, on_item, item, 0);
}

bool sim_feed_owes(const struct sim_feed *f, unsigned key) {
    return !sim_db_is_primary(f->sim, f->server) || f->owed_everything != 0 || f->owed[key] != 0;
}

/* ---- the connection ---- */

struct sim_feed *sim_feed_new(struct sim *sim, struct sim_node *node) {
    struct sim_feed *f = sim_alloc(sim, sizeof(*f));
    f->sim = sim;
    f->node = node;
    f->process = &node->process;
    f->server = SIM_NO_SERVER;
    snprintf(f->nonce, sizeof(f->nonce), "%08x", (unsigned)sim_random(sim, UINT32_MAX));
    sim_in(sim, f->process, sim_between(sim, 100, 5000), on_connect, f, 0);
    return f;
}

void sim_feed_end(struct sim_feed *f) {
    f->ended = true;
    f->server = SIM_NO_SERVER;
}

static void retry(struct sim_feed *f) {
    sim_in(f->sim, f->process, sim_between(f->sim, 1000, 40000), on_connect, f, f->life);
}

/* LISTEN is committed there; the node hears of it in a while, before anything else. */
static void on_connect(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_feed *f = ctx;
    int server = sim_db_connect(sim, sim_chance(sim, 200));
    if (f->ended || f->life != arg)
        return;
    if (f->cut || server == SIM_NO_SERVER) {
        retry(f);
        return;
    }
    f->server = server;
    memset(f->owed, 0, sizeof(f->owed));
    f->owed_everything = 0;
    f->arrives_us = sim_now_us(sim) + sim_between(sim, 10, sim_profile(sim)->feed_us_max);
    sim_at(sim, f->process, f->arrives_us, on_up, f, f->life);
}

static void on_up(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_feed *f = ctx;
    if (f->ended || f->life != arg || f->server == SIM_NO_SERVER)
        return;
    sim_trace(sim, "%s: feed is up on server %d", f->process->name, f->server);
    f->up = true;
    sim_store_trust(f->node->server.store, f->server);
    through_feed_up(f->node->server.through);
    session_watch_tell_all(&f->node->server);
    on_beat(sim, f, f->life);
}

static void on_lost(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_feed *f = ctx;
    if (f->ended || f->life != arg)
        return;
    f->life++;
    f->server = SIM_NO_SERVER;
    retry(f);
    if (!f->up)
        return;
    sim_trace(sim, "%s: feed is lost", f->process->name);
    f->up = false;
    sim_store_trust(f->node->server.store, SIM_NO_SERVER);
    through_feed_lost(f->node->server.through);
}

static void lose_in(struct sim_feed *f, int64_t low_us, int64_t high_us) {
    sim_in(f->sim, f->process, sim_between(f->sim, low_us, high_us), on_lost, f, f->life);
}

void sim_feed_lose(struct sim_feed *f, bool silently) {
    if (f->server == SIM_NO_SERVER)
        return;
    sim_trace(f->sim, "%s: feed %s", f->process->name, silently ? "goes silent" : "breaks");
    f->server = SIM_NO_SERVER; /* nothing more is sent to it; what is under way may arrive */
    if (silently)
        lose_in(f, 200000, 500000);
    else
        lose_in(f, 10, 20000);
}

void sim_feed_close(struct sim_feed *f) {
    on_lost(f->sim, f, f->life);
}

bool sim_feed_is_captive(const struct sim_feed *f) {
    return f->server != SIM_NO_SERVER && !sim_db_is_primary(f->sim, f->server) &&
           sim_store_all_on(f->node->server.store, f->server);
}

void sim_feed_server_died(struct sim_feed *f, int server) {
    if (f->server == server)
        sim_feed_lose(f, sim_chance(f->sim, 200));
}

void sim_feed_slow(struct sim_feed *f, int64_t us) {
    sim_trace(f->sim, "%s: feed becomes %lld ms slower", f->process->name, (long long)us / 1000);
    f->slow_us = us;
    f->slow_until_us = sim_now_us(f->sim) + us;
}

void sim_feed_cut(struct sim_feed *f, bool cut) {
    f->cut = cut;
    if (cut)
        sim_feed_lose(f, sim_chance(f->sim, 500));
}

/* ---- what is heard ---- */

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    struct server *s = &((struct sim_feed *)ctx)->node->server;
    through_changed(s->through, key, version);
    session_watch_tell(s, key, version, change);
}

static void on_gone(void *ctx, struct span key, enum change change) {
    struct server *s = &((struct sim_feed *)ctx)->node->server;
    through_gone(s->through, key);
    session_watch_tell(s, key, 0, change);
}

static void on_everything(void *ctx) {
    struct server *s = &((struct sim_feed *)ctx)->node->server;
    through_everything(s->through);
    session_watch_tell_all(s);
}

/* As feed_pg.c: ours, and of this life. */
static void on_heartbeat(void *ctx, struct span node, uint64_t counter, struct span nonce) {
    struct sim_feed *f = ctx;
    if (span_equal(node, span_str(f->process->name)) && span_equal(nonce, span_str(f->nonce)) &&
        counter <= f->counter && counter + WINDOW > f->counter) {
        int64_t sent_ms = f->sent_ms[counter % WINDOW];
        f->heard_ms = sent_ms > f->heard_ms ? sent_ms : f->heard_ms;
        through_heard(f->node->server.through, sent_ms);
    }
}

int64_t sim_feed_heard_ms(const struct sim_feed *f) {
    return f->heard_ms;
}

static void on_item(struct sim *sim, void *ctx, uint64_t arg) {
    static const struct feed_handlers HANDLERS = {on_changed, on_gone, on_everything, on_heartbeat};
    struct item *item = ctx;
    struct sim_feed *f = item->feed;
    if (f->ended || f->life != item->life)
        return;
    for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
        f->owed[key] -= item->keys >> key & 1;
    f->owed_everything -= item->everything;
    if (!f->up)
        return;
    if (item->text[2] != 'h')
        sim_trace(sim, "%s: hears %.*s", f->process->name, (int)item->len - 2, item->text + 2);
    feed_parse(span_of(item->text, item->len), &HANDLERS, f);
}

static void on_beat(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_feed *f = ctx;
    struct sim_lines lines;
    if (f->ended || f->life != arg || !f->up)
        return;
    sim_in(sim, f->process, sim_profile(sim)->beat_ms * 1000, on_beat, f, f->life);
    sim_lines_begin(&lines);
    lines.len += (size_t)snprintf(lines.text + 2, sizeof(lines.text) - 2, "h %s %llu %s\n",
                                  f->process->name, (unsigned long long)f->counter + 1, f->nonce);
    if (!sim_store_beat(f->node->server.store, &lines))
        return;
    f->counter++;
    f->sent_ms[f->counter % WINDOW] = sim_now_us(sim) / 1000;
}
