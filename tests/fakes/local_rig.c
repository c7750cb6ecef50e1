#include "local_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../common/clock.h"
#include "../../common/command.h"
#include "../../common/resp_parse.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/registry.h"
#include "topology_fake.h"

enum { ARGS_MAX = 400 };

static const struct proxy_conf CONF = {.bind = (char *)"localhost",
                                       .ring_file = (char *)"r.conf",
                                       .clients_max = 123,
                                       .client_idle_s = 7,
                                       .output_bytes_max = 1 << 20,
                                       .compat_redis_version = (char *)"7.4.0"};

void local_rig_fill(struct local_client *c, int port) {
    static struct channels_client nothing;
    c->proto = 2;
    if (c->channels == NULL)
        c->channels = &nothing;
    c->fd = 10 + port;
    snprintf(c->addr, sizeof(c->addr), "127.0.0.1:%d", port);
    snprintf(c->laddr, sizeof(c->laddr), "127.0.0.1:6379");
    c->connected_wall_ms = clock_wall_ms() - 60500;
    stats_set(&c->last_mono_ms, LOCAL_RIG_NOW_MS - 3500);
}

static void tell_nobody(void *ctx, struct tracking_client *client, struct span key,
                        const struct authors_change *doubt) {
    cr_assert_fail("nothing changes in these tests");
}

static void watch_nothing(void *ctx, bool on) {
}

struct local_rig *local_rig_start(void) {
    static const struct tracking_handlers TRACKING = {.tell = tell_nobody, .watch = watch_nothing};
    static struct local_rig b;
    memset(&b, 0, sizeof(b));
    b.me.tracking = &b.my_tracking;
    b.me.channels = &b.my_channels;
    b.other.channels = &b.other_channels;
    cr_assert(pause_init(&b.pause));
    for (int i = 0; i < LOCAL_RIG_WORKERS; i++)
        b.blocks[i] = b.stats[i];
    b.server = (struct local_server){.conf = &CONF,
                                     .registry = registry_new(),
                                     .worker_stats = b.blocks,
                                     .workers = LOCAL_RIG_WORKERS,
                                     .pause = &b.pause,
                                     .tracking = tracking_new(100, &TRACKING, NULL),
                                     .topology = topology_fake_new(3, 42, "rings/r.conf"),
                                     .config_file = "proxy.conf",
                                     .run_id = "0123456789012345678901234567890123456789",
                                     .port = 4321,
                                     .started_mono_ms = clock_mono_ms() - 90000};
    local_rig_fill(&b.me, 1111);
    local_rig_fill(&b.other, 2222);
    local_begin(&b.server, &b.me);
    local_begin(&b.server, &b.other);
    registry_add(b.server.registry, &b.me);
    registry_add(b.server.registry, &b.other);
    buf_init(&b.out, 0);
    return &b;
}

const char *local_rig_ask(struct local_rig *b, const char *text) {
    static char room[4096];
    static struct span argv[ARGS_MAX];
    uint32_t argc = 0;
    snprintf(room, sizeof(room), "%s", text);
    char *rest = room;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = strcmp(word, "''") == 0 ? SPAN("") : span_str(word);
    int id = command_find(argv[0]);
    cr_assert_geq(id, 0, "%s", text);
    cr_assert(command_arity_ok(id, argc), "%s", text);
    buf_release(&b->out);
    stats_set(&b->me.last_command, (uint64_t)id);
    b->result = local_execute(&b->server, &b->me, LOCAL_RIG_NOW_MS, id, argv, argc, &b->out);
    struct resp_scan scan = {0};
    size_t size = 0;
    cr_assert_eq(resp_scan_reply(&scan, buf_head(&b->out), buf_len(&b->out), &size), RESP_OK,
                 "%s: not one whole reply", text);
    cr_assert_eq(size, buf_len(&b->out), "%s: more than one reply", text);
    buf_append(&b->out, "", 1);
    return buf_head(&b->out);
}

void local_rig_expect(struct local_rig *b, const char *text, const char *want) {
    cr_assert_str_eq(local_rig_ask(b, text), want, "%s", text);
}

void local_rig_expect_has(struct local_rig *b, const char *text, const char *part) {
    const char *got = local_rig_ask(b, text);
    cr_assert_not_null(strstr(got, part), "%s: no '%s' in: %s", text, part, got);
}

void local_rig_expect_lacks(struct local_rig *b, const char *text, const char *part) {
    const char *got = local_rig_ask(b, text);
    cr_assert_null(strstr(got, part), "%s: '%s' in: %s", text, part, got);
}
