#include "registry.h"

#include <pthread.h>
#include <stdlib.h>

#include "local.h"

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
    registry_unlock(registry);
}

struct local_client *registry_first(struct registry *registry) {
    return registry->first;
}
