#include "scout.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosts.h"
#include "pg_conn.h"
#include "pg_session.h"

enum { ASK_MS = 250, DEADLINE_MS = 2000 };

struct scout {
    struct pg_group group;
    struct pg_conn *conn;
    bool asking;
    int64_t ask_ms;
    char name[16];
};

struct scouts {
    struct hosts *hosts;
    struct scout list[HOSTS_MAX];
};

/* ---- the servers that conninfo names ---- */

/* The i-th of a list with commas, or the only one. False if there is none. */
static bool item(const char *list, int i, char *out, size_t size) {
    const char *at = list == NULL ? "" : list;
    bool only = strchr(at, ',') == NULL;
    for (; i > 0 && !only; i--) {
        at = strchr(at, ',');
        if (at == NULL)
            return false;
        at++;
    }
    size_t len = strcspn(at, ",");
    if (len >= size)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

static int items(const char *list) {
    int count = list != NULL && list[0] != '\0';
    for (const char *at = list; count != 0 && (at = strchr(at, ',')) != NULL; at++)
        count++;
    return count;
}

static const char *value_of(const PQconninfoOption *options, const char *keyword) {
    for (; options != NULL && options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    }
    return NULL;
}

/* Each host by its place in the lists. False if they are not as libpq wants them, too long, or name
 * a default among others: then conninfo is one server to us, and libpq says what is wrong. */
static bool add_listed(struct hosts *hosts, const char *host, const char *address,
                       const char *port) {
    int hosts_count = items(host), addresses = items(address), ports = items(port);
    int count = hosts_count > addresses ? hosts_count : addresses;
    if (count < 2 || count > HOSTS_MAX || (ports > 1 && ports != count) ||
        (hosts_count != 0 && addresses != 0 && hosts_count != addresses))
        return false;
    struct host_place places[HOSTS_MAX];
    for (int i = 0; i < count; i++) {
        struct host_place *p = &places[i];
        if (!item(host, i, p->host, sizeof(p->host)) ||
            !item(address, i, p->address, sizeof(p->address)) ||
            !item(port, i, p->port, sizeof(p->port)) ||
            (p->host[0] == '\0' && p->address[0] == '\0'))
            return false;
        if (ports > 1 && p->port[0] == '\0')
            snprintf(p->port, sizeof(p->port), "5432");
    }
    for (int i = 0; i < count; i++)
        hosts_add(hosts, &places[i]);
    return true;
}

/* libpq itself puts conninfo, a service file and the environment together; what it may not be asked
 * for keeps it from connecting. */
static PQconninfoOption *options_of(const char *conninfo) {
    static const char *const KEYS[] = {"dbname", "target_session_attrs", NULL};
    const char *const values[] = {conninfo, "nothing", NULL};
    PGconn *pq = PQconnectStartParams(KEYS, values, 1);
    PQconninfoOption *options = PQconninfo(pq);
    PQfinish(pq);
    return options;
}

static void add_hosts(struct hosts *hosts, const char *conninfo) {
    PQconninfoOption *options = options_of(conninfo);
    const char *host = value_of(options, "host");
    struct host_place alone = {.host = ""};
    if (!add_listed(hosts, host, value_of(options, "hostaddr"), value_of(options, "port"))) {
        if (items(host) == 1 && strlen(host) < sizeof(alone.host)) /* a name for the log */
            snprintf(alone.host, sizeof(alone.host), "%s", host);
        hosts_add(hosts, &alone);
    }
    PQconninfoFree(options);
}

/* ---- asking ---- */

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct scout *s = (struct scout *)group;
    PGresult *r = (PGresult *)result;
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1)
        pg_conn_met(s->conn, PQgetvalue(r, 0, 0));
    else
        pg_conn_close(s->conn, PQresultErrorMessage(r));
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    ((struct scout *)group)->asking = false;
}

static void on_up(void *ctx, struct pg_conn *conn) {
}

static void on_down(void *ctx, struct pg_conn *conn) {
}

void scouts_tick(struct scouts *scouts, int64_t now_mono_ms) {
    for (int i = 0; i < hosts_count(scouts->hosts); i++) {
        struct scout *s = &scouts->list[i];
        pg_conn_tick(s->conn, now_mono_ms);
        if (!pg_conn_is_up(s->conn) || s->asking || now_mono_ms < s->ask_ms)
            continue;
        s->ask_ms = now_mono_ms + ASK_MS;
        if (!pg_session_who(pg_conn_raw(s->conn))) {
            pg_conn_close(s->conn, "its question could not be sent");
            continue;
        }
        s->asking = true;
        s->group = (struct pg_group){.on_result = on_result, .on_end = on_end};
        pg_conn_send(s->conn, &s->group);
    }
}

struct hosts *scouts_hosts(struct scouts *scouts) {
    return scouts->hosts;
}

struct scouts *scouts_new(struct event_base *base, const char *conninfo,
                          const struct hosts_handlers *handlers, void *ctx) {
    static const struct pg_conn_handlers CONN_HANDLERS = {.on_up = on_up, .on_down = on_down};
    struct scouts *scouts = calloc(1, sizeof(*scouts));
    if (scouts == NULL)
        return NULL;
    scouts->hosts = hosts_new(handlers, ctx);
    if (scouts->hosts != NULL)
        add_hosts(scouts->hosts, conninfo);
    for (int i = 0; scouts->hosts != NULL && i < hosts_count(scouts->hosts); i++) {
        struct scout *s = &scouts->list[i];
        snprintf(s->name, sizeof(s->name), "scout%d", i + 1);
        const struct pg_conn_conf conf = {.conninfo = conninfo,
                                          .name = s->name,
                                          .deadline_ms = DEADLINE_MS,
                                          .statement_timeout_ms = DEADLINE_MS,
                                          .hosts = scouts->hosts,
                                          .scout = true,
                                          .host = i};
        s->conn = pg_conn_new(base, &conf, &CONN_HANDLERS, s);
        if (s->conn == NULL)
            scouts_free(&scouts);
        if (scouts == NULL)
            return NULL;
    }
    if (scouts->hosts == NULL)
        scouts_free(&scouts);
    return scouts;
}

void scouts_free(struct scouts **pointer) {
    struct scouts *scouts = *pointer;
    *pointer = NULL;
    if (scouts == NULL)
        return;
    for (int i = 0; i < HOSTS_MAX; i++)
        pg_conn_free(&scouts->list[i].conn);
    hosts_free(&scouts->hosts);
    free(scouts);
}
