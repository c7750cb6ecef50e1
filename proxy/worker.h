/*
 * worker: one thread with its own event base, clients, node connections and counters. Shares
 * nothing on the request path. Owned by main.
 */
#ifndef RINGFENCE_WORKER_H
#define RINGFENCE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/stats.h"

struct conf_row;
struct inbox;
struct local_server;
struct ring;
struct users;
struct worker;

/**
 * worker_start(server, ring_path, ring, epoch, users, stats): a running thread. `server` (its own
 * copy; the fields of this worker are filled in here) and `stats` [PROXY_STAT_COUNT] are borrowed
 * until worker_free(). The ring and the users (NULL: none) are taken over, also on failure. NULL
 * without memory or threads.
 */
struct worker *worker_start(struct local_server *server, const char *ring_path, struct ring *ring,
                            uint64_t epoch, struct users *users, stats_value *stats);

/** worker_give_client(worker, fd): hand a connection over. Returns false, fd still the caller's,
 * when its mailbox is full. */
bool worker_give_client(struct worker *worker, int fd);

/** worker_give_ring(worker, ring, epoch): a new ring; taken over, freed if it cannot be delivered.
 */
bool worker_give_ring(struct worker *worker, struct ring *ring, uint64_t epoch);

/** worker_give_users(worker, users): other users, to a worker that was started with some; taken
 * over, freed if they cannot be delivered. */
bool worker_give_users(struct worker *worker, struct users *users);

/** worker_tell(worker, news): it is to look at it; `news`: enum local_news. From any thread. */
void worker_tell(struct worker *worker, int news);

/** worker_wake(worker, inbox): it is to look into an inbox of one of its clients; false when its
 * mailbox is full. From any thread. */
bool worker_wake(struct worker *worker, struct inbox *inbox);

/** worker_set_option(worker, here, row, value): change an option with CONF_RELOADABLE; `row` is one
 * of proxy_conf_rows(). worker_reset_stats(worker, here): begin its counters anew. `here`: this is
 * its own thread, so at once; else false when its mailbox is full. */
bool worker_set_option(struct worker *worker, bool here, const struct conf_row *row, int64_t value);
bool worker_reset_stats(struct worker *worker, bool here);

/** worker_drain(worker): finish what is asked, close idle clients; the thread ends when none is
 * left. worker_stop(): it ends now. */
void worker_drain(struct worker *worker);
void worker_stop(struct worker *worker);

/** worker_ended(worker): the thread's loop is over. worker_join(worker): wait for that.
 * worker_free(worker): the same, and free it: workers that run may send it messages (CLIENT KILL,
 * CONFIG SET), so all are joined before the first is freed. */
bool worker_ended(const struct worker *worker);
void worker_join(struct worker *worker);
void worker_free(struct worker **worker);

#endif
