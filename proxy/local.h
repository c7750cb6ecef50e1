/*
 * local: the commands that the proxy answers itself. Knows what a connection-level command means;
 * reads figures through struct local_server; never touches nodes. Each worker has its own `struct
 * local_server` view.
 */
#ifndef RINGFENCE_LOCAL_H
#define RINGFENCE_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"
#include "../common/stats.h"
#include "rights.h"

struct board;
struct buf;
struct channels;
struct channels_client;
struct conn;
struct proxy_conf;
struct conf_row;
struct hotkeys;
struct inbox;
struct monitor;
struct pause;
struct registry;
struct slowlog;
struct timing;
struct topology;
struct tracking;
struct tracking_client;

enum { LOCAL_NAME_BYTES = 64 };

/* One client as connection-level commands see it; embedded in struct client, whose worker alone
 * writes it. The text fields are changed under the registry's lock. */
struct local_client {
    uint64_t id; /* never reused in this process, distinct between workers */
    int proto;   /* 2 or 3 */
    int fd;
    char addr[64], laddr[64];
    char name[LOCAL_NAME_BYTES];
    char lib_name[LOCAL_NAME_BYTES], lib_ver[LOCAL_NAME_BYTES];
    char user[LOCAL_NAME_BYTES]; /* "default" until it authenticates */
    struct rights_holder rights;
    int64_t connected_wall_ms;
    struct tracking_client *tracking; /* of the same client */
    struct channels_client *channels; /* likewise */
    unsigned worker;                  /* that serves it */
    _Atomic(struct inbox *) inbox;    /* of what others are to be told and it is told instead; the
                                         registry's, or NULL */
    struct inbox *monitor;            /* it monitors, and lines come from there; or NULL */
    stats_value monitors;             /* the same, for CLIENT LIST */
    stats_value tracks;               /* for CLIENT LIST: see local_show_tracking() */
    stats_value last_mono_ms;         /* of its last request */
    stats_value last_command;         /* command_id */
    stats_value commands;
    stats_value killed;   /* enum local_kill: its worker has to close it. Set by any thread */
    stats_value bytes;    /* memory of its buffers, as far as it is counted */
    stats_value no_evict; /* CLIENT NO-EVICT: whatever that is */
    bool ends;            /* it ends behind the answer that is being written */
    uint8_t reply;        /* enum local_reply: CLIENT REPLY */
    struct local_client *next, *prev; /* the registry's */
};

/* Whether a client's requests are answered. SKIP: the one that comes next is not; SKIPS: it came.
 */
enum local_reply { LOCAL_REPLY_ON, LOCAL_REPLY_OFF, LOCAL_REPLY_SKIP, LOCAL_REPLY_SKIPS };

enum local_kill { LOCAL_KILL_NOT, LOCAL_KILL_ASKED /* CLIENT KILL */, LOCAL_KILL_EVICTED };

/* What has changed for every worker: clients were marked as killed and are to be closed; the pause;
 * who monitors. */
enum local_news { LOCAL_NEWS_KILLED, LOCAL_NEWS_PAUSE, LOCAL_NEWS_MONITORS };

/* How one worker reaches all of them. */
struct local_peers {
    /** Every worker is to look at it. */
    void (*tell)(void *ctx, enum local_news news);
    /** Every worker is to change an option that may be changed; `worker`, which asks, has done so
     * when this returns. False when one cannot be told. */
    bool (*set_option)(void *ctx, unsigned worker, const struct conf_row *row, int64_t value);
    /** The worker of an inbox is to look into it. False when it cannot be told. */
    bool (*wake)(void *ctx, struct inbox *inbox);
    /** Every worker is to begin its counters anew; `worker` at once. */
    void (*reset_stats)(void *ctx, unsigned worker);
    void *ctx;
};

/* What a worker knows about the process; filled by main, borrowed. */
struct local_server {
    const struct proxy_conf *conf;
    struct registry *registry;              /* all clients of all workers */
    const stats_value *const *worker_stats; /* one block per worker: [PROXY_STAT_COUNT] each */
    unsigned workers;
    unsigned worker;                     /* this one's number */
    struct timing *timing;               /* of this worker; NULL: not measured */
    const struct timing *const *timings; /* of each worker, or NULL */
    struct slowlog *slowlog;             /* of all workers, or NULL */
    struct hotkeys *hotkeys;             /* of all workers, or NULL */
    struct pause *pause;                 /* of all workers */
    struct monitor *monitor;             /* of all workers, or NULL */
    const struct local_peers *peers;     /* NULL: there is nobody to be reached */
    struct topology *topology;           /* of this worker: ring and node states, for INFO */
    struct tracking *tracking;           /* of this worker */
    struct channels *channels;           /* of this worker, or NULL */
    struct board *board;                 /* of all workers, or NULL: nobody can subscribe */
    struct rights *rights;   /* of this worker; NULL: no users, everybody may do everything */
    const char *config_file; /* "" without one */
    const char *run_id;      /* 40 hex digits */
    uint16_t port;           /* really bound */
    int64_t started_mono_ms;
};

/** local_tell(server, news): every worker is to look at it; nothing if nobody can be reached. */
void local_tell(const struct local_server *server, enum local_news news);

/** local_takes(id, argv, argc): a request for COMMAND_MEMORY or COMMAND_OBJECT (arity already
 * checked) that is not for a node: it is about no key, or wrong. */
bool local_takes(int id, const struct span *argv, uint32_t argc);

/** local_show_tracking(client): how it tracks has changed, and CLIENT LIST is to show it. */
void local_show_tracking(struct local_client *client);

/** local_may_monitor(server, client): its user may. local_monitor_end(server, client): it monitors
 * no more; allowed when it did not. */
bool local_may_monitor(const struct local_server *server, const struct local_client *client);
void local_monitor_end(const struct local_server *server, struct local_client *client);

/** local_begin(server, client): who it is when it connects. Before it is in the registry. */
void local_begin(const struct local_server *server, struct local_client *client);

/** local_renew(server, client): the users were replaced (rights_swap()): false when it has to go.
 */
bool local_renew(const struct local_server *server, struct local_client *client);

enum local_result {
    LOCAL_DONE,  /* answered in `out` */
    LOCAL_CLOSE, /* answered; close the connection once it is sent (QUIT, or too many wrong
                    passwords) */
};

/** local_may_queue(server, client, id, argv, argc, out): false, the error written, if there is
 * something wrong with a request's subcommand, or if it may not stand between MULTI and EXEC: when
 * the other commands are done it is too late to say so. True for commands without any. */
bool local_may_queue(const struct local_server *server, struct local_client *client, int id,
                     const struct span *argv, uint32_t argc, struct buf *out);

/** local_execute(server, client, now_mono_ms, id, argv, argc, out): answer a COMMAND_LOCAL command
 * (arity already checked). */
enum local_result local_execute(const struct local_server *server, struct local_client *client,
                                int64_t now_mono_ms, int id, const struct span *argv, uint32_t argc,
                                struct buf *out);

#endif
