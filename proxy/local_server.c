/* What tools ask a server: MEMORY, OBJECT, MODULE, ROLE, LASTSAVE, WAIT, CLUSTER, DEBUG. What is
 * about a key goes to its node, and stands here for COMMAND and HELP alone. */
#include <errno.h>
#include <malloc.h>
#include <time.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_line.h"
#include "../common/resp_write.h"
#include "local_private.h"
#include "proxy_conf.h"

enum { SLEEP_TEXT_BYTES_MAX = 31, SLEEP_S_MAX = 60 };

/* ---- MEMORY, of the proxy ---- */

static void memory_stats(const struct local_call *call) {
    struct mallinfo2 heap = mallinfo2();
    resp_write_map(call->out, 3, call->client->proto);
    local_write_int(call, "total.allocated", (int64_t)(heap.uordblks + heap.hblkhd));
    local_write_int(call, "allocator.active", (int64_t)(heap.arena + heap.hblkhd));
    local_write_int(call, "allocator-fragmentation.bytes", (int64_t)heap.fordblks);
}

static void memory_doctor(const struct local_call *call) {
    resp_write_verbatim(call->out,
                        SPAN("The proxy holds no values. INFO ring shows the nodes' memory, MEMORY "
                             "USAGE that of a key."),
                        call->client->proto);
}

static void memory_purge(const struct local_call *call) {
    malloc_trim(0);
    resp_write_status(call->out, "OK");
}

static void memory_help(const struct local_call *call) {
    local_help(call, COMMAND_MEMORY);
}

const struct local_subcommand LOCAL_MEMORY_ROWS[] = {
    {"usage", -3, "4.0.0", " <key> [SAMPLES <count>]",
     "Bytes of key, value and header in its node's cache.", NULL, 0},
    {"stats", 2, "4.0.0", "", "Memory of the proxy.", memory_stats, LOCAL_ADMIN},
    {"doctor", 2, "4.0.0", "", "Where to look.", memory_doctor, LOCAL_ADMIN},
    {"purge", 2, "4.0.0", "", "Gives memory of the proxy back to the system.", memory_purge,
     LOCAL_ADMIN},
    {"help", 2, "4.0.0", "", "This text.", memory_help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};

/* ---- OBJECT ---- */

static void object_help(const struct local_call *call) {
    local_help(call, COMMAND_OBJECT);
}

const struct local_subcommand LOCAL_OBJECT_ROWS[] = {
    {"encoding", 3, "2.2.3", " <key>", "int, embstr or raw: what Redis would say of the value.",
     NULL, 0},
    {"refcount", 3, "2.2.3", " <key>", "1 for a key that exists.", NULL, 0},
    {"freq", 3, "4.0.0", " <key>",
     "Requests per second for a key that is among those that this proxy is asked for most; else 0.",
     NULL, 0},
    {"idletime", 3, "2.2.3", " <key>", "Refused: when a key was used is not kept.", NULL, 0},
    {"help", 2, "6.2.0", "", "This text.", object_help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};

bool local_takes(int id, const struct span *argv, uint32_t argc) {
    const struct local_subcommand *row = local_subcommand_find(id, argv[1]);
    return row == NULL || row->run != NULL || !local_arity_fits(row, argc);
}

/* ---- MODULE, ROLE, LASTSAVE, WAIT, CLUSTER ---- */

static void module_list(const struct local_call *call) {
    resp_write_array(call->out, 0);
}

static void module_help(const struct local_call *call) {
    local_help(call, COMMAND_MODULE);
}

const struct local_subcommand LOCAL_MODULE_ROWS[] = {
    {"list", 2, "4.0.0", "", "Empty: there are no modules.", module_list, LOCAL_ADMIN},
    {"help", 2, "5.0.0", "", "This text.", module_help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};

void local_role(const struct local_call *call) {
    resp_write_array(call->out, 3);
    resp_write_bulk(call->out, SPAN("master"));
    resp_write_int(call->out, 0);
    resp_write_array(call->out, 0);
}

/* Every write that was answered is saved. */
void local_lastsave(const struct local_call *call) {
    resp_write_int(call->out, clock_wall_ms() / 1000);
}

/* Redis waits for replicas that will not come until the time is over, and then says the same. */
void local_wait(const struct local_call *call) {
    int64_t replicas, ms;
    if (!span_to_int64(call->argv[1], &replicas))
        reply_error(call->out, REPLY_NOT_INTEGER, NULL);
    else if (!span_to_int64(call->argv[2], &ms))
        reply_error(call->out, REPLY_TIMEOUT_RANGE, NULL);
    else if (ms < 0)
        reply_error(call->out, REPLY_TIMEOUT_NEGATIVE, NULL);
    else
        resp_write_int(call->out, 0);
}

void local_cluster(const struct local_call *call) {
    reply_error(call->out, REPLY_CLUSTER_OFF, NULL);
}

/* ---- DEBUG ---- */

/* As in Redis, all clients of the worker wait, and a part of a second is a time too. */
static void debug_sleep(const struct local_call *call) {
    struct span text = call->argv[2];
    double seconds;
    if (text.len > SLEEP_TEXT_BYTES_MAX || !resp_line_to_double(text.ptr, text.len, &seconds) ||
        !(seconds >= 0 && seconds <= SLEEP_S_MAX)) { /* nor NaN */
        reply_error(call->out, REPLY_NOT_FLOAT, NULL);
        return;
    }
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    resp_write_status(call->out, "OK");
}

static void debug_help(const struct local_call *call) {
    local_help(call, COMMAND_DEBUG);
}

const struct local_subcommand LOCAL_DEBUG_ROWS[] = {
    {"sleep", 3, "1.0.0", " <seconds>", "Stops this worker; needs allow-debug yes.", debug_sleep,
     LOCAL_ADMIN},
    {"help", 2, "1.0.0", "", "This text.", debug_help, LOCAL_ADMIN},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
