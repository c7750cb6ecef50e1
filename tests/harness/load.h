/*
 * load: many clients at once, each a thread with keys of its own, that read and write in pipelines
 * and judge every answer: each value names its key, its client and its number. Knows no Criterion.
 *
 * Of a key whose last write was acknowledged a client expects exactly that value. An older one
 * counts as `old` for OLD_MS after the acknowledgement (a ring edit or a failover may show it),
 * after that as `wrong`, as does anything that is not a value of that key. A key with a write of
 * unknown outcome is only checked for being its own from then on.
 */
#ifndef RINGFENCE_LOAD_H
#define RINGFENCE_LOAD_H

#include <stdint.h>

enum { LOAD_PORTS_MAX = 4, LOAD_OLD_MS = 2000 };

struct load_conf {
    uint16_t ports[LOAD_PORTS_MAX]; /* of proxies; a zero ends them; clients take turns */
    const char *prefix;             /* of the keys */
    int clients, keys;              /* keys of each client */
    int depth;                      /* requests that a client has under way: one pipeline */
    int write_percent;              /* SET and MSET; the rest GET and MGET */
    uint64_t requests;              /* of each client, then it stops by itself; 0: until the end */
};

struct load_result {
    uint64_t requests, errors, uncertain /* of the errors */, old, wrong;
    int64_t last_error_mono_ms; /* 0: none */
    char first_error[200], last_error[200], first_wrong[400];
};

struct load; /* owned by whoever started it */

/** load_start(conf): all clients are connected; NULL if one is not. */
struct load *load_start(const struct load_conf *conf);

/** load_requests(load): answered so far. */
uint64_t load_requests(const struct load *load);

/** load_errors(load): of these, errors. */
uint64_t load_errors(const struct load *load);

/** load_let_work(load, requests, ms): until so many more are answered; the test fails when that
 * takes longer. load_let_recover(load, requests, errors_ms, ms): until so many in a row, for which
 * there is as much time, were no error; it fails when errors go on for longer than errors_ms. */
void load_let_work(const struct load *load, uint64_t requests, int ms);
void load_let_recover(const struct load *load, uint64_t requests, int errors_ms, int ms);

/** load_done(load): every client has made its requests. */
int load_done(const struct load *load);

/** load_end(load, out): stop the clients; each reads all its keys once more, which must be right
 * within LOAD_OLD_MS. Frees it. */
void load_end(struct load **load, struct load_result *out);

#endif
