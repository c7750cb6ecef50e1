#include "pg_fake.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/buf.h"
#include "../../common/clock.h"
#include "pg_message.h"

enum {
    SESSIONS_MAX = 64,
    PREPARED_MAX = 80,
    TEXT_BYTES = 300,
    SEEN_BYTES = 256 << 10,
    IN_BYTES = 256 << 10,
    PROTOCOL_3 = 3 << 16,
};

struct statement {
    const char *sql; /* in the session's texts */
    bool is_prepare, is_parsed;
    struct span params[PG_FAKE_PARAMS_MAX]; /* in the group's bytes */
    unsigned params_count;
};

struct pg_fake_group {
    struct session *session;
    struct statement statements[PG_FAKE_STATEMENTS_MAX];
    unsigned count, answered;
    bool failed;
    struct buf out;
    char *owned[PG_FAKE_STATEMENTS_MAX * 2]; /* what params and unnamed texts point to */
    unsigned owned_count;
    struct pg_fake_group *next; /* among those that wait */
};

struct session {
    struct pg_fake *fake;
    int fd; /* -1: free */
    struct event *readable;
    struct buf in;
    bool started, listens;
    int pid;
    char name[64], identity[160];
    struct {
        char name[16];
        char *sql;
    } prepared[PREPARED_MAX];
    unsigned prepared_count;
    struct pg_fake_group *building;
};

struct pg_fake {
    struct event_base *base;
    char dir[40], path[80];
    int fd; /* -1: nobody listens */
    struct event *acceptable;
    struct session sessions[SESSIONS_MAX];
    struct pg_fake_group *first;
    unsigned started, beats;
    bool mute, standby, deaf;
    char refuse_state[8], refuse_message[TEXT_BYTES];
    char identity[160], sentinel[TEXT_BYTES], terminated[TEXT_BYTES];
    char fail_part[64], fail_state[8], fail_message[TEXT_BYTES];
    const char *hold, *check;
    int64_t ahead_ms;
    char *seen; /* all SQL texts, one a line */
    size_t seen_len;
};

static void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "pg_fake: %s\n", what);
    abort();
}

/* ---- messages to libpq ---- */

static void say(struct session *s, struct buf *b) {
    size_t len = buf_len(b);
    if (s->fd >= 0) {
        ssize_t n = send(s->fd, buf_head(b), len, MSG_NOSIGNAL);
        must(n < 0 || (size_t)n == len, "the socket is full");
    }
    buf_release(b);
}

/* ---- groups ---- */

static void free_group(struct pg_fake_group *group) {
    for (unsigned i = 0; i < group->owned_count; i++)
        free(group->owned[i]);
    buf_release(&group->out);
    free(group);
}

static struct pg_fake_group *building(struct session *s) {
    if (s->building == NULL) {
        s->building = calloc(1, sizeof(*s->building));
        must(s->building != NULL, "memory");
        s->building->session = s;
        buf_init(&s->building->out, 0);
    }
    return s->building;
}

static char *own(struct pg_fake_group *group, const char *bytes, size_t len) {
    char *copy = malloc(len + 1);
    must(copy != NULL && group->owned_count < PG_FAKE_STATEMENTS_MAX * 2, "memory");
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    group->owned[group->owned_count++] = copy;
    return copy;
}

static void unlink_group(struct pg_fake_group *group) {
    struct pg_fake_group **link = &group->session->fake->first;
    while (*link != NULL && *link != group)
        link = &(*link)->next;
    if (*link == group)
        *link = group->next;
}

static void close_session(struct session *s) {
    if (s->fd < 0)
        return;
    event_free(s->readable);
    close(s->fd);
    s->fd = -1;
    buf_release(&s->in);
    if (s->building != NULL)
        free_group(s->building);
    s->building = NULL;
    for (struct pg_fake_group *group = s->fake->first, *next; group != NULL; group = next) {
        next = group->next;
        if (group->session != s)
            continue;
        unlink_group(group);
        free_group(group);
    }
    for (unsigned i = 0; i < s->prepared_count; i++)
        free(s->prepared[i].sql);
}

/* ---- answers ---- */

static bool is_setting(const struct statement *st) {
    return !st->is_prepare && strstr(st->sql, "set_config(") != NULL;
}

static void put_one_row(struct buf *b, const struct statement *st, const char *types, ...) {
    va_list args;
    va_start(args, types);
    pg_message_put_begin(b, st->is_parsed, (unsigned)strlen(types));
    pg_message_put_row(b, types, args);
    pg_message_put_end(b);
    va_end(args);
}

/* The next statement that is not set_config's; those before it are answered. */
static struct statement *next_statement(struct pg_fake_group *group) {
    for (; group->answered < group->count; group->answered++) {
        struct statement *st = &group->statements[group->answered];
        if (!is_setting(st))
            return st;
        if (!group->failed)
            put_one_row(&group->out, st, "t", "set");
    }
    return NULL;
}

void pg_fake_begin(struct pg_fake_group *group, unsigned columns) {
    struct statement *st = next_statement(group);
    must(st != NULL, "no statement is left to answer");
    pg_message_put_begin(&group->out, st->is_parsed, columns);
}

void pg_fake_row(struct pg_fake_group *group, const char *types, ...) {
    va_list args;
    va_start(args, types);
    pg_message_put_row(&group->out, types, args);
    va_end(args);
}

void pg_fake_end(struct pg_fake_group *group) {
    pg_message_put_end(&group->out);
    group->answered++;
    say(group->session, &group->out);
}

void pg_fake_error(struct pg_fake_group *group, const char *state, const char *message) {
    must(next_statement(group) != NULL || group->count != 0, "no statement is left to fail");
    pg_message_put_error(&group->out, "ERROR", state, message);
    group->failed = true;
    say(group->session, &group->out);
}

void pg_fake_sync(struct pg_fake_group *group) {
    must(next_statement(group) == NULL || group->failed, "a statement is left without an answer");
    pg_message_put_ready(&group->out);
    say(group->session, &group->out);
    unlink_group(group);
    free_group(group);
}

void pg_fake_fatal(struct pg_fake_group *group, const char *state, const char *message) {
    struct session *s = group->session;
    pg_message_put_error(&group->out, "FATAL", state, message);
    say(s, &group->out);
    close_session(s);
}

void pg_fake_cut(struct pg_fake_group *group) {
    struct session *s = group->session;
    say(s, &group->out);
    close_session(s);
}

/* ---- what it answers by itself ---- */

static void put_notification(struct session *s, const char *payload) {
    struct buf b;
    buf_init(&b, 0);
    size_t at = pg_message_open(&b, 'A');
    pg_message_put_int(&b, 1, 4);
    pg_message_put_text(&b, "channel");
    pg_message_put_text(&b, payload);
    pg_message_close(&b, at);
    say(s, &b);
}

void pg_fake_notify(struct pg_fake *fake, const char *payload) {
    for (int i = 0; i < SESSIONS_MAX; i++) {
        if (fake->sessions[i].fd >= 0 && fake->sessions[i].listens)
            put_notification(&fake->sessions[i], payload);
    }
}

static bool has(const struct statement *st, const char *part) {
    return strstr(st->sql, part) != NULL;
}

static bool is_automatic(const struct pg_fake *fake, const struct statement *st) {
    static const char *const PARTS[] = {"pg_postmaster_start_time", "pg_terminate_backend",
                                        "LISTEN", "pg_is_in_recovery", "pg_notify("};
    if (fake->hold != NULL && has(st, fake->hold))
        return false;
    bool known = st->is_prepare || is_setting(st);
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++)
        known = known || has(st, PARTS[i]);
    return known;
}

static void answer_beat(struct session *s, struct buf *b, const struct statement *st) {
    struct pg_fake *fake = s->fake;
    char now[24];
    snprintf(now, sizeof(now), "%lld", (long long)(clock_wall_ms() + fake->ahead_ms));
    put_one_row(b, st, "ttt", "", fake->sentinel, now);
    fake->beats++;
    if (!fake->deaf)
        pg_fake_notify(fake, st->params[1].ptr);
}

static void answer_automatic(struct session *s, struct buf *b, const struct statement *st) {
    struct pg_fake *fake = s->fake;
    char pid[16];
    if (st->is_prepare) {
        pg_message_put_plain(b, '1');
    } else if (is_setting(st)) {
        put_one_row(b, st, "t", "set");
    } else if (has(st, "pg_terminate_backend")) {
        snprintf(fake->terminated, sizeof(fake->terminated), "%.100s %.100s", st->params[0].ptr,
                 st->params[1].ptr);
        pg_message_put_begin(b, st->is_parsed, 1);
        pg_message_put_end(b);
    } else if (has(st, "pg_postmaster_start_time")) {
        snprintf(pid, sizeof(pid), "%d", s->pid);
        put_one_row(b, st, "ttt", s->identity, pid, "2026-01-01 00:00:00+00");
    } else if (has(st, "pg_is_in_recovery")) {
        put_one_row(b, st, fake->check != NULL ? "t" : "n", fake->check);
    } else if (has(st, "pg_notify(")) {
        answer_beat(s, b, st);
    } else { /* LISTEN */
        s->listens = true;
        pg_message_put_begin(b, st->is_parsed, 0);
        pg_message_put_end(b);
    }
}

/* The scripted error, for the statement that it was meant for. */
static bool fails(struct pg_fake *fake, const struct statement *st, struct buf *b) {
    if (fake->fail_part[0] == '\0' || !has(st, fake->fail_part))
        return false;
    fake->fail_part[0] = '\0';
    pg_message_put_error(b, "ERROR", fake->fail_state, fake->fail_message);
    return true;
}

static void end_group(struct session *s) {
    struct pg_fake_group *group = building(s), **link = &s->fake->first;
    bool automatic = true;
    s->building = NULL;
    for (unsigned i = 0; i < group->count; i++)
        automatic = automatic && is_automatic(s->fake, &group->statements[i]);
    if (!automatic) {
        while (*link != NULL)
            link = &(*link)->next;
        *link = group;
        return;
    }
    for (unsigned i = 0; i < group->count && !group->failed; i++) {
        group->failed = fails(s->fake, &group->statements[i], &group->out);
        if (!group->failed)
            answer_automatic(s, &group->out, &group->statements[i]);
    }
    pg_message_put_ready(&group->out);
    say(s, &group->out);
    free_group(group);
}

/* ---- messages from libpq ---- */

static void note(struct pg_fake *fake, const char *sql) {
    size_t len = strlen(sql);
    if (fake->seen_len + len + 2 > SEEN_BYTES)
        return;
    memcpy(fake->seen + fake->seen_len, sql, len);
    fake->seen_len += len;
    fake->seen[fake->seen_len++] = '\n';
    fake->seen[fake->seen_len] = '\0';
}

static struct statement *add_statement(struct session *s) {
    struct pg_fake_group *group = building(s);
    must(group->count < PG_FAKE_STATEMENTS_MAX, "too many statements in a group");
    return &group->statements[group->count++];
}

static void on_parse(struct session *s, struct pg_message_reader *r) {
    const char *name = pg_message_get_text(r), *sql = pg_message_get_text(r);
    struct statement *st = add_statement(s);
    note(s->fake, sql);
    st->is_parsed = true;
    st->is_prepare = name[0] != '\0';
    st->sql = own(s->building, sql, strlen(sql));
    if (!st->is_prepare)
        return;
    must(s->prepared_count < PREPARED_MAX, "too many statements are prepared");
    snprintf(s->prepared[s->prepared_count].name, sizeof(s->prepared[0].name), "%s", name);
    s->prepared[s->prepared_count].sql = strdup(sql);
    s->prepared_count++;
}

static void on_bind(struct session *s, struct pg_message_reader *r) {
    pg_message_get_text(r);
    const char *name = pg_message_get_text(r);
    struct pg_fake_group *group = building(s);
    struct statement *st;
    if (name[0] == '\0') {
        must(group->count != 0, "Bind without Parse");
        st = &group->statements[group->count - 1];
    } else {
        st = add_statement(s);
        for (unsigned i = 0; i < s->prepared_count; i++) {
            if (strcmp(s->prepared[i].name, name) == 0)
                st->sql = s->prepared[i].sql;
        }
        must(st->sql != NULL, "a statement was not prepared");
    }
    for (uint32_t formats = pg_message_get_int(r, 2); formats > 0; formats--)
        pg_message_get_int(r, 2);
    st->params_count = pg_message_get_int(r, 2);
    must(st->params_count <= PG_FAKE_PARAMS_MAX, "too many parameters");
    const char *bytes = own(group, r->at, (size_t)(r->end - r->at));
    const char *base = r->at;
    for (unsigned i = 0; i < st->params_count; i++) {
        uint32_t len = pg_message_get_int(r, 4);
        if (len == 0xFFFFFFFF)
            continue;
        must((size_t)(r->end - r->at) >= len, "a parameter is too short");
        const char *at = own(group, bytes + (r->at - base), len);
        st->params[i] = span_of(at, len);
        r->at += len;
    }
}

static void on_message(struct session *s, char type, struct pg_message_reader *r) {
    switch (type) {
    case 'P':
        on_parse(s, r);
        return;
    case 'B':
        on_bind(s, r);
        return;
    case 'S':
        end_group(s);
        return;
    case 'X':
        close_session(s);
        return;
    default: /* Describe, Execute, Flush */
        return;
    }
}

static void start_session(struct session *s, struct pg_message_reader *r) {
    struct pg_fake *fake = s->fake;
    struct buf b;
    must(pg_message_get_int(r, 4) == PROTOCOL_3, "no start of protocol 3 (use sslmode=disable)");
    while (r->at < r->end && *r->at != '\0') {
        const char *name = pg_message_get_text(r), *value = pg_message_get_text(r);
        if (strcmp(name, "application_name") == 0)
            snprintf(s->name, sizeof(s->name), "%s",
                     strncmp(value, "ringfence ", 10) == 0 ? value + 10 : value);
    }
    buf_init(&b, 0);
    s->started = true;
    s->pid = 1000 + (int)fake->started++;
    snprintf(s->identity, sizeof(s->identity), "%s", fake->identity);
    if (fake->refuse_state[0] != '\0') {
        pg_message_put_error(&b, "FATAL", fake->refuse_state, fake->refuse_message);
        say(s, &b);
        close_session(s);
        return;
    }
    size_t at = pg_message_open(&b, 'R');
    pg_message_put_int(&b, 0, 4);
    pg_message_close(&b, at);
    pg_message_put_parameter(&b, "server_version", "15.0");
    pg_message_put_parameter(&b, "server_encoding", "UTF8");
    pg_message_put_parameter(&b, "client_encoding", "UTF8");
    pg_message_put_parameter(&b, "default_transaction_read_only", "off");
    pg_message_put_parameter(&b, "in_hot_standby", fake->standby ? "on" : "off");
    pg_message_put_ready(&b);
    say(s, &b);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct session *s = arg;
    if (s->fake->mute)
        return;
    char *to = buf_reserve(&s->in, IN_BYTES);
    must(to != NULL, "memory");
    ssize_t n = recv(fd, to, IN_BYTES, MSG_DONTWAIT);
    if (n <= 0) {
        close_session(s);
        return;
    }
    buf_commit(&s->in, (size_t)n);
    while (s->fd >= 0) {
        size_t head = s->started ? 5 : 4, have = buf_len(&s->in);
        if (have < head)
            return;
        struct pg_message_reader r = {buf_head(&s->in) + head - 4, buf_head(&s->in) + have};
        size_t len = pg_message_get_int(&r, 4) + head - 4;
        if (have < len)
            return;
        r.end = buf_head(&s->in) + len;
        if (s->started)
            on_message(s, buf_head(&s->in)[0], &r);
        else
            start_session(s, &r);
        if (s->fd >= 0)
            buf_consume(&s->in, len);
    }
}

/* ---- listening ---- */

static void on_acceptable(evutil_socket_t fd, short what, void *arg) {
    struct pg_fake *fake = arg;
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return;
    struct session *s = fake->sessions;
    while (s < fake->sessions + SESSIONS_MAX && s->fd >= 0)
        s++;
    must(s < fake->sessions + SESSIONS_MAX, "too many sessions");
    int room = 4 << 20;
    setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    *s = (struct session){.fake = fake, .fd = accepted};
    buf_init(&s->in, 0);
    s->readable = event_new(fake->base, accepted, EV_READ | EV_PERSIST, on_readable, s);
    must(s->readable != NULL && event_add(s->readable, NULL) == 0, "event");
}

void pg_fake_listen(struct pg_fake *fake, bool on) {
    if (!on && fake->fd >= 0) {
        event_free(fake->acceptable);
        close(fake->fd);
        unlink(fake->path);
        fake->fd = -1;
    }
    if (!on || fake->fd >= 0)
        return;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", fake->path);
    fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fake->fd >= 0 && bind(fake->fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
             listen(fake->fd, 64) == 0,
         "cannot listen");
    fake->acceptable = event_new(fake->base, fake->fd, EV_READ | EV_PERSIST, on_acceptable, fake);
    must(fake->acceptable != NULL && event_add(fake->acceptable, NULL) == 0, "event");
}

struct pg_fake *pg_fake_new(struct event_base *base) {
    struct pg_fake *fake = calloc(1, sizeof(*fake));
    must(fake != NULL, "memory");
    fake->base = base;
    fake->fd = -1;
    fake->seen = calloc(1, SEEN_BYTES);
    must(fake->seen != NULL, "memory");
    for (int i = 0; i < SESSIONS_MAX; i++)
        fake->sessions[i].fd = -1;
    pg_fake_identity(fake, "1/00000001/start");
    pg_fake_sentinel(fake, "100 rf_number_insertA1");
    snprintf(fake->dir, sizeof(fake->dir), "/tmp/rf-pg-fake-XXXXXX");
    must(mkdtemp(fake->dir) != NULL, "cannot make a folder");
    snprintf(fake->path, sizeof(fake->path), "%s/.s.PGSQL.5432", fake->dir);
    pg_fake_listen(fake, true);
    return fake;
}

void pg_fake_free(struct pg_fake **pointer) {
    struct pg_fake *fake = *pointer;
    *pointer = NULL;
    pg_fake_listen(fake, false);
    pg_fake_drop(fake, NULL);
    rmdir(fake->dir);
    free(fake->seen);
    free(fake);
}

const char *pg_fake_host(const struct pg_fake *fake) {
    return fake->dir;
}

/* ---- what a test tells it ---- */

void pg_fake_mute(struct pg_fake *fake, bool mute) {
    fake->mute = mute;
    for (int i = 0; i < SESSIONS_MAX; i++) {
        if (fake->sessions[i].fd >= 0 && mute)
            event_del(fake->sessions[i].readable);
        else if (fake->sessions[i].fd >= 0)
            event_add(fake->sessions[i].readable, NULL);
    }
}

void pg_fake_refuse(struct pg_fake *fake, const char *state, const char *message) {
    snprintf(fake->refuse_state, sizeof(fake->refuse_state), "%s", state != NULL ? state : "");
    snprintf(fake->refuse_message, sizeof(fake->refuse_message), "%s",
             message != NULL ? message : "");
}

void pg_fake_standby(struct pg_fake *fake, bool on) {
    fake->standby = on;
}

void pg_fake_identity(struct pg_fake *fake, const char *identity) {
    snprintf(fake->identity, sizeof(fake->identity), "%s", identity);
}

void pg_fake_fail(struct pg_fake *fake, const char *part, const char *state, const char *message) {
    snprintf(fake->fail_part, sizeof(fake->fail_part), "%s", part);
    snprintf(fake->fail_state, sizeof(fake->fail_state), "%s", state);
    snprintf(fake->fail_message, sizeof(fake->fail_message), "%s", message);
}

void pg_fake_hold(struct pg_fake *fake, const char *part) {
    fake->hold = part;
}

void pg_fake_check(struct pg_fake *fake, const char *text) {
    fake->check = text;
}

void pg_fake_deaf(struct pg_fake *fake, bool deaf) {
    fake->deaf = deaf;
}

void pg_fake_sentinel(struct pg_fake *fake, const char *text) {
    snprintf(fake->sentinel, sizeof(fake->sentinel), "%s", text);
}

void pg_fake_clock(struct pg_fake *fake, int64_t ms) {
    fake->ahead_ms = ms;
}

/* ---- what a test asks it ---- */

static bool is_session(const struct session *s, const char *name) {
    return s->fd >= 0 && (name == NULL || strcmp(s->name, name) == 0);
}

unsigned pg_fake_sessions(const struct pg_fake *fake, const char *name) {
    unsigned count = 0;
    for (int i = 0; i < SESSIONS_MAX; i++)
        count += is_session(&fake->sessions[i], name);
    return count;
}

unsigned pg_fake_started(const struct pg_fake *fake) {
    return fake->started;
}

unsigned pg_fake_beats(const struct pg_fake *fake) {
    return fake->beats;
}

const char *pg_fake_terminated(const struct pg_fake *fake) {
    return fake->terminated;
}

bool pg_fake_saw(const struct pg_fake *fake, const char *text) {
    return strstr(fake->seen, text) != NULL;
}

void pg_fake_drop(struct pg_fake *fake, const char *name) {
    for (int i = 0; i < SESSIONS_MAX; i++) {
        if (is_session(&fake->sessions[i], name))
            close_session(&fake->sessions[i]);
    }
}

unsigned pg_fake_groups(const struct pg_fake *fake) {
    unsigned count = 0;
    for (const struct pg_fake_group *group = fake->first; group != NULL; group = group->next)
        count++;
    return count;
}

struct pg_fake_group *pg_fake_group(struct pg_fake *fake, unsigned i) {
    struct pg_fake_group *group = fake->first;
    for (; group != NULL && i > 0; i--)
        group = group->next;
    must(group != NULL, "no such group waits");
    return group;
}

const char *pg_fake_session(const struct pg_fake_group *group) {
    return group->session->name;
}

static const struct statement *find(const struct pg_fake_group *group, unsigned i, bool setting) {
    for (unsigned at = 0; at < group->count; at++) {
        if (is_setting(&group->statements[at]) == setting && i-- == 0)
            return &group->statements[at];
    }
    return NULL;
}

unsigned pg_fake_count(const struct pg_fake_group *group) {
    unsigned count = 0;
    while (find(group, count, false) != NULL)
        count++;
    return count;
}

const char *pg_fake_sql(const struct pg_fake_group *group, unsigned i) {
    const struct statement *st = find(group, i, false);
    return st != NULL ? st->sql : "";
}

struct span pg_fake_param(const struct pg_fake_group *group, unsigned i, unsigned n) {
    const struct statement *st = find(group, i, false);
    must(st != NULL && n < st->params_count, "no such parameter");
    return st->params[n];
}

const char *pg_fake_setting(const struct pg_fake_group *group, unsigned i) {
    const struct statement *st = find(group, i, true);
    return st != NULL ? st->params[0].ptr : "";
}

const char *pg_fake_array(struct span param) {
    static char text[4000];
    struct pg_message_reader r = {param.ptr, param.ptr + param.len};
    size_t at = 0;
    text[0] = '\0';
    if (pg_message_get_int(&r, 4) == 0)
        return text;
    pg_message_get_int(&r, 4);
    pg_message_get_int(&r, 4);
    uint32_t count = pg_message_get_int(&r, 4);
    pg_message_get_int(&r, 4);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = pg_message_get_int(&r, 4);
        must((size_t)(r.end - r.at) >= len && at + len + 2 < sizeof(text), "an array is too long");
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s", i == 0 ? "" : " ", (int)len,
                               r.at);
        r.at += len;
    }
    return text;
}
