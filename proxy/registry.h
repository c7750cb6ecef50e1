/*
 * registry: all clients of all workers, for CLIENT LIST and INFO. The only lock in the proxy; taken
 * on connect, disconnect, CLIENT SETNAME/SETINFO and CLIENT LIST, never on the request path. Owned
 * by main.
 */
#ifndef RINGFENCE_REGISTRY_H
#define RINGFENCE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

struct inbox;
struct local_client;
struct registry;

struct registry *registry_new(void);
void registry_free(struct registry **registry);

/** registry_add(registry, client): give it an id and list it. registry_remove(): take it out before
 * it is freed. */
void registry_add(struct registry *registry, struct local_client *client);
void registry_remove(struct registry *registry, struct local_client *client);

/** registry_inbox(registry, id, user): the inbox of that user's client with this id, for
 * invalidations of others (a reference for the caller; made at the first call), or NULL: `missing`
 * says whether that is for want of such a client, else of memory. From any thread. Cost:
 * O(clients). */
struct inbox *registry_inbox(struct registry *registry, int64_t id, const char *user,
                             bool *missing);

/** registry_lock / registry_unlock: while the text fields of a client are changed, or the list is
 * walked. */
void registry_lock(struct registry *registry);
void registry_unlock(struct registry *registry);

/** registry_first(registry): head of the list (follow ->next), under the lock; ordered by id. */
struct local_client *registry_first(struct registry *registry);

#endif
