/*
 * hosts: the servers that conninfo names, what was last seen of each, the highest timeline ever
 * seen of each system, and so where all connections of the node lead: to one server that takes
 * writes, and never to one whose timeline is lower than one that was seen. Pure: knows no libpq and
 * no loop; times come in. Owned by scouts, borrowed by every pg_conn.
 */
#ifndef RINGFENCE_HOSTS_H
#define RINGFENCE_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

struct hosts;

enum {
    HOSTS_NONE = -1,
    HOSTS_MAX = 16,
    HOSTS_SYSTEMS_MAX = 8,   /* systems whose timelines are remembered */
    HOSTS_PATIENCE_MS = 1000 /* at start each host is heard before one is chosen, for so long */
};

enum host_state {
    HOST_UNKNOWN, /* not tried yet */
    HOST_MISSED,  /* the last try failed, or its scout lost it */
    HOST_READER,  /* a standby, or read-only */
    HOST_OLD,     /* takes writes, but a higher timeline of its system was seen: a zombie */
    HOST_WRITER
};

struct host_place {
    char host[256], address[64], port[8]; /* as libpq's host, hostaddr, port; "": its default */
};

struct hosts_handlers {
    /** A higher timeline of a known system was seen: what came from the lower one may be of a
     * history that is no more. Called once each time, from whoever saw it. */
    void (*on_newer)(void *ctx);
    /** There is a server to connect to, or another one than before. */
    void (*on_chosen)(void *ctx);
};

/** hosts_new(handlers, ctx): none yet. `handlers` are borrowed. NULL without memory. */
struct hosts *hosts_new(const struct hosts_handlers *handlers, void *ctx);
void hosts_free(struct hosts **hosts);

/** hosts_add(hosts, place): one more; copied. False when there are HOSTS_MAX. */
bool hosts_add(struct hosts *hosts, const struct host_place *place);
int hosts_count(const struct hosts *hosts);
const struct host_place *hosts_place(const struct hosts *hosts, int host);

/** hosts_try(hosts): the number of a try to connect; a host is as the newest try found it. */
uint64_t hosts_try(struct hosts *hosts);

/**
 * hosts_met(hosts, host, try, identity): a connection to `host` says who it is: "SYSTEM/TIMELINE/
 * START", the timeline as eight hexadecimal digits, or as anything else by a server that only
 * reads. Returns what that server is.
 */
enum host_state hosts_met(struct hosts *hosts, int host, uint64_t try, const char *identity);

/** hosts_missed(hosts, host, identity, why): it could not be connected to ("": nobody was met), or
 * the scout of the server with that identity lost it. No news if another one was met there since.
 */
void hosts_missed(struct hosts *hosts, int host, const char *identity, const char *why);

/** hosts_joined / hosts_left: a connection that uses the host is up / is not any more. While one
 * is, the loss of its scout alone moves nobody. */
void hosts_joined(struct hosts *hosts, int host);
void hosts_left(struct hosts *hosts, int host);

/** hosts_pick(hosts, now_mono_ms): the host to connect to now, or HOSTS_NONE. */
int hosts_pick(struct hosts *hosts, int64_t now_mono_ms);

/** hosts_keeps(hosts, host, identity): a connection to it may stay: no higher timeline of its
 * system was seen, and the node's connections do not lead elsewhere. */
bool hosts_keeps(const struct hosts *hosts, int host, const char *identity);

/** hosts_refuse(hosts, host, identity): hosts_keeps() says no to a connection that is being used;
 * counted if it is for its timeline. Returns why, valid until the next call. */
const char *hosts_refuse(struct hosts *hosts, int host, const char *identity);

enum host_state hosts_state(const struct hosts *hosts, int host);

/** hosts_only_read(hosts): every host answers, and none takes writes. */
bool hosts_only_read(const struct hosts *hosts);

/** hosts_why(hosts): why there is none to connect to: one line; "" if there is one. Valid until the
 * next call. */
const char *hosts_why(struct hosts *hosts);

/** hosts_old(hosts): servers and connections that were refused for a lower timeline.
 * hosts_timeline(hosts): that of the server that the connections lead to; 0: none. */
uint64_t hosts_old(const struct hosts *hosts);
uint32_t hosts_timeline(const struct hosts *hosts);

#endif
