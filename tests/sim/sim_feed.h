/*
 * sim_feed: what node/feed_pg.c does, over the model of PostgreSQL: LISTEN, a first-in first-out
 * stream of payloads (which the real feed parser reads), heartbeats; and the ways in which it
 * breaks.
 */
#ifndef RINGFENCE_SIM_FEED_H
#define RINGFENCE_SIM_FEED_H

#include "sim.h"
#include "sim_db.h"

struct sim_feed;
struct sim_node;

struct sim_feed *sim_feed_new(struct sim *sim, struct sim_node *node);
void sim_feed_end(struct sim_feed *feed);

/** sim_feed_lines(feed, server, lines): NOTIFY on that server; whoever listens there will hear. */
void sim_feed_lines(struct sim_feed *feed, int server, const struct sim_lines *lines);

/** sim_feed_lose(feed, silently): the connection breaks: the node is told soon, or late. */
void sim_feed_lose(struct sim_feed *feed, bool silently);
/** sim_feed_close(feed): the node gives it up itself. */
void sim_feed_close(struct sim_feed *feed);
void sim_feed_server_died(struct sim_feed *feed, int server);

/** sim_feed_slow(feed, us): what is sent from now on comes that much later, for a while. */
void sim_feed_slow(struct sim_feed *feed, int64_t us);

/** sim_feed_cut(feed, cut): PostgreSQL cannot be reached from here. */
void sim_feed_cut(struct sim_feed *feed, bool cut);

/** sim_feed_heard_ms(feed): when the newest of its heartbeats that the node heard was sent; 0: it
 * heard none. */
int64_t sim_feed_heard_ms(const struct sim_feed *feed);

/** sim_feed_is_captive(feed): all that this node is connected to is a server that was replaced: it
 * cannot know. */
bool sim_feed_is_captive(const struct sim_feed *feed);

/** sim_feed_owes(feed, key): a line about the key is on its way, or the stream is not one of the
 * primary's: then only the fence bounds what the node may believe. */
bool sim_feed_owes(const struct sim_feed *feed, unsigned key);

#endif
