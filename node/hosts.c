#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"

enum {
    SYSTEM_BYTES = 24,
    WHY_BYTES = 160,
};

/* Of which cluster a server is, and how often that was promoted. */
struct lineage {
    char system[SYSTEM_BYTES];
    uint32_t timeline; /* 0: it only reads */
};

struct host {
    struct host_place place;
    enum host_state state;
    struct lineage lineage; /* as last met; system "": never */
    uint64_t try;           /* that found it so */
    unsigned users;
    char why[WHY_BYTES]; /* it was missed */
};

struct hosts {
    const struct hosts_handlers *handlers;
    void *ctx;
    struct host list[HOSTS_MAX];
    int count;
    struct lineage newest[HOSTS_SYSTEMS_MAX]; /* the highest timeline seen; slots in their turn */
    unsigned systems;                         /* ever seen */
    int current;
    bool settled; /* each was heard, or waited for */
    int64_t asked_mono_ms;
    uint64_t tries, old;
    char text[400];
};

struct hosts *hosts_new(const struct hosts_handlers *handlers, void *ctx) {
    struct hosts *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->handlers = handlers;
    h->ctx = ctx;
    h->current = HOSTS_NONE;
    return h;
}

void hosts_free(struct hosts **hosts) {
    free(*hosts);
    *hosts = NULL;
}

bool hosts_add(struct hosts *h, const struct host_place *place) {
    if (h->count == HOSTS_MAX)
        return false;
    h->list[h->count++] = (struct host){.place = *place};
    return true;
}

int hosts_count(const struct hosts *h) {
    return h->count;
}

const struct host_place *hosts_place(const struct hosts *h, int host) {
    return &h->list[host].place;
}

uint64_t hosts_try(struct hosts *h) {
    return ++h->tries;
}

static const char *name_of(const struct hosts *h, int host) {
    static const char DEFAULT[] = "default";
    const struct host_place *place = &h->list[host].place;
    return place->host[0] != '\0'      ? place->host
           : place->address[0] != '\0' ? place->address
                                       : DEFAULT;
}

/* ---- timelines ---- */

static struct lineage lineage_of(const char *identity) {
    struct lineage l = {.timeline = 0};
    size_t len = strcspn(identity, "/");
    snprintf(l.system, sizeof(l.system), "%.*s", (int)len, identity);
    const char *at = identity + len + (identity[len] == '/');
    if (strspn(at, "0123456789ABCDEF") == 8)
        l.timeline = (uint32_t)strtoul(at, NULL, 16);
    return l;
}

static struct lineage *newest_of(struct hosts *h, const char *system) {
    for (unsigned i = 0; i < HOSTS_SYSTEMS_MAX && i < h->systems; i++) {
        if (strcmp(h->newest[i].system, system) == 0)
            return &h->newest[i];
    }
    return NULL;
}

static bool is_old(const struct hosts *h, const struct lineage *l) {
    const struct lineage *newest = newest_of((struct hosts *)h, l->system);
    return l->timeline != 0 && newest != NULL && l->timeline < newest->timeline;
}

/* True if a system that was known has a higher timeline now. */
static bool raise(struct hosts *h, const struct lineage *l) {
    struct lineage *newest = newest_of(h, l->system);
    if (l->timeline == 0)
        return false;
    if (newest == NULL) {
        h->newest[h->systems++ % HOSTS_SYSTEMS_MAX] = *l;
        return false;
    }
    if (l->timeline <= newest->timeline)
        return false;
    newest->timeline = l->timeline;
    return true;
}

static enum host_state judge(const struct hosts *h, const struct lineage *l) {
    return l->timeline == 0 ? HOST_READER : is_old(h, l) ? HOST_OLD : HOST_WRITER;
}

static void judge_all(struct hosts *h) {
    for (int i = 0; i < h->count; i++) {
        struct host *host = &h->list[i];
        enum host_state before = host->state;
        if (before != HOST_OLD && before != HOST_WRITER && before != HOST_READER)
            continue;
        host->state = judge(h, &host->lineage);
        if (host->state != HOST_OLD || before == HOST_OLD)
            continue;
        h->old++;
        log_event(LOG_LEVEL_ERROR, "db_old_timeline",
                  "host=%s port=%s system=%s timeline=%u newest=%u why=\"it takes writes, but "
                  "another server was promoted after it: it is not used; stop it\"",
                  name_of(h, i), host->place.port, host->lineage.system, host->lineage.timeline,
                  newest_of(h, host->lineage.system)->timeline);
    }
}

/* ---- where connections lead ---- */

static bool may_stay(const struct hosts *h) {
    if (h->current == HOSTS_NONE)
        return false;
    const struct host *host = &h->list[h->current];
    return host->state == HOST_WRITER ||
           (host->state == HOST_MISSED && host->users > 0 && !is_old(h, &host->lineage));
}

/* Rather of the same system as before. */
static int best(const struct hosts *h) {
    int found = HOSTS_NONE;
    for (int i = 0; i < h->count; i++) {
        if (h->list[i].state != HOST_WRITER)
            continue;
        if (h->current == HOSTS_NONE ||
            strcmp(h->list[i].lineage.system, h->list[h->current].lineage.system) == 0)
            return i;
        found = found == HOSTS_NONE ? i : found;
    }
    return found;
}

static void choose(struct hosts *h) {
    bool all_heard = true;
    for (int i = 0; i < h->count; i++)
        all_heard = all_heard && h->list[i].state != HOST_UNKNOWN;
    h->settled = h->settled || all_heard;
    int found = !h->settled || may_stay(h) ? HOSTS_NONE : best(h);
    if (found == HOSTS_NONE || found == h->current)
        return;
    if (h->current != HOSTS_NONE)
        log_event(LOG_LEVEL_WARN, "db_moved", "from=%s to=%s port=%s timeline=%u",
                  name_of(h, h->current), name_of(h, found), h->list[found].place.port,
                  h->list[found].lineage.timeline);
    h->current = found;
}

/* What was seen is noted: who hears of it may ask at once. */
static void tell(struct hosts *h, bool newer, bool was_open, int before) {
    if (newer)
        h->handlers->on_newer(h->ctx);
    bool is_open = h->current != HOSTS_NONE && h->list[h->current].state == HOST_WRITER;
    if (h->current != before || (is_open && !was_open))
        h->handlers->on_chosen(h->ctx);
}

enum host_state hosts_met(struct hosts *h, int number, uint64_t try, const char *identity) {
    struct host *host = &h->list[number];
    const struct lineage l = lineage_of(identity);
    int before = h->current;
    bool was_open = before != HOSTS_NONE && h->list[before].state == HOST_WRITER;
    bool newer = raise(h, &l);
    if (try >= host->try) {
        host->try = try;
        host->lineage = l;
        host->state = host->state == HOST_OLD ? HOST_OLD : HOST_WRITER; /* judged below */
        host->why[0] = '\0';
    }
    judge_all(h);
    choose(h);
    tell(h, newer, was_open, before);
    return judge(h, &l);
}

void hosts_missed(struct hosts *h, int number, const char *identity, const char *why) {
    struct host *host = &h->list[number];
    const struct lineage l = lineage_of(identity);
    if (identity[0] != '\0' &&
        (strcmp(l.system, host->lineage.system) != 0 || l.timeline != host->lineage.timeline))
        return;
    int before = h->current;
    host->state = HOST_MISSED;
    snprintf(host->why, sizeof(host->why), "%s", why);
    choose(h);
    tell(h, false, true, before);
}

void hosts_joined(struct hosts *h, int host) {
    h->list[host].users++;
}

void hosts_left(struct hosts *h, int host) {
    h->list[host].users--;
}

int hosts_pick(struct hosts *h, int64_t now_mono_ms) {
    if (h->asked_mono_ms == 0)
        h->asked_mono_ms = now_mono_ms;
    h->settled = h->settled || now_mono_ms - h->asked_mono_ms >= HOSTS_PATIENCE_MS;
    choose(h);
    return h->current != HOSTS_NONE && h->list[h->current].state == HOST_WRITER ? h->current
                                                                                : HOSTS_NONE;
}

bool hosts_keeps(const struct hosts *h, int host, const char *identity) {
    const struct lineage l = lineage_of(identity);
    return !is_old(h, &l) && (h->current == HOSTS_NONE || h->current == host);
}

const char *hosts_refuse(struct hosts *h, int host, const char *identity) {
    const struct lineage l = lineage_of(identity);
    if (is_old(h, &l)) {
        h->old++;
        snprintf(h->text, sizeof(h->text), "%.200s is on timeline %u, and %u was seen",
                 name_of(h, host), l.timeline, newest_of(h, l.system)->timeline);
    } else {
        snprintf(h->text, sizeof(h->text), "it leads to %.150s, the others to %.150s",
                 name_of(h, host), h->current == HOSTS_NONE ? "none" : name_of(h, h->current));
    }
    return h->text;
}

/* ---- facts ---- */

enum host_state hosts_state(const struct hosts *h, int host) {
    return h->list[host].state;
}

bool hosts_only_read(const struct hosts *h) {
    for (int i = 0; i < h->count; i++) {
        if (h->list[i].state != HOST_READER)
            return false;
    }
    return h->count != 0;
}

const char *hosts_why(struct hosts *h) {
    static const char *const WORDS[] = {[HOST_UNKNOWN] = "no answer yet",
                                        [HOST_MISSED] = "not reached",
                                        [HOST_READER] = "it only reads",
                                        [HOST_OLD] = "its timeline is old",
                                        [HOST_WRITER] = "it takes writes"};
    size_t at = 0;
    h->text[0] = '\0';
    if (h->current != HOSTS_NONE && h->list[h->current].state == HOST_WRITER)
        return h->text;
    for (int i = 0; i < h->count && at < sizeof(h->text); i++) {
        const struct host *host = &h->list[i];
        at +=
            (size_t)snprintf(h->text + at, sizeof(h->text) - at, "%s%s: %s", i == 0 ? "" : "; ",
                             name_of(h, i), host->why[0] != '\0' ? host->why : WORDS[host->state]);
    }
    return h->text;
}

uint64_t hosts_old(const struct hosts *h) {
    return h->old;
}

uint32_t hosts_timeline(const struct hosts *h) {
    return h->current == HOSTS_NONE ? 0 : h->list[h->current].lineage.timeline;
}
