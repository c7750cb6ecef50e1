/*
 * wire: TCP links that go wrong on command, for tests: each listens on a port of 127.0.0.1 and
 * passes everything on to a target, both ways, in one thread. Delays, stalls, limits and cuts are
 * set from outside at any time. Knows no Criterion and no protocol.
 */
#ifndef RINGFENCE_WIRE_H
#define RINGFENCE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum { WIRE_LINKS_MAX = 32 };

struct wire; /* owned by whoever made it */

/* What is wrong with a link; zero: nothing. `only`: concerns those connections alone whose first
 * bytes hold this text (borrowed for ever); NULL: all. */
struct wire_fault {
    const char *only;
    int delay_ms;              /* of every byte, each way */
    bool stall_up, stall_down; /* towards the target, towards who connected: bytes are taken in and
                                  not passed on until the stall ends; an end is not either */
    bool refuse;               /* nobody listens: a connection is refused. Those that are stay */
    int64_t bytes_per_s;       /* each way and connection; 0: as many as you like */
    int64_t cut_after_bytes;   /* a connection is reset after so many more bytes; 0: never */
};

enum wire_end { WIRE_RESET, WIRE_FIN };

struct wire_figures {
    uint64_t tries;                    /* to connect, also when there was no target */
    uint64_t connections, bytes, cuts; /* in all */
    unsigned open;                     /* connections now */
    uint64_t held;                     /* bytes taken in and not passed on yet */
};

/** wire_new(): no links yet; NULL if that is not possible. wire_free() ends all of them. */
struct wire *wire_new(void);
void wire_free(struct wire **wire);

/**
 * wire_link(wire, path, port, port_out): one more link, to a Unix socket's path, or with NULL to a
 * port of 127.0.0.1; the target need not be there yet. Returns its number, or -1.
 */
int wire_link(struct wire *wire, const char *path, uint16_t port, uint16_t *port_out);

/** wire_set(wire, link, fault): from now on, instead of what was set before. NULL: all is well. */
void wire_set(struct wire *wire, int link, const struct wire_fault *fault);

/** wire_cut(wire, link, end, only): end its connections on both sides; what was taken in and not
 * passed on is lost. New ones may be made at once. */
void wire_cut(struct wire *wire, int link, enum wire_end end, const char *only);

/** wire_figures(wire, link): of one link. */
struct wire_figures wire_figures(struct wire *wire, int link);

#endif
