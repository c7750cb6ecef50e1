/*
 * worker_fake: workers that keep what they are given; take the place of proxy/worker.c for what
 * hands things to workers. Owned by the test.
 */
#ifndef RINGFENCE_WORKER_FAKE_H
#define RINGFENCE_WORKER_FAKE_H

#include <stdbool.h>
#include <stdint.h>

struct ring;
struct users;
struct worker;

struct worker *worker_fake_new(void);

/** worker_fake_free(w): closes and frees what it was given. */
void worker_fake_free(struct worker **worker);

/** worker_fake_full(w, full): its mailbox takes nothing. */
void worker_fake_full(struct worker *worker, bool full);

/** worker_fake_clients(w): connections given; worker_fake_rings(w): rings given, the last of which
 * is worker_fake_ring(w), with its epoch. */
unsigned worker_fake_clients(const struct worker *worker);
unsigned worker_fake_rings(const struct worker *worker);
const struct ring *worker_fake_ring(const struct worker *worker, uint64_t *epoch_out);

/** worker_fake_users(w): the last users given, or NULL. */
const struct users *worker_fake_users(const struct worker *worker);

#endif
