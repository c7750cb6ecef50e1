/*
 * multi: what one client has said towards a transaction: the commands between MULTI and EXEC, and
 * the keys that it watches. Bounded. Knows no sockets, no nodes and no meaning of commands.
 * Embedded in the client by value.
 */
#ifndef RINGFENCE_MULTI_H
#define RINGFENCE_MULTI_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/buf.h"
#include "../common/resp_parse.h"

/* A watched key: its row as it was when WATCH asked the table. */
struct multi_watch {
    char *key;
    size_t len;
    uint64_t version; /* 0: no row */
    bool live;
};

struct multi {
    bool open;           /* MULTI was said */
    bool broken;         /* a command was refused since: EXEC will do nothing */
    struct buf commands; /* whole RESP requests */
    uint32_t count;      /* of them */
    struct multi_watch *watches;
    uint32_t watched;       /* keys in `watches` */
    uint32_t watches_asked; /* WATCHes without an answer */
    bool watch_failed;      /* one of them failed: EXEC will do nothing */
};

struct multi_limits {
    uint32_t commands_max; /* also of watched keys */
    size_t bytes_max;
};

enum multi_result { MULTI_OK, MULTI_TOO_MANY, MULTI_TOO_LONG, MULTI_NO_MEMORY };

/** multi_init(m): nothing said. multi_clear(m): that again, and no memory is held. */
void multi_init(struct multi *m);
void multi_clear(struct multi *m);

/** multi_queue(m, limits, argv, argc): one more command, copied. Whatever is not MULTI_OK makes the
 * transaction broken; then nothing more is kept. */
enum multi_result multi_queue(struct multi *m, const struct multi_limits *limits,
                              const struct span *argv, uint32_t argc);

/** multi_watch(m, key, version, live): one more watched key, copied; a key that is watched already
 * stays as it was. False without memory. Cost: O(keys watched). */
bool multi_watch(struct multi *m, struct span key, uint64_t version, bool live);

/** multi_write_watches(m, out): the watched keys as requests of three words: key, version, and 1 if
 * it is live, else 0. */
void multi_write_watches(const struct multi *m, struct buf *out);

/* A walk over the commands. */
struct multi_walk {
    struct resp_parser parser;
    struct span left;
};

/** multi_walk_begin(walk, commands): over the bytes of `commands`, which must outlive it;
 * multi_walk_next(walk, out): the next one, borrowed until the next call; false at the end.
 * multi_walk_end(walk): frees what it holds. */
void multi_walk_begin(struct multi_walk *walk, struct span commands);
bool multi_walk_next(struct multi_walk *walk, struct resp_request *out);
void multi_walk_end(struct multi_walk *walk);

#endif
