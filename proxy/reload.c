#include "reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/ring.h"
#include "../common/ring_file.h"
#include "worker.h"

struct reload {
    const char *path;
    struct ring *ring;
    uint64_t epoch;
    bool undelivered; /* a worker did not get the last one */
};

struct reload *reload_new(const char *path, char *error, unsigned error_size) {
    struct reload *reload = calloc(1, sizeof(*reload));
    struct ring_file_error why = {"out of memory"};
    if (reload != NULL) {
        reload->path = path;
        reload->ring = ring_file_load(path, &reload->epoch, &why);
        if (reload->ring != NULL)
            return reload;
    }
    free(reload);
    snprintf(error, error_size, "%s", why.text);
    return NULL;
}

void reload_free(struct reload **reload) {
    if (*reload == NULL)
        return;
    ring_free(&(*reload)->ring);
    free(*reload);
    *reload = NULL;
}

static struct ring *copy(const struct ring *ring) {
    size_t count = ring_count(ring);
    struct ring_member *members = calloc(count, sizeof(*members));
    if (members == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        members[i] = *ring_at(ring, (uint32_t)i);
    struct ring *made = ring_build(members, count);
    free(members);
    return made;
}

struct ring *reload_copy(const struct reload *reload, uint64_t *epoch_out) {
    *epoch_out = reload->epoch;
    return copy(reload->ring);
}

/* One log line per member that is new, gone or changed; returns how many. */
static unsigned log_changes(const struct ring *from, const struct ring *to) {
    unsigned changes = 0;
    for (size_t i = 0; i < ring_count(from); i++) {
        if (ring_find(to, ring_at(from, (uint32_t)i)->name) < 0) {
            changes++;
            log_event(LOG_LEVEL_INFO, "ring_node_removed", "node=%s",
                      ring_at(from, (uint32_t)i)->name);
        }
    }
    for (size_t i = 0; i < ring_count(to); i++) {
        const struct ring_member *now = ring_at(to, (uint32_t)i);
        int index = ring_find(from, now->name);
        const struct ring_member *was = index < 0 ? NULL : ring_at(from, (uint32_t)index);
        if (was != NULL && was->port == now->port && was->weight == now->weight &&
            was->state == now->state && strcmp(was->host, now->host) == 0)
            continue;
        changes++;
        log_event(LOG_LEVEL_INFO, was == NULL ? "ring_node_added" : "ring_node_changed",
                  "node=%s addr=%s:%u weight=%u state=%s", now->name, now->host, now->port,
                  now->weight, ring_state_name(now->state));
    }
    return changes;
}

bool reload_again(struct reload *reload, struct worker **workers, unsigned count) {
    struct ring_file_error why;
    uint64_t epoch;
    struct ring *ring = ring_file_load(reload->path, &epoch, &why);
    if (ring == NULL) {
        log_event(LOG_LEVEL_ERROR, "ring_refused", "why=\"%s\" kept_epoch=%llu", why.text,
                  (unsigned long long)reload->epoch);
        return false;
    }
    if (log_changes(reload->ring, ring) == 0 && epoch == reload->epoch && !reload->undelivered) {
        log_event(LOG_LEVEL_INFO, "ring_unchanged", "epoch=%llu", (unsigned long long)epoch);
        ring_free(&ring);
        return false;
    }
    uint32_t moved_ppm = ring_moved(reload->ring, ring);
    reload->undelivered = false;
    for (unsigned i = 0; i < count; i++) {
        struct ring *own = copy(ring);
        if (own != NULL && worker_give_ring(workers[i], own, epoch))
            continue;
        reload->undelivered = true;
        log_event(LOG_LEVEL_ERROR, "ring_not_delivered",
                  "worker=%u why=\"out of memory or a full mailbox; SIGHUP tries again\"", i);
    }
    ring_free(&reload->ring);
    reload->ring = ring;
    reload->epoch = epoch;
    log_event(LOG_LEVEL_INFO, "ring_reloaded",
              "epoch=%llu checksum=%016llx nodes=%zu keys_moved_percent=%u.%02u",
              (unsigned long long)epoch, (unsigned long long)ring_checksum(ring), ring_count(ring),
              moved_ppm / 10000, moved_ppm % 10000 / 100);
    return true;
}
