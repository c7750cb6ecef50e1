/*
 * node_fake: a node that does what a test tells it, on a loopback port, within the test's own event
 * base. It parses requests, answers RF.LINK, RF.WATCH and (unless told otherwise) RF.STATUS by
 * itself, keeps the text of all but the link and status, and says what the test says. Owned by the
 * test.
 */
#ifndef RINGFENCE_NODE_FAKE_H
#define RINGFENCE_NODE_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/span.h"

struct event_base;
struct node_fake;

/** Called for each request but RF.LINK and RF.STATUS; says the answer with node_fake_say(), now or
 * later or never. */
typedef void node_fake_fn(void *ctx, struct node_fake *node, const struct span *argv,
                          uint32_t argc);

/** node_fake_new(base): listens on a port of its choice below 32768. Aborts when it cannot. */
struct node_fake *node_fake_new(struct event_base *base);
void node_fake_free(struct node_fake **node);
uint16_t node_fake_port(const struct node_fake *node);

/** node_fake_serve(node, fn, ctx): who answers; NULL (as at first): nobody. */
void node_fake_serve(struct node_fake *node, node_fake_fn *fn, void *ctx);

/** node_fake_mute(node, link, status): whether RF.LINK and RF.STATUS stay without their answers. */
void node_fake_mute(struct node_fake *node, bool link, bool status);

/** node_fake_mute_watch(node, watch): the same for RF.WATCH, which is answered otherwise. */
void node_fake_mute_watch(struct node_fake *node, bool watch);

/** node_fake_refuse(node): nobody listens on its port any more; connections stay.
 * node_fake_listen(node): again. */
void node_fake_refuse(struct node_fake *node);
void node_fake_listen(struct node_fake *node);

/** node_fake_hang(node, hangs): as a stopped process: the kernel still accepts and takes bytes, the
 * node does nothing. */
void node_fake_hang(struct node_fake *node, bool hangs);

/** node_fake_reset(node): its connections end at once, unread bytes and all. */
void node_fake_reset(struct node_fake *node);

/** node_fake_say(node, text): bytes to whoever connected last; the test ensures that they fit into
 * the socket. */
void node_fake_say(struct node_fake *node, const char *text);
void node_fake_say_span(struct node_fake *node, struct span bytes);

/** node_fake_links(node) / node_fake_statuses(node): how often RF.LINK and RF.STATUS were heard.
 * node_fake_open(node): connections now. */
unsigned node_fake_links(const struct node_fake *node);
unsigned node_fake_statuses(const struct node_fake *node);
unsigned node_fake_open(const struct node_fake *node);

/** node_fake_heard(node): requests heard in all, RF.LINK and RF.STATUS left out;
 * node_fake_request(node, i): one of them, its words parted by blanks, cut at 200 bytes; "" when
 * there is none. node_fake_forget(node): as if nothing had been heard. */
unsigned node_fake_heard(const struct node_fake *node);
const char *node_fake_request(const struct node_fake *node, unsigned i);
void node_fake_forget(struct node_fake *node);

#endif
