/*
 * inject: one call of a kind fails in a daemon, chosen from outside while it runs. The programs of
 * build/FLAVOUR/inject are linked with inject.c, which stands before what their own code calls
 * (--wrap) and before libevent's allocations. What libpq allocates and does inside is not reached;
 * its functions are, as they would fail.
 */
#ifndef RINGFENCE_INJECT_H
#define RINGFENCE_INJECT_H

#include <stdint.h>

/* Environment variable: a file of struct inject_pages, which the daemons map. */
#define INJECT_FILE "RINGFENCE_INJECT"

enum inject_kind {
    INJECT_NOTHING,
    INJECT_ALLOC,       /* malloc, calloc, realloc, strdup of our own code: no memory */
    INJECT_EVENT_ALLOC, /* of libevent */
    INJECT_RECV,        /* what is read from a connection */
    INJECT_SEND,        /* what is written to one */
    INJECT_PQ,          /* functions of libpq that can fail */
    INJECT_PQ_RESULT,   /* libpq has no memory for a result, though the statement was done */
    INJECT_SYSTEM,      /* socket, connect, accept, open and the like */
    INJECT_CRYPTO,      /* digests and random bytes of libcrypto */
    INJECT_KINDS
};

enum inject_mode { INJECT_FAIL, INJECT_END, INJECT_INTERRUPT, INJECT_AGAIN, INJECT_SHORT };

enum inject_program { INJECT_NODE, INJECT_PROXY, INJECT_CTL, INJECT_PROGRAMS };

/* All fields are read and written atomically; `kind` is set last and cleared first. */
struct inject_page {
    uint32_t kind, mode, nth; /* the nth call from now on fails, */
    uint32_t burst;           /* and so many in all, one after the other */
    uint32_t count;           /* calls of the kind since then */
    uint32_t fired;
    uint64_t where; /* of the call that failed: an address of the program, less its base */
    char what[32];  /* the function's name */
};

struct inject_pages {
    struct inject_page of[INJECT_PROGRAMS];
};

#endif
