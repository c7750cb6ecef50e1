/*
 * client: one client's connection: its requests in, their replies out in order, program order kept
 * (rule 5): a request waits while an earlier unanswered one of the same client touches the same key
 * and one of the two writes. Waiting means not reading on: nothing is queued for it. Owned by the
 * worker's list of clients; frees itself when its connection ends.
 */
#ifndef RINGFENCE_CLIENT_H
#define RINGFENCE_CLIENT_H

#include <stdint.h>

struct client;
struct client_list;
struct channels_handlers;
struct inbox;
struct tracking_handlers;
struct proxy_env;

/* The clients of one worker and the memory of their requests. Owned by the worker. */
struct client_list *client_list_new(const struct proxy_env *env);

/** client_list_free(list): closes every client; requests that nodes still have must have been
 * answered (topology_free() before). */
void client_list_free(struct client_list **list);

/** client_list_waiting(list): how many of them wait for an answer; stays up to date, lives as long
 * as the list. */
const uint32_t *client_list_waiting(const struct client_list *list);

/** client_list_count(list): connected clients. */
uint32_t client_list_count(const struct client_list *list);

/** client_list_drain(list, now_us): from now on each client is closed right behind its next reply,
 * as soon as nothing that it sent is unread; those that ask for nothing for a while are closed by
 * client_list_tick(). */
void client_list_drain(struct client_list *list, int64_t now_us);

/** client_list_tick(list, now_us): close clients that were idle for longer than client-idle-s, or
 * for a moment while draining, and those that do not take their last replies. Cost: O(clients);
 * call it every second or so, more often while draining. */
void client_list_tick(struct client_list *list, int64_t now_us);

/** client_open(list, fd): a client connected; `fd` is taken over, also when memory runs out (then
 * it is closed). */
void client_open(struct client_list *list, int fd);

/** client_list_renew(list): the worker's users were replaced: clients whose user is gone, or whose
 * password is no longer one of its user's, are closed behind what they asked for. */
void client_list_renew(struct client_list *list);

/** client_list_pause(list): the pause may have changed: what was held back is looked at again.
 * Returns in how many microseconds it ends, 0: there is none. Cost: O(clients) if something was
 * held back. */
int64_t client_list_pause(struct client_list *list);

/** client_list_monitor(list): who monitors has changed, or whether one may. Cost: O(clients) if one
 * may not. */
void client_list_monitor(struct client_list *list);

/** client_list_sweep(list): close the clients that CLIENT KILL marked. Cost: O(clients). */
void client_list_sweep(struct client_list *list);

/** client_inbox(inbox): an inbox of one of the worker's clients has something in it. */
void client_inbox(struct inbox *inbox);

/** CLIENT_TRACKING_HANDLERS, CLIENT_CHANNELS_HANDLERS: how tracking and channels tell clients;
 * their ctx is the worker's struct proxy_env. client_tracking_figures(env): their figures into the
 * counters. */
extern const struct tracking_handlers CLIENT_TRACKING_HANDLERS;
extern const struct channels_handlers CLIENT_CHANNELS_HANDLERS;
void client_tracking_figures(const struct proxy_env *env);

/** client_hot_figures(env): near's figures into the counters. */
void client_hot_figures(const struct proxy_env *env);

#endif
