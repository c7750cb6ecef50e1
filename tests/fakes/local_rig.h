/*
 * local_rig: what the commands that a proxy answers itself need: a server of two workers, two
 * clients, a topology of three nodes. Nothing changes keys in it. Needs fakes/topology_fake.c.
 */
#ifndef RINGFENCE_LOCAL_RIG_H
#define RINGFENCE_LOCAL_RIG_H

#include "../../common/buf.h"
#include "../../proxy/channels.h"
#include "../../proxy/local.h"
#include "../../proxy/pause.h"
#include "../../proxy/proxy_stats.h"
#include "../../proxy/tracking.h"

enum { LOCAL_RIG_WORKERS = 2, LOCAL_RIG_NOW_MS = 5000000 };

/* One server, two clients; the first is the one that asks. */
struct local_rig {
    stats_value stats[LOCAL_RIG_WORKERS][PROXY_STAT_COUNT];
    const stats_value *blocks[LOCAL_RIG_WORKERS];
    struct local_server server;
    struct pause pause;
    struct local_client me, other;
    struct tracking_client my_tracking;
    struct channels_client my_channels, other_channels;
    struct buf out;
    enum local_result result;
};

/** local_rig_start(): a new one, until the next. local_rig_fill(c, port): one more client. */
struct local_rig *local_rig_start(void);
void local_rig_fill(struct local_client *c, int port);

/** local_rig_ask(rig, text): `text` is words parted by single blanks, "''" an empty one. The reply,
 * NUL-terminated, until the next; the test fails when it is not one whole reply. */
const char *local_rig_ask(struct local_rig *b, const char *text);

/** local_rig_expect(rig, text, want): the whole reply. _expect_has, _expect_lacks: a part of it. */
void local_rig_expect(struct local_rig *b, const char *text, const char *want);
void local_rig_expect_has(struct local_rig *b, const char *text, const char *part);
void local_rig_expect_lacks(struct local_rig *b, const char *text, const char *part);

#endif
