/*
 * ring: which member owns a hash. An immutable object built from members; pure: no clock, no
 * health, no socket, no files. Algorithm `xxh3-ketama`, fixed for ever: each member has 1,024 x
 * weight points, point i at hash_point(name, i); a key belongs to the first point at or after
 * hash_ring(key), wrapping. Source: Karger et al., "Consistent Hashing and Random Trees", STOC
 * 1997; ketama (Last.fm, 2007) for many points per member.
 */
#ifndef RINGFENCE_RING_H
#define RINGFENCE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum {
    RING_POINTS_PER_WEIGHT = 1024,
    RING_NAME_BYTES_MAX = 64,
    RING_HOST_BYTES_MAX = 255,
    RING_MEMBERS_MAX = 4096,
    RING_WEIGHT_MAX = 100,
    RING_WEIGHT_SUM_MAX = 4096 /* of the members that are up: 4 million points, 140 MB */
};

enum ring_state {
    RING_UP,    /* owns keys */
    RING_DRAIN, /* owns none; what is in flight finishes */
    RING_DOWN,  /* owns none; not connected to */
};

struct ring_member {
    char name[RING_NAME_BYTES_MAX + 1];
    char host[RING_HOST_BYTES_MAX + 1];
    uint16_t port;
    uint16_t weight; /* 1 .. RING_WEIGHT_MAX */
    enum ring_state state;
};

struct ring; /* owned by whoever built it */

/** ring_state_name(state): "up", "drain" or "down", as the ring file has it. */
const char *ring_state_name(enum ring_state state);

/**
 * ring_build(members, count): a ring over copies of the members; indices are as given. NULL without
 * memory, or if no member is RING_UP, or above RING_MEMBERS_MAX or RING_WEIGHT_SUM_MAX. Two points
 * at one place: the member with the smaller name wins. Cost: O(points log points).
 */
struct ring *ring_build(const struct ring_member *members, size_t count);
void ring_free(struct ring **ring);

/** ring_lookup(ring, hash): index of the member that owns `hash`. Cannot fail. Cost: O(1) in
 * practice: the points of the hash's top bits lie in one cache line. */
uint32_t ring_lookup(const struct ring *ring, uint64_t hash);

/** ring_prefetch(ring, hash): a hint that `hash` is about to be looked up: its memory is fetched
 * meanwhile. */
void ring_prefetch(const struct ring *ring, uint64_t hash);

/**
 * ring_owners(ring, hash, out, max): the first `max` distinct members from the owner on, clockwise:
 * where a key goes when the owners before are down. Returns how many were written (all RING_UP
 * members at most). Cost: O(log points + points walked).
 */
size_t ring_owners(const struct ring *ring, uint64_t hash, uint32_t *out, size_t max);

/** ring_count(ring) / ring_at(ring, index): the members as given. */
size_t ring_count(const struct ring *ring);
const struct ring_member *ring_at(const struct ring *ring, uint32_t index);

/** ring_find(ring, name): index of a member by name, or -1. */
int ring_find(const struct ring *ring, const char *name);

/** ring_checksum(ring): over names, weights and states of all members, whatever their order in the
 * file; equal in every proxy with the same placement. */
uint64_t ring_checksum(const struct ring *ring);

/** ring_share(ring, index): exact share of the hash space that a member owns, in parts per million,
 * rounded down. Cost: O(1). */
uint32_t ring_share(const struct ring *ring, uint32_t index);

/** ring_moved(from, to): exact share of the hash space whose owner's name differs, in parts per
 * million. Cost: O(points of both). */
uint32_t ring_moved(const struct ring *from, const struct ring *to);

#endif
