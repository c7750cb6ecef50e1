#include "registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "inbox.h"
#include "local.h"

enum { INVALIDATIONS_BYTES_MAX = 256 << 10 /* that wait for a client of another worker */ };

struct registry {
    pthread_mutex_t lock;
    struct local_client *first, *last;
    uint64_t id_last;
};

struct registry *registry_new(void) {
    struct registry *registry = calloc(1, sizeof(*registry));
    if (registry == NULL)
        return NULL;
    if (pthread_mutex_init(&registry->lock, NULL) != 0) {
        free(registry);
        return NULL;
    }
    return registry;
}

void registry_free(struct registry **pointer) {
    struct registry *registry = *pointer;
    *pointer = NULL;
    if (registry == NULL)
        return;
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

void registry_lock(struct registry *registry) {
    pthread_mutex_lock(&registry->lock);
}

void registry_unlock(struct registry *registry) {
    pthread_mutex_unlock(&registry->lock);
}

void registry_add(struct registry *registry, struct local_client *client) {
    registry_lock(registry);
    client->id = ++registry->id_last;
    client->next = NULL;
    client->prev = registry->last;
    *(registry->last != NULL ? &registry->last->next : &registry->first) = client;
    registry->last = client;
    registry_unlock(registry);
}

void registry_remove(struct registry *registry, struct local_client *client) {
    registry_lock(registry);
    *(client->prev != NULL ? &client->prev->next : &registry->first) = client->next;
    *(client->next != NULL ? &client->next->prev : &registry->last) = client->prev;
    client->next = client->prev = NULL;
    struct inbox *inbox = atomic_exchange(&client->inbox, NULL);
    registry_unlock(registry);
    if (inbox != NULL)
        inbox_close(inbox);
    inbox_drop(&inbox);
}

struct inbox *registry_inbox(struct registry *registry, int64_t id, const char *user,
                             bool *missing) {
    struct inbox *inbox = NULL;
    registry_lock(registry);
    struct local_client *c = registry->first;
    while (c != NULL && (id <= 0 || c->id != (uint64_t)id))
        c = c->next;
    *missing = c == NULL || strcmp(c->user, user) != 0;
    if (!*missing) {
        inbox = atomic_load(&c->inbox);
        if (inbox == NULL) {
            inbox = inbox_new(INBOX_INVALIDATIONS, c->id, c->worker, c, INVALIDATIONS_BYTES_MAX);
            atomic_store(&c->inbox, inbox);
        }
        inbox_hold(inbox);
    }
    registry_unlock(registry);
    return inbox;
}

struct local_client *registry_first(struct registry *registry) {
    return registry->first;
}
