/*
 * monitor: who is shown what clients ask for (MONITOR), and the lines that show it. A line goes
 * into the inbox of each; one who does not read loses lines, and nobody waits for it. Owned by
 * main; borrowed by workers. Knows no client.
 */
#ifndef RINGFENCE_MONITOR_H
#define RINGFENCE_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct inbox;
struct monitor;

enum {
    MONITORS_MAX = 16,
    MONITOR_INBOX_BYTES_MAX = 1 << 20, /* lines that wait for one of them */
    MONITOR_ARG_BYTES_MAX = 1024,      /* of an argument that are shown */
    MONITOR_LINE_BYTES_MAX = 16 << 10,
};

/** monitor_new(): nobody. NULL without memory. monitor_free(m): everybody must have left. */
struct monitor *monitor_new(void);
void monitor_free(struct monitor **m);

/** monitor_join(m, inbox): lines go there from now on; takes a reference of its own. False if there
 * are too many. monitor_leave(m, inbox): no more. From any thread. */
bool monitor_join(struct monitor *m, struct inbox *inbox);
void monitor_leave(struct monitor *m, struct inbox *inbox);

/** monitor_count(m): how many there are. `m` may be NULL. Cost: one load. */
unsigned monitor_count(const struct monitor *m);

/** monitor_show(m, line, wake, ctx): put it into every inbox; `wake` as that of local_peers, for
 * those whose worker has to be woken. From any thread. */
void monitor_show(struct monitor *m, struct span line, bool (*wake)(void *ctx, struct inbox *inbox),
                  void *ctx);

/** monitor_line(room, wall_us, addr, argv, argc, shown): a request as Redis shows it, with its line
 * end. `room` has MONITOR_LINE_BYTES_MAX; long arguments, and many, are cut. `shown(ctx, i)`: false
 * for an argument that is a secret; NULL: none is. */
struct span monitor_line(char *room, int64_t wall_us, const char *addr, const struct span *argv,
                         uint32_t argc, bool (*shown)(const void *ctx, uint32_t i),
                         const void *ctx);

#endif
