/*
 * load_request: what the load generator asks for: the mix, the keys, the values, in the wire's
 * format. Seeded; knows no socket and no clock. Embedded by value in one thread.
 */
#ifndef RINGFENCE_BENCH_LOAD_REQUEST_H
#define RINGFENCE_BENCH_LOAD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "draw.h"
#include "load.h"

struct buf;

struct load_request {
    const struct load_conf *conf;
    struct draw draw;
    uint32_t *ranks; /* Zipf: drawn before the start, so that the logarithms cost nothing later */
    uint32_t next_rank;
    uint64_t once_next, once_end;
    char *source, *json; /* bytes that values are cut from; where a JSON value is put together */
};

/** load_request_init(r, conf, index): the share of thread `index`. False without memory. `conf` is
 * borrowed for life. */
bool load_request_init(struct load_request *r, const struct load_conf *conf, unsigned index);
void load_request_release(struct load_request *r);

/** load_request_write(r, out): append one request; returns what it is. */
enum load_op load_request_write(struct load_request *r, struct buf *out);

/** load_request_over(r): with `once`: every key of its share was asked for. */
bool load_request_over(const struct load_request *r);

#endif
